// A SavedModel that takes encoded images, run by TensorFlow's C API.
#pragma once

#include <memory>
#include <string>
#include <vector>

class Model {
 public:
  virtual ~Model() = default;

  // Probabilities of each class, an image after the other. An image is a file
  // as it is: JPEG, PNG, GIF, BMP or WebP. Throws BadImage where TensorFlow
  // fails, as the network has it fail for one of too many pixels; of more than
  // one image it does not say on which.
  virtual std::vector<std::vector<float>> classify(
      const std::vector<std::string>& encoded) const = 0;
};

// Loads the signature `encoded` of the SavedModel in `folder`; throws UserError
// where it has none, or is damaged, RunError where TensorFlow is not there.
std::unique_ptr<Model> load_model(const std::string& folder, int num_classes);
