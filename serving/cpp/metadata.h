// The metadata that tools.export writes into a SavedModel's folder.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "errors.h"

class Classes {
 public:
  explicit Classes(std::vector<std::string> names);

  const std::string& name(int output) const { return names_.at(output); }
  int size() const { return static_cast<int>(names_.size()); }

  // The output with this name; none if no output or more than one has it.
  std::optional<int> find(const std::string& name) const;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, int> by_name_;
};

// The class names of the SavedModel in `folder`, without loading it. If
// tools.export did not write it, returns none and adds a line to `faults`.
std::optional<Classes> read_classes(const std::string& folder, Faults& faults);
