// A SavedModel on encoded images, run by TensorFlow's C API.
#pragma once

#include <memory>
#include <string>
#include <vector>

// The network's outputs for one image.
struct Scores {
  std::vector<float> logits, probabilities;
};

class Model {
 public:
  virtual ~Model() = default;

  // The scores of each image. `encoded` has the bytes of JPEG, PNG,
  // GIF, BMP or WebP files. Throws BadImage if TensorFlow fails, for example
  // because an image has too many pixels; the error does not tell which image.
  virtual std::vector<Scores> classify(
      const std::vector<std::string>& encoded) const = 0;
};

// Loads the signature `encoded` of the SavedModel in `folder`. Throws UserError
// if the model is damaged or has no such signature, RunError if TensorFlow
// cannot be loaded.
std::unique_ptr<Model> load_model(const std::string& folder, int num_classes);
