#include "flags.h"

#include <charconv>

namespace {

// Larger batches need more memory and are no faster.
constexpr int kMaxBatchSize = 4096;

}  // namespace

const char kUsage[] =
    R"(classify --model=DIR [--labels=FILE] [--batch_size=N] [--json] PATH…

Classifies images and prints the five most probable classes of each.

  --model=DIR     SavedModel written by tools.export --format=savedmodel
  --labels=FILE   lines `relative/path label`: a path relative to the folder of
                  FILE, and the name or number of a class; without it the label
                  is the name of the image's folder directly below PATH, if that
                  is the name of a class
  --batch_size=N  images per batch; default 16, or fewer if there are fewer
  --json          prints one line of JSON per image instead of a table
  PATH            image file, or folder of images

The last line is the result as JSON. latency_ms is the time of a batch, with
decoding but without reading the files. It leaves out a first run on a
placeholder batch, which compiles the network, and batches with an unreadable
image. images_per_sec covers everything after the first run.

Unreadable images are listed in `failed`, and the others are classified. Exit
status: 0 if all images were classified, 1 if one failed, 2 for a mistake on the
command line.
)";

Flags parse(int argc, char** argv, Faults& faults) {
  Flags flags;
  bool only_paths = false;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    if (only_paths || arg.rfind("-", 0) != 0) {
      flags.paths.push_back(arg);
      continue;
    }
    auto equals = arg.find('=');
    std::string name = arg.substr(0, equals);
    bool has_value = equals != std::string::npos;
    std::string value = has_value ? arg.substr(equals + 1) : "";
    if (arg == "--") {
      only_paths = true;
    } else if (arg == "--json") {
      flags.json = true;
    } else if (arg == "--help") {
      flags.help = true;
    } else if (name == "--model" && !value.empty()) {
      flags.model = value;
    } else if (name == "--labels" && !value.empty()) {
      flags.labels = value;
    } else if (name == "--batch_size") {
      const char* end = value.data() + value.size();
      auto [stop, error] = std::from_chars(value.data(), end, flags.batch_size);
      if (error != std::errc() || stop != end || flags.batch_size < 1 ||
          flags.batch_size > kMaxBatchSize) {
        faults.push_back(arg + ": expected a number from 1 to " +
                         std::to_string(kMaxBatchSize));
      }
    } else if (name == "--model" || name == "--labels") {
      faults.push_back(arg + ": expected " + name + "=PATH");
    } else if (name == "--json" || name == "--help") {
      faults.push_back(arg + ": takes no value");
    } else {
      faults.push_back(arg +
                       ": unknown flag; expected --model=, --labels=, "
                       "--batch_size=, --json or --help");
    }
  }
  return flags;
}
