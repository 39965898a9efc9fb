#include "images.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

namespace {

// As in inception_jax/data/sources/image_tree.py, and so are these folders. A
// SavedModel does not decode TIFF, JPEG 2000 and AVIF, which Python reads, too.
constexpr std::array kSuffixes = {".jpg", ".jpeg", ".jpe", ".jfif",
                                  ".png", ".webp", ".bmp", ".gif"};
constexpr std::array kForeign = {"__macosx", "@eadir", "$recycle.bin",
                                 "lost+found", "system volume information"};
// The network decodes at most 80 million pixels, a BMP of 240 MB.
constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

std::string lower(std::string text) {
  for (char& c : text) {
    if ('A' <= c && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

template <typename Words>
bool contains(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_image(const fs::path& path) {
  return contains(kSuffixes, lower(path.extension().string()));
}

bool is_hidden(const fs::path& path) {
  std::string name = lower(path.filename().string());
  return name.front() == '.' || contains(kForeign, name);
}

std::vector<Image> in_folder(const fs::path& root) {
  std::vector<Image> found;
  fs::recursive_directory_iterator place(root), end;
  for (; place != end; ++place) {
    const fs::directory_entry& entry = *place;
    if (is_hidden(entry.path())) {
      place.disable_recursion_pending();
      continue;
    }
    std::error_code gone;
    if (!is_image(entry.path()) || !entry.is_regular_file(gone)) continue;
    fs::path inside = entry.path().lexically_relative(root);
    bool has_folder = inside.has_parent_path();
    found.push_back({entry.path().string(),
                     has_folder ? inside.begin()->string() : std::string()});
  }
  std::sort(found.begin(), found.end(),
            [](const Image& a, const Image& b) { return a.path < b.path; });
  return found;
}

std::string no_images(const std::string& folder) {
  std::string text = folder + " has no images: ";
  for (const char* suffix : kSuffixes) {
    text += suffix;
    text += suffix == kSuffixes.back() ? "" : ", ";
  }
  return text;
}

}  // namespace

std::vector<Image> find_images(const std::vector<std::string>& paths,
                               Faults& faults) {
  std::vector<Image> images;
  for (const std::string& path : paths) {
    std::error_code ignored;
    fs::file_status status = fs::status(path, ignored);
    if (!fs::exists(status)) {
      faults.push_back(path + ": no such file");
    } else if (fs::is_regular_file(status)) {
      images.push_back({path, ""});
    } else if (!fs::is_directory(status)) {
      // Reading a pipe might never end.
      faults.push_back(path + ": neither a file nor a folder");
    } else {
      try {
        std::vector<Image> found = in_folder(path);
        if (found.empty()) faults.push_back(no_images(path));
        images.insert(images.end(), found.begin(), found.end());
      } catch (const fs::filesystem_error& error) {
        faults.push_back(error.path1().string() +
                         " cannot be listed: " + error.code().message());
      }
    }
  }
  return images;
}

std::string read_image(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) {
    throw BadImage(std::string("cannot be read: ") + std::strerror(errno));
  }
  auto size = static_cast<std::int64_t>(file.tellg());
  if (size < 0 || static_cast<std::size_t>(size) > kMaxBytes) {
    throw BadImage("larger than " + std::to_string(kMaxBytes >> 20) + " MiB");
  }
  std::string bytes(static_cast<std::size_t>(size), '\0');
  file.seekg(0);
  if (!file.read(bytes.data(), size)) {
    throw BadImage("cannot be read to its end");
  }
  return bytes;
}
