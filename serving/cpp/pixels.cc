#include "pixels.h"

#include <cstdlib>
#include <string>

#include "errors.h"

namespace {

using Bytes = std::string_view;

// A number of `count` bytes; 0 past the end.
std::int64_t little(Bytes bytes, std::size_t begin, std::size_t count) {
  std::int64_t value = 0;
  for (std::size_t i = count; i-- > 0;) {
    std::size_t at = begin + i;
    unsigned char byte = at < bytes.size() ? bytes[at] : 0;
    value = value * 256 + byte;
  }
  return value;
}

std::int64_t big(Bytes bytes, std::size_t begin, std::size_t count) {
  std::int64_t value = 0;
  for (std::size_t at = begin; at < begin + count; ++at) {
    unsigned char byte = at < bytes.size() ? bytes[at] : 0;
    value = value * 256 + byte;
  }
  return value;
}

bool has(Bytes bytes, std::size_t begin, Bytes word) {
  return bytes.size() >= begin && bytes.substr(begin, word.size()) == word;
}

struct Size {
  std::int64_t width = 0;
  std::int64_t height = 0;
};

// Of the three kinds of a WebP: lossy, lossless, and with more than that.
Size webp(Bytes bytes) {
  if (has(bytes, 12, "VP8X")) {
    return {little(bytes, 24, 3) + 1, little(bytes, 27, 3) + 1};
  }
  if (has(bytes, 12, "VP8L")) {
    std::int64_t bits = little(bytes, 21, 4);
    return {(bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1};
  }
  return {little(bytes, 26, 2) & 0x3fff, little(bytes, 28, 2) & 0x3fff};
}

Size bmp(Bytes bytes) {
  // The height of one that is stored from the top is negative.
  auto extent = [&](std::size_t begin) {
    return std::abs(
        std::int64_t{static_cast<std::int32_t>(little(bytes, begin, 4))});
  };
  return {extent(18), extent(22)};
}

Size size_of(Bytes bytes) {
  if (has(bytes, 0, "\xff\xd8\xff")) return {};
  if (has(bytes, 0, "\x89PNG")) return {big(bytes, 16, 4), big(bytes, 20, 4)};
  if (has(bytes, 0, "GIF8")) return {little(bytes, 6, 2), little(bytes, 8, 2)};
  if (has(bytes, 0, "BM")) return bmp(bytes);
  if (has(bytes, 0, "RIFF") && has(bytes, 8, "WEBP")) return webp(bytes);
  throw BadImage("no image of a known kind");
}

}  // namespace

void check_pixels(Bytes encoded, std::int64_t most) {
  auto [width, height] = size_of(encoded);
  // Not their product, which might be more than there are numbers for.
  if (width > 0 && height > most / width) {
    throw BadImage(std::to_string(width) + "×" + std::to_string(height) +
                   " is more than " + std::to_string(most) + " pixels");
  }
  if (has(encoded, 0, "BM") && little(encoded, 28, 2) <= 8) {
    throw BadImage("a BMP with a palette: not supported");
  }
}
