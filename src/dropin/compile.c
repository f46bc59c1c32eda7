// The compile API: models compiled ahead of their sessions.
//
// No provider here has a compiled form that a model could carry, so compiling is what ONNX Runtime makes of it on the CPU alone: the model is
// opened, as proof that it can be, and written as it is, with its weights where they are wanted.
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "dropin/session.h"
#include "ort/model.h"

struct OrtModelCompilationOptions {
  OrtSessionOptions* session;  // a copy
  char* path;                  // of the model; or
  const void* data;            // borrowed until it is compiled
  size_t size;
  // Where it goes: one of these; none: beside the model, as "<name>_ctx.onnx".
  char* out_path;
  OrtAllocator* allocator;
  void** out_data;
  size_t* out_size;
  OrtWriteBufferFunc write;
  void* write_state;
  uint32_t flags;
  char* weights_file;  // of initializers that are to lie beside the model; or
  OrtGetInitializerLocationFunc locate;
  void* locate_state;
  size_t least;  // bytes of those that go to |weights_file|
};

OrtStatus* ort_compile_CreateModelCompilationOptionsFromSessionOptions(
    const OrtEnv* env, const OrtSessionOptions* options, OrtModelCompilationOptions** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  KP_ORT_NEED(options);
  OrtModelCompilationOptions* made = kp_alloc_zero(1, sizeof *made);
  if (!made) return kp_ort_no_memory();
  OrtStatus* status = ort_CloneSessionOptions(options, &made->session);
  if (status) {
    kp_free(made);
    return status;
  }
  *out = made;
  return NULL;
}

void ort_compile_ReleaseModelCompilationOptions(OrtModelCompilationOptions* object) {
  if (!object) return;
  ort_ReleaseSessionOptions(object->session);
  kp_free(object->path);
  kp_free(object->out_path);
  kp_free(object->weights_file);
  kp_free(object);
}

static OrtStatus* set_text(char** text, const char* given) {
  char* copy = kp_strdup(given);
  if (!copy) return kp_ort_no_memory();
  kp_free(*text);
  *text = copy;
  return NULL;
}

// --- from where ------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_compile_ModelCompilationOptions_SetInputModelPath(
    OrtModelCompilationOptions* options, const char* path) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(path);
  if (!path[0])
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid input model: path must not be empty");
  options->data = NULL;
  return set_text(&options->path, path);
}

OrtStatus* ort_compile_ModelCompilationOptions_SetInputModelFromBuffer(
    OrtModelCompilationOptions* options, const void* data, size_t size) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(data);
  if (size == 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid input model: data size is 0");
  kp_free(options->path);
  options->path = NULL;
  options->data = data;
  options->size = size;
  return NULL;
}

// --- to where --------------------------------------------------------------------------------------------------------------------
static void forget_output(OrtModelCompilationOptions* options) {
  kp_free(options->out_path);
  options->out_path = NULL;
  options->allocator = NULL;
  options->write = NULL;
}

OrtStatus* ort_compile_ModelCompilationOptions_SetOutputModelPath(
    OrtModelCompilationOptions* options, const char* path) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(path);
  if (!path[0])
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid output model path: path is empty");
  forget_output(options);
  return set_text(&options->out_path, path);
}

OrtStatus* ort_compile_ModelCompilationOptions_SetOutputModelBuffer(
    OrtModelCompilationOptions* options, OrtAllocator* allocator, void** output_model_buffer_ptr,
    size_t* output_model_buffer_size_ptr) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(output_model_buffer_ptr);
  KP_ORT_NEED(output_model_buffer_size_ptr);
  forget_output(options);
  options->allocator = allocator;
  options->out_data = output_model_buffer_ptr;
  options->out_size = output_model_buffer_size_ptr;
  return NULL;
}

OrtStatus* ort_compile_ModelCompilationOptions_SetOutputModelWriteFunc(
    OrtModelCompilationOptions* options, OrtWriteBufferFunc write_func, void* state) {
  KP_ORT_NEED(options);
  if (!write_func) return kp_ort_error(ORT_INVALID_ARGUMENT, "OrtWriteBufferFunc function is NULL");
  forget_output(options);
  options->write = write_func;
  options->write_state = state;
  return NULL;
}

// --- how -------------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_compile_ModelCompilationOptions_SetFlags(OrtModelCompilationOptions* options,
                                                        uint32_t flags) {
  KP_ORT_NEED(options);
  options->flags = flags;
  return NULL;
}

