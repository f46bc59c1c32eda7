// Opens a model: maps or copies the bytes, decodes them, says what they are if they are no model. Neighbours: decode.c reads
// the messages, sniff.c guesses at other files, external.c finds the data beside the model.
#include "onnx/reader.h"

#include "base/alloc.h"
#include "base/budget.h"
#include "base/log.h"
#include "base/size.h"
#include "onnx/decode.h"
#include "onnx/external.h"
#include "onnx/ort_format.h"
#include "onnx/sniff.h"

static const char* name_of(const kp_onnx_model* model) {
  return model->path ? model->path : "bytes in memory";
}

void kp_onnx_model_close(kp_onnx_model* model) {
  if (!model) return;
  kp_onnx_externals_free(model->externals);
  for (size_t i = 0; i < model->more_folder_count; ++i) kp_folder_close(model->more_folders[i]);
  kp_folder_close(model->folder);
  kp_file_release(model->file);
  kp_free(model->copy);
  kp_arena_free(&model->arena);
  kp_free(model);
}

uint64_t kp_onnx_mapped_bytes(const kp_onnx_model* model) {
  return (model->file && model->file->mapped ? model->file->size : 0) +
         kp_onnx_externals_bytes(model->externals);
}

// --- folders -------------------------------------------------------------------------------------------------------------
static kp_status* open_more_folders(kp_onnx_model* model, const kp_onnx_read_options* options) {
  if (!options->more_folder_count) return NULL;
  model->more_folders = kp_arena_new_array(&model->arena, kp_folder*, options->more_folder_count);
  if (!model->more_folders)
    return KP_ERROR(OUT_OF_MEMORY, "%zu folders", options->more_folder_count);
  for (size_t i = 0; i < options->more_folder_count; ++i) {
    KP_TRY(kp_folder_open(options->more_folders[i], &model->more_folders[i]),
           "opening a folder for links of external data");
    ++model->more_folder_count;
  }
  return NULL;
}

// The folder that holds |path|: all before the last slash.
static kp_status* open_own_folder(kp_onnx_model* model, const char* path) {
  const char* const slash = strrchr(path, '/');
  if (!slash) return kp_folder_open(".", &model->folder);
  char* const parent =
      kp_arena_strndup(&model->arena, path, slash == path ? 1 : (size_t)(slash - path));
  if (!parent) return KP_ERROR(OUT_OF_MEMORY, "name of the model's folder");
  return kp_folder_open(parent, &model->folder);
}

static kp_status* open_folders(kp_onnx_model* model, const kp_onnx_read_options* options) {
  if (options->external_folder) {
    KP_TRY(kp_folder_open(options->external_folder, &model->folder),
           "opening the folder for external data");
  } else if (model->path) {
    KP_PASS(open_own_folder(model, model->path));
  }
  model->contain_strictly = options->contain_strictly;
  return open_more_folders(model, options);
}

// --- what the bytes are ----------------------------------------------------------------------------------------------------
static kp_status* not_a_model(const kp_onnx_model* model, const void* bytes, size_t byte_count) {
  const kp_onnx_guess guess = kp_onnx_sniff(bytes, byte_count);
  const char* const what = guess.what ? guess.what : "something that is not known here";
  kp_status* const status =
      KP_ERROR(NOT_A_MODEL, "'%s' is no ONNX model: it is %s", name_of(model), what);
  return guess.hint ? kp_status_hint(status, "%s", guess.hint) : status;
}

// |failure| is what decoding said. Bytes of a known other kind, or that do not even begin as a model, get a better error.
static kp_status* explain_failure(const kp_onnx_model* model, const void* bytes, size_t byte_count,
                                  kp_status* failure) {
  const bool other =
      kp_status_code(failure) == KAPELL_INVALID_MODEL &&
      !kp_onnx_is_ort_format(bytes, byte_count) &&
      (!kp_onnx_begins_like_model(bytes, byte_count) || kp_onnx_sniff(bytes, byte_count).what);
  if (!other)
    return kp_status_frame(failure, __FILE__, __LINE__, "reading model '%s'", name_of(model));
  kp_status_ignore(failure);
  return not_a_model(model, bytes, byte_count);
}

