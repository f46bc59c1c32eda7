// Tensors and types of the file as values and types of the graph.
#include "base/alloc.h"
#include "base/file.h"
#include "base/types.h"
#include "graph/build_internal.h"
#include "onnx/reader.h"

#define MAX_SPARSE_BYTES \
  ((size_t)1 << 30)  // of a sparse tensor made dense: its dims cost a file nothing

static void free_data(void* user, void* data) {
  (void)user;
  kp_free(data);
}

// A view into a mapped file goes: its pages need not stay. |user| is the number of bytes.
static void forget_data(void* user, void* data) { kp_file_forget(data, (size_t)(uintptr_t)user); }

#define FORGET_BYTES ((size_t)64 << 10)  // views below this are not worth a call of the system

static kp_status* string_tensor(const kp_onnx_tensor* tensor, int32_t rank,
                                kapell_value** out_value) {
  const kp_str* strings;
  size_t count;
  KP_PASS(kp_onnx_tensor_strings(tensor, &strings, &count));
  KP_PASS(kp_value_create_tensor(KAPELL_STRING, tensor->dims, rank, out_value));
  for (size_t i = 0; i < count; ++i) {
    kp_status* status = kp_value_set_string(*out_value, i, strings[i]);
    if (!status) continue;
    kp_value_release(*out_value);
    *out_value = NULL;
    return status;
  }
  return NULL;
}

// Wraps |data|, of which |owned| (may be NULL) is to be freed with the value.
static kp_status* wrap(kapell_type type, const int64_t* dims, int32_t rank, const void* data,
                       size_t byte_count, void* owned, kapell_value** out_value) {
  void* writable = (void*)(uintptr_t)data;  // constants are only read
  kp_status* status = kp_value_wrap_tensor(type, dims, rank, writable, byte_count,
                                           owned ? free_data : NULL, NULL, out_value);
  if (status) kp_free(owned);
  return status;
}

static kp_status* check_rank(const kp_onnx_tensor* tensor, size_t rank) {
  if (rank <= KP_MAX_RANK) return NULL;
  return KP_ERROR(UNSUPPORTED_MODEL, "tensor '%.*s' has rank %zu; at most %d is supported",
                  KP_STR_ARG(tensor->name), rank, KP_MAX_RANK);
}

kp_status* kp_build_tensor(kp_onnx_model* source, const kp_onnx_tensor* tensor,
                           kapell_value** out_value) {
  *out_value = NULL;
  KP_PASS(check_rank(tensor, tensor->rank));
  const int32_t rank = (int32_t)tensor->rank;
  if (tensor->type == KAPELL_STRING) return string_tensor(tensor, rank, out_value);
  const void* data;
  size_t byte_count;
  void* owned;
  KP_PASS(kp_onnx_tensor_bytes(source, tensor, &data, &byte_count, &owned));
  if (!owned && byte_count >= FORGET_BYTES && kp_onnx_is_mapped(source, data))
    return kp_value_wrap_tensor((kapell_type)tensor->type, tensor->dims, rank,
                                (void*)(uintptr_t)data, byte_count, forget_data,
                                (void*)(uintptr_t)byte_count, out_value);
  return wrap((kapell_type)tensor->type, tensor->dims, rank, data, byte_count, owned, out_value);
}

kp_status* kp_build_sparse(kp_onnx_model* source, const kp_onnx_sparse* sparse,
                           kapell_value** out_value) {
  *out_value = NULL;
  KP_PASS(check_rank(&sparse->values, sparse->rank));
  void* data;
  size_t byte_count;
  KP_PASS(kp_onnx_sparse_dense(source, sparse, MAX_SPARSE_BYTES, &data, &byte_count));
  return wrap((kapell_type)sparse->values.type, sparse->dims, (int32_t)sparse->rank, data,
              byte_count, data, out_value);
}

