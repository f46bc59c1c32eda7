// The bookkeeping of a decoder: see walk.h.
#include "onnx/walk.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/size.h"
#include "onnx/fields.h"

#define DEFAULT_DEPTH 200
#define LARGEST_DEPTH 1000

kp_onnx_walk kp_onnx_walk_start(const void* base, const kp_onnx_decode_options* options,
                                kp_arena* arena) {
  const size_t depth = options && options->max_depth ? options->max_depth : DEFAULT_DEPTH;
  return (kp_onnx_walk){.base = base,
                        .arena = arena,
                        .max_depth = kp_min_size(depth, LARGEST_DEPTH),
                        .max_memory = options ? options->max_memory : 0};
}

// Only the innermost steps of a deep place.
static char* place_text(const kp_onnx_place* at) {
  const kp_onnx_place* steps[10];
  size_t count = 0;
  for (; at && count < KP_COUNT_OF(steps); at = at->parent) {
    if (at->name && at->name[0]) steps[count++] = at;
  }
  kp_strbuf text = {0};
  kp_strbuf_puts(&text, at ? "... ." : "");
  for (size_t i = count; i-- > 0;) {
    kp_strbuf_puts(&text, steps[i]->name);
    if (steps[i]->index != SIZE_MAX) kp_strbuf_printf(&text, "[%zu]", steps[i]->index);
    if (i) kp_strbuf_puts(&text, ".");
  }
  return kp_strbuf_take(&text);
}

kp_status* kp_onnx_walk_fail(const kp_onnx_walk* walk, kapell_code code, const kp_onnx_place* at,
                             const char* name, const uint8_t* byte, const char* what) {
  const kp_onnx_place step = {at, name, SIZE_MAX};
  char* const path = place_text(&step);
  kp_status* const status =
      kp_status_make(code, __FILE__, __LINE__, "byte %zu%s%s: %s", (size_t)(byte - walk->base),
                     path && path[0] ? ", " : "", path ? path : "", what);
  kp_free(path);
  return status;
}

size_t kp_onnx_element_size(uint8_t kind, size_t message_size) {
  switch ((kp_field_kind)kind) {
    case KP_FIELD_INT64:
      return sizeof(int64_t);
    case KP_FIELD_FLOAT:
      return sizeof(float);
    case KP_FIELD_MESSAGE:
      return message_size;
    default:
      return sizeof(kp_str);
  }
}

kp_status* kp_onnx_walk_take(kp_onnx_walk* walk, size_t count, size_t element_size,
                             void** out_memory) {
  *out_memory = NULL;
  size_t bytes;
  if (!kp_mul_size(count, element_size, &bytes))
    return KP_ERROR(OUT_OF_MEMORY, "%zu elements of %zu bytes", count, element_size);
  if (walk->max_memory && bytes > walk->max_memory - walk->memory)
    return KP_ERROR(LIMIT, "the model's structure takes more than %zu bytes of memory",
                    walk->max_memory);
  *out_memory = kp_arena_array(walk->arena, count, element_size);
  if (!*out_memory) return KP_ERROR(OUT_OF_MEMORY, "%zu bytes for the model's structure", bytes);
  walk->memory += bytes;
  return NULL;
}

kp_status* kp_onnx_walk_check_name(kp_onnx_walk* walk, const kp_onnx_place* at, const char* field,
                                   const uint8_t* byte, kp_str name) {
  if (name.length && memchr(name.data, 0, name.length))
    return kp_onnx_walk_fail(walk, KAPELL_INVALID_MODEL, at, field, byte,
                             "a name with a NUL byte in it");
  if (!walk->told_utf8 && !kp_str_utf8_valid(name)) {
    walk->told_utf8 = true;
    KP_LOG(WARNING, "byte %zu: a name is not UTF-8; it is shown with U+FFFD in its place",
           (size_t)(byte - walk->base));
  }
  return NULL;
}
