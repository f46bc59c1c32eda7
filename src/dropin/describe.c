// What a session says of its model: inputs, outputs, replaceable initializers, metadata.
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"
#include "ort/model_metadata.h"

// --- inputs and outputs ----------------------------------------------------------------------------------------------------------
static const kapell_io_info* input_at(const OrtSession* session, size_t index) {
  return index < kapell_session_input_count(session->session)
             ? kapell_session_input(session->session, index)
             : NULL;
}

static const kapell_io_info* output_at(const OrtSession* session, size_t index) {
  return kapell_session_output(session->session, index);
}

static const kapell_io_info* overridable_at(const OrtSession* session, size_t index) {
  const size_t before = kapell_session_input_count(session->session);
  return index < kapell_session_overridable_count(session->session)
             ? kapell_session_input(session->session, before + index)
             : NULL;
}

static OrtStatus* give_name(const kapell_io_info* info, OrtAllocator* allocator, char** value) {
  if (!info) return kp_ort_error(ORT_FAIL, "index out of range");
  return kp_ort_give_text(allocator, info->name, value);
}

static OrtStatus* give_type(const kapell_io_info* info, OrtTypeInfo** out) {
  if (!info) return kp_ort_error(ORT_FAIL, "out of index");
  return kp_ort_type_info_from(info->type, out);
}

// clang-format off
#define DESCRIBE(What, at, count_of)                                                                            \
  OrtStatus* ort_SessionGet##What##Count(const OrtSession* session, size_t* out) {                              \
    KP_ORT_NEED(session);                                                                                       \
    KP_ORT_NEED(out);                                                                                           \
    *out = count_of(session->session);                                                                          \
    return NULL;                                                                                                \
  }                                                                                                             \
  OrtStatus* ort_SessionGet##What##Name(const OrtSession* session, size_t index, OrtAllocator* allocator,       \
                                        char** value) {                                                         \
    KP_ORT_NEED(session);                                                                                       \
    KP_ORT_NEED(allocator);                                                                                     \
    KP_ORT_NEED(value);                                                                                         \
    return give_name(at(session, index), allocator, value);                                                     \
  }                                                                                                             \
  OrtStatus* ort_SessionGet##What##TypeInfo(const OrtSession* session, size_t index, OrtTypeInfo** type) {      \
    KP_ORT_NEED(session);                                                                                       \
    KP_ORT_NEED(type);                                                                                          \
    return give_type(at(session, index), type);                                                                 \
  }
// clang-format on
DESCRIBE(Input, input_at, kapell_session_input_count)
DESCRIBE(Output, output_at, kapell_session_output_count)
DESCRIBE(OverridableInitializer, overridable_at, kapell_session_overridable_count)

// --- metadata --------------------------------------------------------------------------------------------------------------------
static OrtStatus* fill_metadata(OrtModelMetadata* metadata, const kapell_session* session) {
  const size_t count = kapell_session_metadata_count(session);
  for (size_t i = 0; i < count; ++i) {
    const char *key, *value;
    kapell_session_metadata(session, i, &key, &value);
    const bool own = strncmp(key, "kapell:", 7) == 0;
    KP_ORT_TAKE(kp_ort_pairs_set(own ? &metadata->own : &metadata->custom, key, value));
  }
  return NULL;
}

OrtStatus* ort_SessionGetModelMetadata(const OrtSession* session, OrtModelMetadata** out) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(out);
  *out = NULL;
  OrtModelMetadata* metadata = kp_alloc_zero(1, sizeof(*metadata));
  if (!metadata) return kp_ort_no_memory();
  OrtStatus* status = fill_metadata(metadata, session->session);
  if (status) {
    ort_ReleaseModelMetadata(metadata);
    return status;
  }
  *out = metadata;
  return NULL;
}
