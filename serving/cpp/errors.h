// Exceptions, and lists of user errors.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

// User errors, one line each.
using Faults = std::vector<std::string>;

// Invalid arguments or files, with all errors found so far: exit status 2.
struct UserError {
  Faults faults;
};

// A failure at run time, in one line: exit status 1.
struct RunError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// An image that cannot be classified; the program continues with the others.
struct BadImage : std::runtime_error {
  using std::runtime_error::runtime_error;
};
