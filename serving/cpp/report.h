// What is said of the images, and of how long they took.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "about.h"
#include "labels.h"

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Report {
 public:
  // `has_labels`: whether the result says how many are right.
  Report(const Classes& classes, bool as_json, bool has_labels);

  // Prints the five best guesses; where these are no numbers, it has failed.
  void add(const std::string& image, const std::vector<float>& odds,
           std::optional<int> label);
  void fail(const std::string& image, const std::string& reason);
  // Of a whole batch in the network.
  void time(double seconds) { seconds_.push_back(seconds); }

  bool has_failed() const { return !failed_.empty(); }
  // In a line; `seconds` for all of the images.
  std::string result(double seconds, int batch_size) const;

 private:
  const Classes& classes_;
  bool as_json_, has_labels_;
  int images_ = 0, labelled_ = 0, top1_ = 0, top5_ = 0;
  std::vector<std::pair<std::string, std::string>> failed_;
  std::vector<double> seconds_;
};

// Says on stderr how far it is and how long it will take: after five seconds,
// every five for a minute, then each minute.
class Progress {
 public:
  explicit Progress(std::size_t total) : total_(total) {}
  void update(std::size_t done);

 private:
  std::size_t total_;
  Clock::time_point begin_ = Clock::now();
  double next_ = 5;
};