// --- types -------------------------------------------------------------------------------------------------------------
// A parameter of a body is a symbol of its own: what the file calls N inside a loop may change from step to step.
static kp_status* build_symbol(kp_builder* b, const char* path, kp_str param, kp_expr* out_dim) {
  const char* name;
  if (path[0] == 0) {
    KP_PASS(kp_build_intern(b, param, &name));
    *out_dim = kp_symbol_named(&b->model->symbols, name);
    return NULL;
  }
  kp_strbuf text = {0};
  kp_strbuf_printf(&text, "%s:%.*s", path, KP_STR_ARG(param));
  kp_status* status = text.failed ? KP_ERROR(OUT_OF_MEMORY, "a symbol")
                                  : kp_build_intern(b, (kp_str){text.data, text.length}, &name);
  kp_strbuf_free(&text);
  if (!status) *out_dim = kp_symbol_named(&b->model->symbols, name);
  return status;
}

static kp_status* build_dims(kp_builder* b, kp_arena* arena, const char* path,
                             const kp_onnx_type* from, kp_type* out_type) {
  out_type->rank = -1;
  if (!from->has_shape) return NULL;
  if (from->rank > KP_MAX_RANK) {
    return KP_ERROR(UNSUPPORTED_MODEL, "rank %zu; at most %d is supported", from->rank,
                    KP_MAX_RANK);
  }
  kp_expr* dims = kp_arena_new_array(arena, kp_expr, from->rank);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "dims");
  for (size_t i = 0; i < from->rank; ++i) {
    dims[i] = from->dims[i].value;
    if (dims[i] >= 0) continue;
    if (from->dims[i].param.length > 0) {
      KP_PASS(build_symbol(b, path, from->dims[i].param, &dims[i]));
    } else {
      dims[i] = kp_symbol_fresh_dim(&b->model->symbols);
    }
  }
  out_type->rank = (int32_t)from->rank;
  out_type->dims = dims;
  return NULL;
}

static kapell_kind kind_of(kp_onnx_type_kind kind) {
  switch (kind) {
    case KP_ONNX_TYPE_TENSOR:
      return KAPELL_KIND_TENSOR;
    case KP_ONNX_TYPE_SPARSE:
      return KAPELL_KIND_SPARSE;
    case KP_ONNX_TYPE_SEQUENCE:
      return KAPELL_KIND_SEQUENCE;
    case KP_ONNX_TYPE_MAP:
      return KAPELL_KIND_MAP;
    case KP_ONNX_TYPE_OPTIONAL:
      return KAPELL_KIND_OPTIONAL;
    default:
      return KAPELL_KIND_NONE;
  }
}

// Level by level; the reader bounds how deep types nest.
kp_status* kp_build_type(kp_builder* b, kp_arena* arena, const char* path, const kp_onnx_type* from,
                         kp_type* out_type) {
  for (;; from = from->inner) {
    *out_type = (kp_type){.kind = kind_of(from->kind), .rank = -1};
    if (out_type->kind == KAPELL_KIND_NONE) return NULL;
    if (from->kind == KP_ONNX_TYPE_TENSOR || from->kind == KP_ONNX_TYPE_SPARSE ||
        from->kind == KP_ONNX_TYPE_MAP) {
      out_type->element = (kapell_type)from->element;
      if (from->element != 0 && !kp_type_is_valid(out_type->element)) {
        return KP_ERROR(UNSUPPORTED_MODEL, "element type %d is not known to this build",
                        from->element);
      }
    }
    if (from->kind == KP_ONNX_TYPE_TENSOR || from->kind == KP_ONNX_TYPE_SPARSE) {
      return build_dims(b, arena, path, from, out_type);
    }
    if (!from->inner) return NULL;
    kp_type* inner = kp_arena_new(arena, kp_type);
    if (!inner) return KP_ERROR(OUT_OF_MEMORY, "a type");
    out_type->inner = inner;
    out_type = inner;
  }
}
