// How large an image says it is, before anything is decoded.
#pragma once

#include <cstdint>
#include <string_view>

// Throws BadImage for what is no JPEG, PNG, GIF, BMP or WebP (TensorFlow reads
// more than tools.predict does), and for one of more than `most` pixels: a file
// of a few kB may ask for gigabytes. That a JPEG has no more is checked in the
// network itself. Throws it for a BMP with a palette, too, whose numbers would
// be taken for greys.
void check_pixels(std::string_view encoded, std::int64_t most);
