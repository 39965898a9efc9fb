// TensorFlow is a module that is opened here, not linked with: it reads its
// settings as it is loaded, which with linking is before main.

#include "model.h"

#include <dlfcn.h>

#include <cstdlib>

#include "errors.h"

std::unique_ptr<Model> load_model(const std::string& folder, int num_classes) {
  // Its banners help nobody; with oneDNN it rounds otherwise than
  // tools.predict.
  setenv("TF_CPP_MIN_LOG_LEVEL", "3", 0);
  setenv("TF_ENABLE_ONEDNN_OPTS", "0", 0);
  // Never closed: TensorFlow's threads live as long as the program.
  void* module = dlopen("saved_model.so", RTLD_NOW);
  void* symbol = module ? dlsym(module, "new_saved_model") : nullptr;
  if (!symbol) throw RunError(std::string("TensorFlow: ") + dlerror());
  auto create = reinterpret_cast<Model* (*)(const char*, int)>(symbol);
  return std::unique_ptr<Model>(create(folder.c_str(), num_classes));
}
