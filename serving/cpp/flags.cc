#include "flags.h"

#include <charconv>

namespace {

// Above it there is only more memory, and no more speed.
constexpr int kMostImages = 4096;

}  // namespace

const char kUsage[] =
    R"(classify --model=DIR [--labels=FILE] [--batch_size=N] [--json] PATH…

Says what is on images: the five most probable classes of each.

  --model=DIR     what tools.export --format=savedmodel wrote
  --labels=FILE   the right classes: lines `relative/path label`, paths relative
                  to the folder of FILE, a label the name or number of a class;
                  without it, the folder that an image is in, right below PATH,
                  says its class, where a class has its name
  --batch_size=N  images at a time, 16 or fewer if there are not so many
  --json          a line of JSON an image, no table
  PATH            an image, or a folder of them

The last line is the result, in JSON. latency_ms is of a batch in the network,
its decoding included, the reading of the files not. The first run, of a batch
made up for it, is when the network is compiled; it does not count, and neither
does a batch that had a broken image. images_per_sec is of everything after
that first run. A broken image is named in `failed`, the others are served,
and the exit status is 1. It is 2 for a mistake on the command line.
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
          flags.batch_size > kMostImages) {
        faults.push_back(arg + ": expected a number from 1 to " +
                         std::to_string(kMostImages));
      }
    } else if (name == "--model" || name == "--labels") {
      faults.push_back(arg + ": expected " + name + "=PATH");
    } else if (name == "--json" || name == "--help") {
      faults.push_back(arg + ": takes no value");
    } else {
      faults.push_back(arg +
                       ": no such flag; there are --model=, --labels=, "
                       "--batch_size=, --json and --help");
    }
  }
  return flags;
}
