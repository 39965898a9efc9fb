// Images on a disk: which there are, and what is in them.
#pragma once

#include <string>
#include <vector>

#include "errors.h"

struct Image {
  std::string path;
  // The folder it is in, right below the one that was asked for; or nothing.
  std::string folder;
};

// The images among `paths`, and in the folders among them and all below those,
// in the order of their names. Links to folders are not followed: one to a
// folder above would never end.
std::vector<Image> find_images(const std::vector<std::string>& paths,
                               Faults& faults);

// An image's file as it is; throws BadImage.
std::string read_image(const std::string& path);
