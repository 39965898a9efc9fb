// What ends the program early.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

// A line for each mistake of the user's.
using Faults = std::vector<std::string>;

// Mistakes of the user's, all that are known by then: exit status 2.
struct UserError {
  Faults faults;
};

// What ends a run that was right to begin with, in one line: exit status 1.
struct RunError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Why an image is not classified; the others are.
struct BadImage : std::runtime_error {
  using std::runtime_error::runtime_error;
};
