// The module that `load_model` opens: all that knows TensorFlow.

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
constexpr char kOutput[] = "probabilities";
constexpr std::size_t kMostBytes = 200;

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

// In a line: the first says what happened, the rest where in the graph.
std::string words(const TF_Status* status) {
  std::string text = TF_Message(status);
  text = text.substr(0, text.find('\n')).substr(0, kMostBytes);
  return text.empty()
             ? "TensorFlow's error " + std::to_string(TF_GetCode(status))
             : text;
}

// The operation and the number of its output that a tensor's name stands for.
TF_Output find(TF_Graph* graph, const std::string& tensor,
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
                     "' names " + tensor + ", which its graph has not"}};
  }
  return {operation, index};
}

// A tensor of strings that are kept elsewhere for as long.
Tensor strings(const std::vector<std::string>& values) {
  auto size = static_cast<std::int64_t>(values.size());
  Tensor tensor(TF_AllocateTensor(TF_STRING, &size, 1,
                                  values.size() * sizeof(TF_TString)));
  if (!tensor) throw std::bad_alloc();
  auto* cells = static_cast<TF_TString*>(TF_TensorData(tensor.get()));
  for (const std::string& value : values) {
    TF_StringInit(cells);
    // A view owns nothing: there is nothing to be freed with the tensor.
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
  std::vector<std::vector<float>> classify(
      const std::vector<std::string>& encoded) const override;

 private:
  int num_classes_;
  // In this order: the session goes before its graph.
  Graph graph_;
  std::unique_ptr<TF_Session, CloseSession> session_;
  TF_Output input_{};
  TF_Output output_{};
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
        {"--model=" + folder + " cannot be read: " + words(status.get())}};
  }
  tensorflow::MetaGraphDef meta;
  if (!meta.ParseFromArray(buffer->data, static_cast<int>(buffer->length))) {
    throw UserError{{"--model=" + folder + " is damaged: no MetaGraphDef"}};
  }
  auto signature = meta.signature_def().find(kSignature);
  if (signature == meta.signature_def().end() ||
      !signature->second.inputs().contains(kInput) ||
      !signature->second.outputs().contains(kOutput)) {
    throw UserError{{"--model=" + folder + " has no signature '" + kSignature +
                     "' of '" + kInput + "' to '" + kOutput + "'"}};
  }
  const auto& inputs = signature->second.inputs();
  const auto& outputs = signature->second.outputs();
  input_ = find(graph_.get(), inputs.at(kInput).name(), folder);
  output_ = find(graph_.get(), outputs.at(kOutput).name(), folder);
}

std::vector<std::vector<float>> SavedModel::classify(
    const std::vector<std::string>& encoded) const {
  Tensor images = strings(encoded);
  TF_Tensor* given = images.get();
  TF_Tensor* found = nullptr;
  Status status(TF_NewStatus());
  TF_SessionRun(session_.get(), nullptr, &input_, &given, 1, &output_, &found,
                1, nullptr, 0, nullptr, status.get());
  Tensor odds(found);
  if (TF_GetCode(status.get()) != TF_OK) throw BadImage(words(status.get()));
  auto count = static_cast<std::int64_t>(encoded.size());
  // The card may be another network's.
  if (TF_TensorType(found) != TF_FLOAT || TF_NumDims(found) != 2 ||
      TF_Dim(found, 0) != count || TF_Dim(found, 1) != num_classes_) {
    throw RunError("the network's output is not " + std::to_string(count) +
                   "×" + std::to_string(num_classes_) +
                   " floats, as its card says");
  }
  const auto* begin = static_cast<const float*>(TF_TensorData(found));
  std::vector<std::vector<float>> rows;
  for (std::int64_t i = 0; i < count; ++i, begin += num_classes_) {
    rows.emplace_back(begin, begin + num_classes_);
  }
  return rows;
}

}  // namespace

extern "C" Model* new_saved_model(const char* folder, int num_classes) {
  return new SavedModel(folder, num_classes);
}
