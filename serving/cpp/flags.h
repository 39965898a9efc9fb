// Command-line flags.
#pragma once

#include <string>
#include <vector>

#include "errors.h"

struct Flags {
  std::string model;
  std::string labels;
  int batch_size = 16;
  bool json = false;
  bool help = false;
  std::vector<std::string> paths;
};

extern const char kUsage[];

// Adds a line to `faults` for each invalid argument.
Flags parse(int argc, char** argv, Faults& faults);
