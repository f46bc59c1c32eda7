#include "graph/type_info.h"

#define MOST_INNER 64  // sequences of maps of ...

static kp_status* no_memory(void) { return KP_ERROR(OUT_OF_MEMORY, "the description of a type"); }

static kp_status* describe_dims(kp_arena* arena, const kp_symbols* symbols, const kp_type* type,
                                kapell_type_info* out) {
  const size_t rank = (size_t)type->rank;
  int64_t* dims = kp_arena_new_array(arena, int64_t, rank + 1);
  const char** names = kp_arena_new_array(arena, const char*, rank + 1);
  if (!dims || !names) return no_memory();
  for (size_t d = 0; d < rank; ++d) {
    dims[d] = type->dims[d];
    if (kp_is_number(type->dims[d])) continue;
    dims[d] = -1;
    kp_strbuf text = {0};
    kp_expr_describe(symbols, type->dims[d], &text);
    if (text.length && !strchr(text.data, '?'))
      names[d] = kp_arena_strndup(arena, text.data, text.length);
    kp_strbuf_free(&text);
  }
  out->dims = dims;
  out->symbols = names;
  return NULL;
}

static kp_status* describe(kp_arena* arena, const kp_symbols* symbols, const kp_type* type,
                           int depth, const kapell_type_info** out_info) {
  kapell_type_info* info = kp_arena_new(arena, kapell_type_info);
  if (!info) return no_memory();
  *info = (kapell_type_info){.kind = type->kind, .element = type->element, .rank = type->rank};
  const bool shaped = type->kind == KAPELL_KIND_TENSOR || type->kind == KAPELL_KIND_SPARSE;
  if (!shaped) info->rank = -1;
  if (shaped && type->rank > 0) KP_PASS(describe_dims(arena, symbols, type, info));
  if (type->inner && depth < MOST_INNER)
    KP_PASS(describe(arena, symbols, type->inner, depth + 1, &info->inner));
  *out_info = info;
  return NULL;
}

kp_status* kp_type_info_of(kp_arena* arena, const kp_symbols* symbols, const kp_type* type,
                           const kapell_type_info** out_info) {
  return describe(arena, symbols, type, 0, out_info);
}
