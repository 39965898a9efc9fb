// Finds and reads image files.
#pragma once

#include <string>
#include <vector>

#include "errors.h"

struct Image {
  std::string path;
  // Name of its folder directly below the given one; empty if there is none.
  std::string folder;
};

// The images in `paths` and, recursively, in the folders of `paths`; those of a
// folder sorted by path. Links to folders are not followed, because they can be
// circular.
std::vector<Image> find_images(const std::vector<std::string>& paths,
                               Faults& faults);

// The bytes of an image file; throws BadImage.
std::string read_image(const std::string& path);
