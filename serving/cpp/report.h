// Prints predictions, failures, accuracy, latency and progress.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "labels.h"
#include "metadata.h"
#include "model.h"

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Report {
 public:
  // `has_labels`: whether the result has top1, top5 and count.
  Report(const Classes& classes, bool as_json, bool has_labels);

  // Prints the top-5 classes; scores that are not finite are a failure.
  void add(const std::string& image, const Scores& scores,
           std::optional<int> label);
  void fail(const std::string& image, const std::string& reason);
  // Records the latency of a batch.
  void add_latency(double seconds) { seconds_.push_back(seconds); }

  bool has_failed() const { return !failed_.empty(); }
  // One line of JSON; `seconds` is the total time.
  std::string result(double seconds, int batch_size) const;

 private:
  const Classes& classes_;
  bool as_json_, has_labels_;
  int images_ = 0, labelled_ = 0, top1_ = 0, top5_ = 0;
  std::vector<std::pair<std::string, std::string>> failed_;
  std::vector<double> seconds_;
};

// Prints progress and remaining time to stderr: every five seconds during the
// first minute, then every minute.
class Progress {
 public:
  explicit Progress(std::size_t total) : total_(total) {}
  void update(std::size_t done);

 private:
  std::size_t total_;
  Clock::time_point begin_ = Clock::now();
  double next_ = 5;
};
