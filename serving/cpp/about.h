// What tools.export wrote about a network beside it.
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

  // The output of a name, or nothing: of a name that two outputs have, too.
  std::optional<int> find(const std::string& name) const;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, int> by_name_;
};

// The classes of the SavedModel in `folder`. Where it is none of ours, says
// why in `faults`, and returns nothing. Loads no network.
std::optional<Classes> read_about(const std::string& folder, Faults& faults);
