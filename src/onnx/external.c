// Files of external data, mapped once each: see external.h. base/file.h keeps them inside the model's folder.
#include "onnx/external.h"

#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/log.h"
#include "base/size.h"
#include "kapell/kapell.h"

struct kp_onnx_externals {
  pthread_mutex_t mutex;
  kp_interner keys;    // locations, and "\001device:inode" of each file
  kp_ptr_map indices;  // key -> index in |files|
  kp_file** files;     // owned references
  size_t count, capacity;
};

kp_status* kp_onnx_externals_create(kp_onnx_externals** out_externals) {
  *out_externals = NULL;
  kp_onnx_externals* const externals = kp_alloc_zero(1, sizeof *externals);
  if (!externals) return KP_ERROR(OUT_OF_MEMORY, "table of external files");
  if (pthread_mutex_init(&externals->mutex, NULL) != 0) {
    kp_free(externals);
    return KP_ERROR(OUT_OF_MEMORY, "lock of the table of external files");
  }
  kp_interner_init(&externals->keys);
  *out_externals = externals;
  return NULL;
}

void kp_onnx_externals_free(kp_onnx_externals* externals) {
  if (!externals) return;
  for (size_t i = 0; i < externals->count; ++i) kp_file_release(externals->files[i]);
  kp_free(externals->files);
  kp_ptr_map_free(&externals->indices);
  kp_interner_free(&externals->keys);
  pthread_mutex_destroy(&externals->mutex);
  kp_free(externals);
}

bool kp_onnx_externals_hold(kp_onnx_externals* externals, const void* data) {
  bool found = false;
  if (!externals) return false;
  pthread_mutex_lock(&externals->mutex);
  for (size_t i = 0; i < externals->count && !found; ++i)
    found = kp_file_holds(externals->files[i], data);
  pthread_mutex_unlock(&externals->mutex);
  return found;
}

uint64_t kp_onnx_externals_bytes(kp_onnx_externals* externals) {
  uint64_t bytes = 0;
  if (!externals) return 0;
  pthread_mutex_lock(&externals->mutex);
  for (size_t i = 0; i < externals->count; ++i)
    if (externals->files[i]->mapped) bytes += externals->files[i]->size;
  pthread_mutex_unlock(&externals->mutex);
  return bytes;
}

// --- entries -------------------------------------------------------------------------------------------------------------
typedef struct entries {
  kp_str location, offset, length, checksum;
  bool has_location, has_offset, has_length, has_checksum;
} entries;

static void collect(const kp_onnx_tensor* tensor, entries* out) {
  *out = (entries){0};
  for (size_t i = 0; i < tensor->external_count; ++i) {
    const kp_onnx_entry* const entry = &tensor->external_data[i];
    if (kp_str_is(entry->key, "location")) {
      out->location = entry->value;
      out->has_location = true;
    } else if (kp_str_is(entry->key, "offset")) {
      out->offset = entry->value;
      out->has_offset = true;
    } else if (kp_str_is(entry->key, "length")) {
      out->length = entry->value;
      out->has_length = true;
    } else if (kp_str_is(entry->key, "checksum")) {
      out->checksum = entry->value;
      out->has_checksum = true;
    }
  }
}

// Digits and nothing else.
static bool parse_size(kp_str text, size_t* out) {
  size_t value = 0;
  if (text.length == 0) return false;
  for (size_t i = 0; i < text.length; ++i) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    if (!kp_mul_size(value, 10, &value) ||
        !kp_add_size(value, (size_t)(text.data[i] - '0'), &value))
      return false;
  }
  *out = value;
  return true;
}

