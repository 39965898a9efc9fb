// Classifies images with an exported network, without Python; see kUsage.

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "errors.h"
#include "flags.h"
#include "images.h"
#include "labels.h"
#include "metadata.h"
#include "model.h"
#include "report.h"

namespace {

constexpr std::size_t kMaxFaults = 40;

// A grey image of one pixel. It pads batches, because each batch size would be
// compiled separately, and fills the first one.
std::string placeholder() {
  std::string bmp(58, '\0');
  bmp.replace(0, 2, "BM");
  bmp[2] = 58;            // bytes of the file
  bmp[10] = 54;           // where the pixels begin
  bmp[14] = 40;           // bytes of the header
  bmp[18] = bmp[22] = 1;  // width and height
  bmp[26] = 1;            // planes
  bmp[28] = 24;           // bits per pixel
  bmp[34] = 4;            // bytes of the pixels: one padded row
  bmp.replace(54, 3, 3, 'x');
  return bmp;
}

// The validated arguments.
struct Job {
  Flags flags;
  std::optional<Classes> classes;
  std::vector<Image> images;
  Labels labels;
};

Job prepare(int argc, char** argv) {
  Faults faults;
  Job job;
  job.flags = parse(argc, argv, faults);
  if (job.flags.help) return job;
  if (job.flags.model.empty()) {
    faults.push_back("--model= is missing: the folder of a SavedModel");
  } else {
    job.classes = read_classes(job.flags.model, faults);
  }
  if (job.flags.paths.empty()) {
    faults.push_back("no images: give image files or folders of images");
  }
  job.images = find_images(job.flags.paths, faults);
  if (!job.flags.labels.empty()) {
    job.labels =
        labels_of_list(job.flags.labels, job.images, job.classes, faults);
  } else if (job.classes) {
    job.labels = labels_of_folders(job.images, *job.classes);
  }
  if (!faults.empty()) throw UserError{faults};
  return job;
}

// Reads, classifies and reports one batch.
void classify_batch(const Model& model, std::size_t begin, std::size_t size,
           const Job& job, Report& report) {
  std::vector<std::string> files;
  std::vector<std::size_t> read;
  std::size_t end = std::min(begin + size, job.images.size());
  for (std::size_t i = begin; i < end; ++i) {
    try {
      files.push_back(read_image(job.images[i].path));
      read.push_back(i);
    } catch (const BadImage& error) {
      report.fail(job.images[i].path, error.what());
    }
  }
  if (read.empty()) return;
  files.resize(size, placeholder());
  std::vector<Scores> scores;
  auto start = Clock::now();
  try {
    scores = model.classify(files);
    report.add_latency(seconds_since(start));
  } catch (const BadImage&) {
    // One of them is unreadable: classify them one by one.
  }
  for (std::size_t row = 0; row < read.size(); ++row) {
    const Image& image = job.images[read[row]];
    try {
      report.add(image.path,
                 scores.empty() ? model.classify({files[row]})[0]
                                : scores[row],
                 job.labels[read[row]]);
    } catch (const BadImage& error) {
      report.fail(image.path, error.what());
    }
  }
}

// Whether any image has a label; warns if only some have.
bool has_labels(const Job& job) {
  auto count = job.images.size();
  auto without = static_cast<std::size_t>(
      std::count(job.labels.begin(), job.labels.end(), std::nullopt));
  if (without == count) return false;
  if (without > 0) {
    auto first = std::find(job.labels.begin(), job.labels.end(), std::nullopt);
    std::cerr << without << " of " << count << " images have no label and are "
              << "not counted, for example "
              << job.images[first - job.labels.begin()].path << std::endl;
  }
  return true;
}

int classify(const Job& job) {
  auto size = std::min(static_cast<std::size_t>(job.flags.batch_size),
                       job.images.size());
  std::cerr << "loading " << job.flags.model << " and compiling it for batches "
            << "of " << size << " images" << std::endl;
  const std::unique_ptr<Model> model =
      load_model(job.flags.model, job.classes->size());
  try {
    model->classify(std::vector<std::string>(size, placeholder()));
  } catch (const BadImage& error) {
    throw RunError(job.flags.model + " cannot be run: " + error.what());
  }
  Report report(*job.classes, job.flags.json, has_labels(job));
  Progress progress(job.images.size());
  auto start = Clock::now();
  for (std::size_t begin = 0; begin < job.images.size(); begin += size) {
    classify_batch(*model, begin, size, job, report);
    std::cout.flush();
    progress.update(std::min(begin + size, job.images.size()));
  }
  double seconds = seconds_since(start);
  std::cout << report.result(seconds, static_cast<int>(size)) << std::endl;
  if (!std::cout) throw RunError("the result cannot be written to stdout");
  return report.has_failed() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Job job = prepare(argc, argv);
    if (job.flags.help) {
      std::cout << kUsage;
      return 0;
    }
    return classify(job);
  } catch (const UserError& error) {
    std::size_t count = 0;
    for (const std::string& fault : error.faults) {
      if (count++ < kMaxFaults) std::cerr << "error: " << fault << '\n';
    }
    if (count > kMaxFaults) {
      std::cerr << "error: and " << count - kMaxFaults << " more\n";
    }
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << std::endl;
    return 1;
  }
}
