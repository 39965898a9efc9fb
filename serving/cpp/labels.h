// Labels of images: from their folders or from a list.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "errors.h"
#include "images.h"
#include "metadata.h"

// The class of each image, if known.
using Labels = std::vector<std::optional<int>>;

// Labels from folder names; none where the name is not that of a class.
Labels labels_of_folders(const std::vector<Image>& images,
                         const Classes& classes);

// Labels from a file of lines `relative/path label`. Without `classes`, an error
// that is reported elsewhere, only the format of the lines is checked.
Labels labels_of_list(const std::string& list, const std::vector<Image>& images,
                      const std::optional<Classes>& classes, Faults& faults);