OrtStatus* ort_compile_ModelCompilationOptions_SetGraphOptimizationLevel(
    OrtModelCompilationOptions* options, GraphOptimizationLevel level) {
  KP_ORT_NEED(options);
  return ort_SetSessionGraphOptimizationLevel(options->session, level);
}

OrtStatus* ort_compile_ModelCompilationOptions_SetEpContextEmbedMode(
    OrtModelCompilationOptions* options, bool embed_ep_context_in_model) {
  KP_ORT_NEED(options);
  return ort_AddSessionConfigEntry(options->session, "ep.context_embed_mode",
                                   embed_ep_context_in_model ? "1" : "0");
}

OrtStatus* ort_compile_ModelCompilationOptions_SetEpContextBinaryInformation(
    OrtModelCompilationOptions* options, const char* output_directory, const char* model_name) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(output_directory);
  KP_ORT_NEED(model_name);
  if (!output_directory[0] || !model_name[0])
    return kp_ort_error(ORT_INVALID_ARGUMENT, "output_directory or model_name is empty");
  return NULL;
}

OrtStatus* ort_compile_ModelCompilationOptions_SetOutputModelExternalInitializersFile(
    OrtModelCompilationOptions* options, const char* external_initializers_file_path,
    size_t external_initializers_size_threshold) {
  KP_ORT_NEED(options);
  KP_ORT_NEED(external_initializers_file_path);
  if (!external_initializers_file_path[0])
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Invalid external initializer file: path is empty");
  options->locate = NULL;
  options->least = external_initializers_size_threshold;
  return set_text(&options->weights_file, external_initializers_file_path);
}

OrtStatus* ort_compile_ModelCompilationOptions_SetOutputModelGetInitializerLocationFunc(
    OrtModelCompilationOptions* options,
    OrtGetInitializerLocationFunc get_initializer_location_func, void* state) {
  KP_ORT_NEED(options);
  if (!get_initializer_location_func)
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "OrtGetInitializerLocationFunc function for output model is null");
  kp_free(options->weights_file);
  options->weights_file = NULL;
  options->locate = get_initializer_location_func;
  options->locate_state = state;
  return NULL;
}

// --- compiling -------------------------------------------------------------------------------------------------------------------
static OrtStatus* give(const OrtModelCompilationOptions* options, const void* data, size_t size,
                       const char* path) {
  if (options->write) return options->write(options->write_state, data, size);
  if (!options->allocator) return kp_ort_status(kp_file_write(path, data, size));
  void* copy = options->allocator->Alloc(options->allocator, size);
  if (!copy) return kp_ort_error(ORT_FAIL, "the allocator gave no memory for %zu bytes", size);
  memcpy(copy, data, size);
  *options->out_data = copy;
  *options->out_size = size;
  return NULL;
}

// The path to write to; NULL where no file is meant. kp_free it.
static OrtStatus* name_output(const OrtModelCompilationOptions* options, char** out) {
  static const char ending[] = "_ctx.onnx";
  *out = NULL;
  if (options->write || options->allocator) return NULL;
  if (options->out_path) {
    *out = kp_strdup(options->out_path);
  } else if (options->path) {
    const size_t length = strlen(options->path);
    const char *dot = strrchr(options->path, '.'), *slash = strrchr(options->path, '/');
    const size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - options->path) : length;
    *out = kp_alloc_zero(length + sizeof ending, 1);
    if (*out) {
      memcpy(*out, options->path, stem);
      memcpy(*out + stem, ending, sizeof ending);
    }
  } else {
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "a model in memory needs an output: path, buffer or function");
  }
  if (!*out) return kp_ort_no_memory();
  if (options->flags & OrtCompileApiFlags_ERROR_IF_OUTPUT_FILE_EXISTS && access(*out, F_OK) == 0)
    return kp_ort_error(ORT_FAIL, "Output model file '%s' exists already.", *out);
  return NULL;
}

// The model is opened for the errors that this gives.
static OrtStatus* try_model(const OrtEnv* env, const OrtModelCompilationOptions* options) {
  OrtSession* session;
  KP_ORT_PASS(dropin_session_create(env, options->path, options->data, options->size,
                                    options->session, NULL, &session));
  ort_ReleaseSession(session);
  if (!(options->flags & OrtCompileApiFlags_ERROR_IF_NO_NODES_COMPILED)) return NULL;
  return kp_ort_error(
      ORT_FAIL,
      "Unable to compile any nodes. Check that the session EPs support compilation and can "
      "execute at least one subgraph in the model.");
}