static kp_status* check_header(const kp_onnx_model* model, const void* bytes, size_t byte_count) {
  if (!model->has_graph && (!model->opset_count || !model->ir_version))
    return not_a_model(model, bytes, byte_count);
  if (!model->has_graph) return KP_ERROR(INVALID_MODEL, "model '%s' has no graph", name_of(model));
  if (model->ir_version < 1)
    return KP_ERROR(INVALID_MODEL, "model '%s' has IR version %lld; the first is 1", name_of(model),
                    (long long)model->ir_version);
  if (model->ir_version > KP_ONNX_IR_VERSION)
    KP_LOG(WARNING,
           "model '%s' has IR version %lld, newer than %d: parts that this build does not know are "
           "ignored",
           name_of(model), (long long)model->ir_version, KP_ONNX_IR_VERSION);
  return NULL;
}

// See kp_onnx_read_options.
static size_t default_memory(size_t byte_count) {
  size_t limit;
  if (!kp_mul_size(byte_count, 12, &limit) || !kp_add_size(limit, (size_t)64 << 20, &limit))
    return SIZE_MAX;
  return limit;
}

static kp_status* read_model(kp_onnx_model* model, const void* bytes, size_t byte_count,
                             const kp_onnx_read_options* options) {
  const kp_onnx_decode_options limits = {
      .max_depth = options->max_depth,
      .max_memory = options->max_memory ? options->max_memory : default_memory(byte_count)};
  kp_status* const failure =
      kp_onnx_is_ort_format(bytes, byte_count)
          ? kp_onnx_decode_ort_format(bytes, byte_count, &limits, &model->arena, model)
          : kp_onnx_decode(&kp_onnx_model_message, bytes, byte_count, &limits, &model->arena,
                           model);
  if (failure) return explain_failure(model, bytes, byte_count, failure);
  KP_PASS(check_header(model, bytes, byte_count));
  KP_PASS(kp_onnx_externals_create(&model->externals));
  return open_folders(model, options);
}

// --- the two ways in -------------------------------------------------------------------------------------------------------
static kp_status* open_file(kp_onnx_model* model, const char* path,
                            const kp_onnx_read_options* options) {
  model->path = kp_arena_strndup(&model->arena, path, strlen(path));
  if (!model->path) return KP_ERROR(OUT_OF_MEMORY, "path of the model");
  KP_PASS(kp_file_map(path, &model->file));
  const kp_budget* const budget = kp_bounds_current().budget;
  if (budget && kp_budget_limit(budget) && model->file->size > kp_budget_limit(budget))
    return KP_ERROR(LIMIT, "model '%s' has %zu bytes, more than the memory limit of %llu", path,
                    model->file->size, (unsigned long long)kp_budget_limit(budget));
  return read_model(model, model->file->data, model->file->size, options);
}

static kp_status* open_bytes(kp_onnx_model* model, const void* bytes, size_t byte_count,
                             const kp_onnx_read_options* options) {
  if (!options->borrow_bytes && byte_count) {
    model->copy = kp_alloc(byte_count);
    if (!model->copy) return KP_ERROR(OUT_OF_MEMORY, "copy of a model of %zu bytes", byte_count);
    memcpy(model->copy, bytes, byte_count);
    bytes = model->copy;
  }
  return read_model(model, bytes, byte_count, options);
}

static kp_status* create(kp_onnx_model** out_model) {
  *out_model = kp_alloc_zero(1, sizeof **out_model);
  return *out_model ? NULL : KP_ERROR(OUT_OF_MEMORY, "a model");
}

static const kp_onnx_read_options default_options;

kp_status* kp_onnx_read_file(const char* path, const kp_onnx_read_options* options,
                             kp_onnx_model** out_model) {
  *out_model = NULL;
  kp_onnx_model* model;
  KP_PASS(create(&model));
  kp_status* const status = open_file(model, path, options ? options : &default_options);
  if (status) {
    kp_onnx_model_close(model);
    return status;
  }
  *out_model = model;
  return NULL;
}

kp_status* kp_onnx_read_bytes(const void* bytes, size_t byte_count,
                              const kp_onnx_read_options* options, kp_onnx_model** out_model) {
  *out_model = NULL;
  kp_onnx_model* model;
  KP_PASS(create(&model));
  kp_status* const status =
      open_bytes(model, bytes, byte_count, options ? options : &default_options);
  if (status) {
    kp_onnx_model_close(model);
    return status;
  }
  *out_model = model;
  return NULL;
}
