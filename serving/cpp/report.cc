#include "report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <numeric>

#include "errors.h"

namespace {

using Json = nlohmann::ordered_json;

constexpr int kTopClasses = 5;

// In one line. File names that are not UTF-8 get replacement characters.
std::string line(const Json& values) {
  return values.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The highest outputs; ties go to the lower index, as in tools.predict. Of
// logits, since many probabilities of a confident network are 0.
std::vector<int> top_classes(const std::vector<float>& logits) {
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto end = order.begin() +
             std::min<std::ptrdiff_t>(kTopClasses, logits.size());
  std::partial_sort(order.begin(), end, order.end(), [&](int a, int b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  order.erase(end, order.end());
  return order;
}

// Linear interpolation between the nearest values, as numpy.percentile.
double percentile(const std::vector<double>& sorted, double fraction) {
  double at = fraction * static_cast<double>(sorted.size() - 1);
  auto below = static_cast<std::size_t>(at);
  auto above = std::min(below + 1, sorted.size() - 1);
  double rest = at - static_cast<double>(below);
  return sorted[below] + rest * (sorted[above] - sorted[below]);
}

double rounded(double value, double digits) {
  return std::round(value * digits) / digits;
}

Json milliseconds(std::vector<double> seconds) {
  if (seconds.empty()) return nullptr;
  std::sort(seconds.begin(), seconds.end());
  double sum = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  auto ms = [](double value) { return rounded(1000 * value, 1000); };
  return {{"mean", ms(sum / static_cast<double>(seconds.size()))},
          {"p50", ms(percentile(seconds, 0.50))},
          {"p90", ms(percentile(seconds, 0.90))},
          {"p99", ms(percentile(seconds, 0.99))}};
}

}  // namespace

Report::Report(const Classes& classes, bool as_json, bool has_labels)
    : classes_(classes), as_json_(as_json), has_labels_(has_labels) {}

void Report::add(const std::string& image, const Scores& scores,
                 std::optional<int> label) {
  const auto& [logits, probabilities] = scores;
  for (const auto& values : {logits, probabilities}) {
    if (!std::all_of(values.begin(), values.end(),
                     [](float x) { return std::isfinite(x); })) {
      return fail(image, "the network's output is not finite");
    }
  }
  std::vector<int> top = top_classes(logits);
  ++images_;
  if (label) {
    ++labelled_;
    top1_ += top.front() == *label;
    top5_ += std::count(top.begin(), top.end(), *label);
  }
  if (as_json_) {
    Json classes = Json::array();
    for (int i : top) {
      classes.push_back(
          {{"class", classes_.name(i)}, {"probability", probabilities[i]}});
    }
    std::cout << line({{"image", image}, {"classes", classes}}) << '\n';
    return;
  }
  std::cout << image;
  for (int i : top) {
    char percent[16];
    std::snprintf(percent, sizeof percent, "%5.1f", 100.0 * probabilities[i]);
    std::cout << "  " << percent << " % " << classes_.name(i);
  }
  std::cout << '\n';
}

void Report::fail(const std::string& image, const std::string& reason) {
  failed_.emplace_back(image, reason);
  std::cerr << image << ": " << reason << std::endl;
}

std::string Report::result(double seconds, int batch_size) const {
  Json values = {{"images", images_}, {"failed", Json::object()}};
  for (const auto& [image, reason] : failed_) values["failed"][image] = reason;
  if (has_labels_) {
    auto accuracy = [&](int correct) {
      return labelled_ ? Json(double(correct) / labelled_) : Json();
    };
    values["top1"] = accuracy(top1_);
    values["top5"] = accuracy(top5_);
    values["count"] = labelled_;
  }
  values["latency_ms"] = milliseconds(seconds_);
  values["images_per_sec"] = rounded(images_ / seconds, 100);
  values["batch_size"] = batch_size;
  return line(values);
}

void Progress::update(std::size_t done) {
  double seconds = seconds_since(begin_);
  if (seconds < next_ || done == 0 || done >= total_) return;
  next_ = seconds + (seconds < 60 ? 5 : 60);
  double left =
      seconds / static_cast<double>(done) * static_cast<double>(total_ - done);
  auto whole = static_cast<long>(std::ceil(left));
  std::cerr << done << " of " << total_ << " images, " << whole / 60 << " min "
            << whole % 60 << " s left" << std::endl;
}