static OrtStatus* copy_model(const OrtModelCompilationOptions* options, const char* path) {
  if (!options->path) return give(options, options->data, options->size, path);
  kp_file* file;
  KP_ORT_TAKE(kp_file_map(options->path, &file));
  OrtStatus* status = give(options, file->data, file->size, path);
  kp_file_release(file);
  return status;
}

// The file of weights lies in the folder of the model |path| (NULL: in the working folder). kp_free it.
static OrtStatus* name_weights(const OrtModelCompilationOptions* options, const char* path,
                               char** out) {
  const char* name = options->weights_file;
  const char* slash = path ? strrchr(path, '/') : NULL;
  const size_t folder = slash ? (size_t)(slash + 1 - path) : 0;
  *out = NULL;
  if (!name) return NULL;
  if (name[0] == '/')
    return kp_ort_error(ORT_FAIL,
                        "the file of external initializers '%s' has to be relative: "
                        "external_file_path.is_relative() was false",
                        name);
  *out = kp_alloc_zero(folder + strlen(name) + 1, 1);
  if (!*out) return kp_ort_no_memory();
  if (folder) memcpy(*out, path, folder);
  memcpy(*out + folder, name, strlen(name));
  return NULL;
}

// The model as it is, but for where its weights lie: inside, where nothing else is asked for.
static OrtStatus* write_model(const OrtModelCompilationOptions* options, const char* path) {
  static const char folder_key[] = "session.model_external_initializers_file_folder_path";
  const char* folder = kp_ort_options_config(options->session, folder_key, NULL);
  char* weights_path;
  void* bytes = NULL;
  size_t size;
  KP_ORT_PASS(name_weights(options, path, &weights_path));
  const kp_ort_weights weights = {.file = options->weights_file,
                                  .path = weights_path,
                                  .least = options->least,
                                  .locate = options->locate,
                                  .state = options->locate_state};
  OrtStatus* status = kp_ort_model_place_weights(options->path, options->data, options->size,
                                                 folder, &weights, &bytes, &size);
  if (!status) status = bytes ? give(options, bytes, size, path) : copy_model(options, path);
  kp_free(bytes);
  kp_free(weights_path);
  return status;
}

OrtStatus* ort_compile_CompileModel(const OrtEnv* env, const OrtModelCompilationOptions* options) {
  char* path = NULL;
  KP_ORT_NEED(env);
  KP_ORT_NEED(options);
  if (!options->path && !options->data)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Input model path or buffer must be set");
  OrtStatus* status = name_output(options, &path);
  if (!status) status = try_model(env, options);
  if (!status) status = write_model(options, path);
  kp_free(path);
  return status;
}

// --- what a compiled model says of its providers -----------------------------------------------------------------------------------
static OrtStatus* find_compatibility(const char* path, const void* data, size_t size,
                                     const char* ep_type, OrtAllocator* allocator, char** out) {
  kp_ort_editor* editor;
  kp_strbuf key = {0};
  KP_ORT_PASS(kp_ort_editor_open(path, data, size, &editor));
  kp_strbuf_printf(&key, "ep_compatibility_info.%s", ep_type);
  OrtStatus* status =
      key.data ? kp_ort_editor_metadata(editor, key.data, allocator, out) : kp_ort_no_memory();
  kp_strbuf_free(&key);
  kp_ort_editor_free(editor);
  return status;
}

OrtStatus* ort_GetCompatibilityInfoFromModel(const char* path, const char* ep_type,
                                             OrtAllocator* allocator, char** compatibility_info) {
  KP_ORT_NEED(compatibility_info);
  *compatibility_info = NULL;
  KP_ORT_NEED(path);
  KP_ORT_NEED(ep_type);
  KP_ORT_NEED(allocator);
  return find_compatibility(path, NULL, 0, ep_type, allocator, compatibility_info);
}

OrtStatus* ort_GetCompatibilityInfoFromModelBytes(const void* data, size_t size,
                                                  const char* ep_type, OrtAllocator* allocator,
                                                  char** compatibility_info) {
  KP_ORT_NEED(compatibility_info);
  *compatibility_info = NULL;
  KP_ORT_NEED(data);
  KP_ORT_NEED(ep_type);
  KP_ORT_NEED(allocator);
  return find_compatibility(NULL, data, size, ep_type, allocator, compatibility_info);
}
