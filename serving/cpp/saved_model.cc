// The module that `load_model` opens; the only code that uses TensorFlow.

#include <array>
#include <charconv>
#include <cstdint>
#include <new>

#include "errors.h"
#include "model.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"

namespace {

constexpr char kTag[] = "serve";
constexpr char kSignature[] = "encoded";
constexpr char kInput[] = "encoded";
constexpr std::array kOutputs = {"logits", "probabilities"};
constexpr std::size_t kMaxMessage = 200;

template <auto function>
struct Call {
  template <typename T>
  void operator()(T* pointer) const {
    function(pointer);
  }
};
using Buffer = std::unique_ptr<TF_Buffer, Call<TF_DeleteBuffer>>;
using Graph = std::unique_ptr<TF_Graph, Call<TF_DeleteGraph>>;
using Options =
    std::unique_ptr<TF_SessionOptions, Call<TF_DeleteSessionOptions>>;
using Status = std::unique_ptr<TF_Status, Call<TF_DeleteStatus>>;
using Tensor = std::unique_ptr<TF_Tensor, Call<TF_DeleteTensor>>;

// The first line of the message; the others tell where in the graph it was.
std::string message(const TF_Status* status) {
  std::string text = TF_Message(status);
  text = text.substr(0, text.find('\n')).substr(0, kMaxMessage);
  return text.empty()
             ? "TensorFlow error " + std::to_string(TF_GetCode(status))
             : text;
}

// The operation and output index of a tensor name, `operation:index`.
TF_Output find_output(TF_Graph* graph, const std::string& tensor,
               const std::string& folder) {
  auto colon = tensor.rfind(':');
  std::string name = tensor.substr(0, colon);
  int index = 0;
  if (colon != std::string::npos) {
    std::from_chars(tensor.data() + colon + 1, tensor.data() + tensor.size(),
                    index);
  }
  TF_Operation* operation = TF_GraphOperationByName(graph, name.c_str());
  if (!operation || index < 0 || index >= TF_OperationNumOutputs(operation)) {
    throw UserError{{"--model=" + folder + ": its signature '" + kSignature +
                     "' refers to " + tensor + ", which is not in its graph"}};
  }
  return {operation, index};
}

// A tensor of views of `values`, which must outlive it.
Tensor string_tensor(const std::vector<std::string>& values) {
  auto size = static_cast<std::int64_t>(values.size());
  Tensor tensor(TF_AllocateTensor(TF_STRING, &size, 1,
                                  values.size() * sizeof(TF_TString)));
  if (!tensor) throw std::bad_alloc();
  auto* cells = static_cast<TF_TString*>(TF_TensorData(tensor.get()));
  for (const std::string& value : values) {
    TF_StringInit(cells);
    // A view owns no memory, so deleting the tensor leaks nothing.
    TF_StringAssignView(cells++, value.data(), value.size());
  }
  return tensor;
}

struct CloseSession {
  void operator()(TF_Session* session) const {
    Status status(TF_NewStatus());
    TF_CloseSession(session, status.get());
    TF_DeleteSession(session, status.get());
  }
};

class SavedModel : public Model {
 public:
  SavedModel(const std::string& folder, int num_classes);
  std::vector<Scores> classify(
      const std::vector<std::string>& encoded) const override;

 private:
  // The floats of an output [count, num_classes]. Throws RunError if it has
  // another type or shape.
  const float* values(const TF_Tensor* tensor, std::int64_t count) const;

  int num_classes_;
  // In this order, so that the session is deleted before its graph.
  Graph graph_;
  std::unique_ptr<TF_Session, CloseSession> session_;
  TF_Output input_{};
  std::array<TF_Output, kOutputs.size()> outputs_{};
};

SavedModel::SavedModel(const std::string& folder, int num_classes)
    : num_classes_(num_classes), graph_(TF_NewGraph()) {
  Options options(TF_NewSessionOptions());
  Buffer buffer(TF_NewBuffer());
  Status status(TF_NewStatus());
  const char* tags[] = {kTag};
  session_.reset(TF_LoadSessionFromSavedModel(
      options.get(), nullptr, folder.c_str(), tags, 1, graph_.get(),
      buffer.get(), status.get()));
  if (TF_GetCode(status.get()) != TF_OK) {
    throw UserError{
        {"--model=" + folder + " cannot be read: " + message(status.get())}};
  }
  tensorflow::MetaGraphDef meta;
  if (!meta.ParseFromArray(buffer->data, static_cast<int>(buffer->length))) {
    throw UserError{{"--model=" + folder + " is damaged: no MetaGraphDef"}};
  }
  auto signature = meta.signature_def().find(kSignature);
  bool complete = signature != meta.signature_def().end() &&
                  signature->second.inputs().contains(kInput);
  for (const char* name : kOutputs) {
    complete = complete && signature->second.outputs().contains(name);
  }
  if (!complete) {
    throw UserError{{"--model=" + folder + " has no signature '" + kSignature +
                     "' from '" + kInput + "' to '" + kOutputs[0] + "' and '" +
                     kOutputs[1] + "'"}};
  }
  const auto& inputs = signature->second.inputs();
  const auto& outputs = signature->second.outputs();
  input_ = find_output(graph_.get(), inputs.at(kInput).name(), folder);
  for (std::size_t i = 0; i < kOutputs.size(); ++i) {
    outputs_[i] =
        find_output(graph_.get(), outputs.at(kOutputs[i]).name(), folder);
  }
}

const float* SavedModel::values(const TF_Tensor* tensor,
                                std::int64_t count) const {
  // The metadata may be that of another network.
  if (TF_TensorType(tensor) != TF_FLOAT || TF_NumDims(tensor) != 2 ||
      TF_Dim(tensor, 0) != count || TF_Dim(tensor, 1) != num_classes_) {
    throw RunError("the network's output is not " + std::to_string(count) +
                   "×" + std::to_string(num_classes_) +
                   " floats, as its metadata says");
  }
  return static_cast<const float*>(TF_TensorData(tensor));
}

std::vector<Scores> SavedModel::classify(
    const std::vector<std::string>& encoded) const {
  Tensor images = string_tensor(encoded);
  TF_Tensor* input = images.get();
  std::array<TF_Tensor*, kOutputs.size()> outputs{};
  Status status(TF_NewStatus());
  TF_SessionRun(session_.get(), nullptr, &input_, &input, 1, outputs_.data(),
                outputs.data(), static_cast<int>(outputs.size()), nullptr, 0,
                nullptr, status.get());
  Tensor logits(outputs[0]), probabilities(outputs[1]);
  if (TF_GetCode(status.get()) != TF_OK) throw BadImage(message(status.get()));
  auto count = static_cast<std::int64_t>(encoded.size());
  const float* logit = values(logits.get(), count);
  const float* probability = values(probabilities.get(), count);
  std::vector<Scores> rows;
  for (std::int64_t i = 0; i < count; ++i) {
    rows.push_back({{logit, logit + num_classes_},
                    {probability, probability + num_classes_}});
    logit += num_classes_;
    probability += num_classes_;
  }
  return rows;
}

}  // namespace

extern "C" Model* new_saved_model(const char* folder, int num_classes) {
  return new SavedModel(folder, num_classes);
}
