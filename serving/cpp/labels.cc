#include "labels.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <unordered_map>

namespace fs = std::filesystem;

namespace {

constexpr char kSpace[] = " \t\r\n\v\f";

// A key for a file that is the same for all paths to it.
std::string key(const fs::path& path) {
  std::error_code failed;
  fs::path real = fs::weakly_canonical(path, failed);
  return (failed ? fs::absolute(path).lexically_normal() : real).string();
}

// Names take precedence over numbers, because classes may be named 0, 1, ….
std::optional<int> class_of(const std::string& label, const Classes& classes) {
  if (auto output = classes.find(label)) return output;
  int number = -1;
  const char* end = label.data() + label.size();
  auto [stop, error] = std::from_chars(label.data(), end, number);
  bool is_class = error == std::errc() && stop == end && 0 <= number &&
                number < classes.size();
  return is_class ? std::optional(number) : std::nullopt;
}

struct Line {
  std::string path;
  std::string label;
};

// The label is the last word, because paths may have spaces.
std::optional<Line> split(const std::string& text) {
  auto last = text.find_last_not_of(kSpace);
  auto gap = text.find_last_of(kSpace, last);
  if (gap == std::string::npos) return std::nullopt;
  auto begin = text.find_first_not_of(kSpace);
  auto end = text.find_last_not_of(kSpace, gap);
  if (end == std::string::npos) return std::nullopt;
  return Line{text.substr(begin, end - begin + 1),
              text.substr(gap + 1, last - gap)};
}

// Class by file; see `key`.
using ByFile = std::unordered_map<std::string, int>;

ByFile read_list(const std::string& list, const std::optional<Classes>& classes,
                 Faults& faults) {
  ByFile by_file;
  std::error_code ignored;
  std::ifstream file;
  if (fs::is_regular_file(list, ignored)) file.open(list);
  if (!file.is_open()) {
    faults.push_back("--labels=" + list + ": no such file");
    return by_file;
  }
  fs::path folder = fs::path(list).parent_path();
  std::string text;
  for (int number = 1; std::getline(file, text); ++number) {
    if (text.find_first_not_of(kSpace) == std::string::npos) continue;
    std::string where = list + ", line " + std::to_string(number) + ": ";
    std::optional<Line> line = split(text);
    if (!line) {
      faults.push_back(where + "expected \"relative/path label\", not \"" +
                       text.substr(0, 80) + "\"");
      continue;
    }
    if (!classes) continue;
    std::optional<int> output = class_of(line->label, *classes);
    if (!output) {
      faults.push_back(where + line->label +
                       " is neither a class name nor a number from 0 to " +
                       std::to_string(classes->size() - 1));
      continue;
    }
    auto [at, is_new] = by_file.emplace(key(folder / line->path), *output);
    if (!is_new && at->second != *output) {
      faults.push_back(where + line->path + " already has another label");
    }
  }
  return by_file;
}

}  // namespace

Labels labels_of_folders(const std::vector<Image>& images,
                         const Classes& classes) {
  Labels labels;
  for (const Image& image : images) {
    labels.push_back(classes.find(image.folder));
  }
  return labels;
}

Labels labels_of_list(const std::string& list, const std::vector<Image>& images,
                      const std::optional<Classes>& classes, Faults& faults) {
  std::size_t before = faults.size();
  ByFile by_file = read_list(list, classes, faults);
  Labels labels;
  for (const Image& image : images) {
    auto at = by_file.find(key(image.path));
    labels.push_back(at == by_file.end() ? std::nullopt
                                         : std::optional(at->second));
  }
  bool none = std::none_of(labels.begin(), labels.end(),
                           [](auto& x) { return x.has_value(); });
  if (none && classes && !images.empty() && faults.size() == before) {
    faults.push_back("--labels=" + list + " contains none of the images");
  }
  return labels;
}
