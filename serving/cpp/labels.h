// The right classes of images, where they are known.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "about.h"
#include "errors.h"
#include "images.h"

// Of each image its class, or nothing.
using Labels = std::vector<std::optional<int>>;

// As the folders of the images are called, where a class is called so.
Labels labels_of_folders(const std::vector<Image>& images,
                         const Classes& classes);

// As a list says, of lines `relative/path label`. Without `classes`, whose
// absence is another fault, only the form of the lines is checked.
Labels labels_of_list(const std::string& list, const std::vector<Image>& images,
                      const std::optional<Classes>& classes, Faults& faults);
