#include "metadata.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

namespace {

constexpr char kFile[] = "assets.extra/inception_jax.json";
constexpr int kVersion = 1;
constexpr int kAmbiguous = -1;
// Rejects damaged numbers before memory is allocated for them.
constexpr std::size_t kMaxOutputs = 1'000'000;

}  // namespace

Classes::Classes(std::vector<std::string> names) : names_(std::move(names)) {
  for (int i = 0; i < size(); ++i) {
    auto [at, is_new] = by_name_.emplace(names_[i], i);
    // ImageNet has two classes named crane.
    if (!is_new) at->second = kAmbiguous;
  }
}

std::optional<int> Classes::find(const std::string& name) const {
  auto at = by_name_.find(name);
  if (at == by_name_.end() || at->second == kAmbiguous) return std::nullopt;
  return at->second;
}

std::optional<Classes> read_classes(const std::string& folder, Faults& faults) {
  std::filesystem::path root(folder);
  std::error_code ignored;
  auto fault = [&](const std::string& what) {
    faults.push_back("--model=" + folder + what);
    return std::nullopt;
  };
  if (!std::filesystem::is_directory(root, ignored)) {
    return fault(": no such folder");
  }
  if (!std::filesystem::is_regular_file(root / "saved_model.pb", ignored)) {
    return fault(" is not a SavedModel: it has no saved_model.pb");
  }
  std::ifstream file(root / kFile);
  if (!file) {
    return fault(" was not exported by tools.export: it has no " +
                 std::string(kFile));
  }
  std::vector<std::string> names;
  std::size_t outputs;
  try {
    auto values = nlohmann::json::parse(file);
    if (values.at("version") != kVersion) {
      return fault(" has metadata of version " + values.at("version").dump() +
                   "; this program reads version " + std::to_string(kVersion));
    }
    outputs = values.at("model").at("num_classes").get<std::size_t>();
    names = values.at("classes").get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    return fault(": " + std::string(kFile) + " is damaged");
  }
  if (outputs == 0 || outputs > kMaxOutputs || names.size() > outputs) {
    return fault(": " + std::string(kFile) + " is damaged: it has " +
                 std::to_string(names.size()) + " class names for " +
                 std::to_string(outputs) + " outputs");
  }
  // Outputs without a name are called as in tools.predict.
  while (names.size() < outputs) {
    names.push_back("output " + std::to_string(names.size()));
  }
  return Classes(std::move(names));
}