static bool is_hex(kp_str text) {
  for (size_t i = 0; i < text.length; ++i) {
    const char c = text.data[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return false;
  }
  return text.length > 0;
}

static kp_status* parse_entries(const entries* e, size_t byte_count, size_t* out_offset) {
  size_t length = byte_count;
  *out_offset = 0;
  if (!e->has_location) return KP_ERROR(EXTERNAL_DATA, "external data without a location");
  if (e->has_offset && !parse_size(e->offset, out_offset))
    return KP_ERROR(EXTERNAL_DATA, "offset '%.*s' is not a number of bytes", KP_STR_ARG(e->offset));
  if (e->has_length && !parse_size(e->length, &length))
    return KP_ERROR(EXTERNAL_DATA, "length '%.*s' is not a number of bytes", KP_STR_ARG(e->length));
  if (e->has_checksum && !is_hex(e->checksum))
    return KP_ERROR(EXTERNAL_DATA, "checksum '%.*s' is not hexadecimal", KP_STR_ARG(e->checksum));
  if (length != byte_count)
    return KP_ERROR(EXTERNAL_DATA, "length is %zu bytes; type and shape need %zu", length,
                    byte_count);
  return NULL;
}

// --- files ---------------------------------------------------------------------------------------------------------------
static kp_status* add_file(kp_onnx_externals* externals, kp_file* file, uint32_t* out_index) {
  if (externals->count == externals->capacity) {
    const size_t capacity = externals->capacity ? externals->capacity * 2 : 4;
    kp_file** const files = kp_realloc_array(externals->files, capacity, sizeof(kp_file*));
    if (!files) return KP_ERROR(OUT_OF_MEMORY, "table of %zu external files", capacity);
    externals->files = files;
    externals->capacity = capacity;
  }
  *out_index = (uint32_t)externals->count;
  externals->files[externals->count++] = kp_file_retain(file);
  return NULL;
}

static kp_status* intern_key(kp_onnx_externals* externals, kp_str text, const char** out_key) {
  *out_key = kp_intern(&externals->keys, text);
  return *out_key ? NULL : KP_ERROR(OUT_OF_MEMORY, "name of an external file");
}

// |file| is new by its location; it may still be a known one under another name.
static kp_status* register_file(kp_onnx_externals* externals, const char* location, kp_file* file,
                                uint32_t* out_index) {
  char identity[64];
  const int length = snprintf(identity, sizeof identity, "\001%llx:%llx",
                              (unsigned long long)file->device, (unsigned long long)file->inode);
  const char* key;
  KP_PASS(intern_key(externals, (kp_str){identity, (size_t)length}, &key));
  if (!kp_ptr_map_get(&externals->indices, key, out_index)) {
    KP_PASS(add_file(externals, file, out_index));
    KP_PASS(kp_ptr_map_put(&externals->indices, key, *out_index));
  }
  return kp_ptr_map_put(&externals->indices, location, *out_index);
}

static kp_status* map_file(kp_onnx_model* model, kp_str location, uint32_t* out_index) {
  kp_file* file;
  KP_PASS(kp_folder_map(model->folder, (const kp_folder* const*)model->more_folders,
                        model->more_folder_count, location, model->contain_strictly, &file));
  const char* key;
  kp_status* status = intern_key(model->externals, location, &key);
  if (!status) status = register_file(model->externals, key, file, out_index);
  kp_file_release(file);
  return status;
}

static kp_status* find_file(kp_onnx_model* model, kp_str location, const kp_file** out_file) {
  kp_onnx_externals* const externals = model->externals;
  uint32_t index;
  kp_status* status = NULL;
  pthread_mutex_lock(&externals->mutex);
  const char* const known = kp_intern_find(&externals->keys, location);
  if (!known || !kp_ptr_map_get(&externals->indices, known, &index))
    status = map_file(model, location, &index);
  if (!status) *out_file = externals->files[index];
  pthread_mutex_unlock(&externals->mutex);
  return status;
}

// Missing or unreadable: to the user of a model that is one thing, whatever the file layer calls it.
static kp_status* as_external(kp_status* status) {
  const kapell_code code = kp_status_code(status);
  if (code != KAPELL_NOT_FOUND && code != KAPELL_IO) return status;
  kp_status* const external = KP_ERROR(EXTERNAL_DATA, "%s", kp_status_message(status));
  kp_status_free(status);
  return external;
}

// The file of this name that the caller has in memory, or NULL.
static const kapell_memory_file* find_in_memory(const kp_onnx_model* model, kp_str location) {
  for (size_t i = 0; model && i < model->memory_file_count; ++i)
    if (kp_str_is(location, model->memory_files[i].name)) return &model->memory_files[i];
  return NULL;
}

static kp_status* check_range(kp_str location, size_t size, size_t offset, size_t byte_count) {
  if (offset <= size && byte_count <= size - offset) return NULL;
  return KP_ERROR(EXTERNAL_DATA, "%zu bytes at offset %zu of '%.*s', which has %zu", byte_count,
                  offset, KP_STR_ARG(location), size);
}

kp_status* kp_onnx_external_bytes(kp_onnx_model* model, const kp_onnx_tensor* tensor,
                                  size_t byte_count, const uint8_t** out_data) {
  *out_data = NULL;
  entries e;
  size_t offset;
  collect(tensor, &e);
  KP_PASS(parse_entries(&e, byte_count, &offset));
  const kapell_memory_file* in_memory = find_in_memory(model, e.location);
  if (in_memory) {
    KP_PASS(check_range(e.location, in_memory->byte_count, offset, byte_count));
    *out_data = in_memory->data ? (const uint8_t*)in_memory->data + offset : NULL;
    return NULL;
  }
  if (!model || !model->folder)
    return kp_status_hint(
        KP_ERROR(EXTERNAL_DATA, "external data in '%.*s', but no folder was handed over to look in",
                 KP_STR_ARG(e.location)),
        "open the model by its path, or give the folder of its external data");
  if (e.location.length && e.location.data[0] == '\001')  // would meet the keys of identities
    return KP_ERROR(EXTERNAL_DATA, "the location of external data begins with a control character");
  const kp_budget* const budget = kp_bounds_current().budget;
  if (budget && kp_budget_limit(budget) && byte_count > kp_budget_limit(budget))
    return KP_ERROR(LIMIT, "external data of %zu bytes is larger than the memory limit of %llu",
                    byte_count, (unsigned long long)kp_budget_limit(budget));
  const kp_file* file;
  KP_TRY(as_external(find_file(model, e.location, &file)), "opening external data '%.*s'",
         KP_STR_ARG(e.location));
  KP_PASS(check_range(e.location, file->size, offset, byte_count));
  *out_data = file->data ? file->data + offset : NULL;
  return NULL;
}
