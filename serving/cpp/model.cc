// Loads TensorFlow at run time instead of linking with it: TensorFlow reads its
// environment variables when it is loaded, which with linking is before main.

#include "model.h"

#include <dlfcn.h>

#include <cstdlib>

#include "errors.h"

std::unique_ptr<Model> load_model(const std::string& folder, int num_classes) {
  // No TensorFlow banners; no oneDNN, which rounds differently from
  // tools.predict.
  setenv("TF_CPP_MIN_LOG_LEVEL", "3", 0);
  setenv("TF_ENABLE_ONEDNN_OPTS", "0", 0);
  // Never closed, because TensorFlow's threads run until the program ends.
  void* module = dlopen("saved_model.so", RTLD_NOW);
  void* symbol = module ? dlsym(module, "new_saved_model") : nullptr;
  if (!symbol) throw RunError(std::string("TensorFlow: ") + dlerror());
  auto create = reinterpret_cast<Model* (*)(const char*, int)>(symbol);
  return std::unique_ptr<Model>(create(folder.c_str(), num_classes));
}
