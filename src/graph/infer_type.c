// Types among themselves: union, merging, and what an operator's schema says of element types. See infer_rule.h.
#include "graph/infer_rule.h"

#include "graph/schema.h"

static bool has_dims(kapell_kind kind) {
  return kind == KAPELL_KIND_TENSOR || kind == KAPELL_KIND_SPARSE;
}

bool kp_type_equal(const kp_type* a, const kp_type* b) {
  if (a->kind != b->kind || a->element != b->element) return false;
  if (has_dims(a->kind)) {
    if (a->rank != b->rank) return false;
    for (int32_t d = 0; d < a->rank; ++d) {
      if (a->dims[d] != b->dims[d]) return false;
    }
    return true;
  }
  return a->inner == b->inner || (a->inner && b->inner && kp_type_equal(a->inner, b->inner));
}

// --- union ------------------------------------------------------------------------------------------------------------
static kp_status* union_dims(kp_infer* infer, const kp_type* a, const kp_type* b, kp_type* out) {
  *out = *a;
  if (a->element != b->element) out->element = KAPELL_UNDEFINED;
  if (a->rank != b->rank || a->rank < 0) {
    out->rank = -1;
    out->dims = NULL;
    return NULL;
  }
  kp_expr* dims = kp_arena_new_array(infer->arena, kp_expr, a->rank > 0 ? (size_t)a->rank : 1);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "dims of a type");
  for (int32_t d = 0; d < a->rank; ++d)
    dims[d] = a->dims[d] == b->dims[d] ? a->dims[d] : kp_dim_fresh(infer);
  out->dims = dims;
  return NULL;
}

kp_status* kp_type_union(kp_infer* infer, const kp_type* a, const kp_type* b, kp_type* out,
                         bool* out_any) {
  *out = (kp_type){.rank = -1};
  *out_any = a->kind == b->kind && a->kind != KAPELL_KIND_NONE &&
             !(a->element != b->element && a->element && b->element);
  if (!*out_any) return NULL;
  if (has_dims(a->kind)) return union_dims(infer, a, b, out);
  *out = *a;
  out->inner = NULL;
  if (!a->inner || !b->inner) return NULL;
  kp_type* inner = kp_arena_new(infer->arena, kp_type);
  if (!inner) return KP_ERROR(OUT_OF_MEMORY, "inner type");
  out->inner = inner;
  return kp_type_union(infer, a->inner, b->inner, inner, out_any);
}

// --- merging ------------------------------------------------------------------------------------------------------------
static kp_expr merge_dim(const kp_symbols* symbols, kp_expr old, kp_expr more) {
  if (kp_is_number(old)) return old;
  return kp_is_number(more) || !kp_symbol_is_fresh(symbols, more) ? more : old;
}

static kp_status* merge_dims(const kp_symbols* symbols, kp_arena* arena, const kp_type* type,
                             const kp_type* more, kp_type* out, bool* out_agree) {
  if (more->rank < 0) return NULL;
  if (type->rank < 0) {
    out->rank = more->rank;
    out->dims = more->dims;
    return NULL;
  }
  *out_agree = type->rank == more->rank;
  if (!*out_agree || type->rank == 0 || type->dims == more->dims) return NULL;
  bool as_old = true, as_more = true;
  for (int32_t d = 0; d < type->rank; ++d) {
    if (kp_dim_differ(type->dims[d], more->dims[d])) *out_agree = false;
    const kp_expr best = merge_dim(symbols, type->dims[d], more->dims[d]);
    as_old = as_old && best == type->dims[d];
    as_more = as_more && best == more->dims[d];
  }
  if (!*out_agree || as_old) return NULL;
  if (as_more) {
    out->dims = more->dims;
    return NULL;
  }
  kp_expr* dims = kp_arena_new_array(arena, kp_expr, (size_t)type->rank);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "dims of a type");
  for (int32_t d = 0; d < type->rank; ++d)
    dims[d] = merge_dim(symbols, type->dims[d], more->dims[d]);
  out->dims = dims;
  return NULL;
}

kp_status* kp_type_merge(const kp_symbols* symbols, kp_arena* arena, const kp_type* type,
                         const kp_type* more, kp_type* out, bool* out_agree) {
  *out_agree = true;
  *out = type->kind == KAPELL_KIND_NONE ? *more : *type;
  if (type->kind == KAPELL_KIND_NONE || more->kind == KAPELL_KIND_NONE) return NULL;
  *out_agree = type->kind == more->kind &&
               (type->element == more->element || !type->element || !more->element);
  if (!*out_agree) return NULL;
  if (!type->element) out->element = more->element;
  if (has_dims(type->kind)) return merge_dims(symbols, arena, type, more, out, out_agree);
  if (!type->inner || !more->inner) {
    if (!type->inner) out->inner = more->inner;
    return NULL;
  }
  kp_type* inner = kp_arena_new(arena, kp_type);
  if (!inner) return KP_ERROR(OUT_OF_MEMORY, "inner type");
  out->inner = inner;
  return kp_type_merge(symbols, arena, type->inner, more->inner, inner, out_agree);
}

// --- schemas ------------------------------------------------------------------------------------------------------------
// The set of element types that |types| allows for a value of |type|'s form. Forms that masks do not describe (maps, sequences of
// them): everything.
static uint64_t allowed_elements(const kp_type_constraint* types, const kp_type* type,
                                 kapell_type* out_element) {
  *out_element = type->element;
  if (type->kind == KAPELL_KIND_TENSOR &&
      (types->tensors || !strstr(types->others, "sparse_tensor")))
    return types->tensors;  // sparse initializers have become dense ones
  const kp_type* inner = type->inner;
  uint64_t allowed = 0;
  if (type->kind == KAPELL_KIND_SEQUENCE && inner && inner->kind == KAPELL_KIND_TENSOR)
    allowed = types->sequences;
  if (type->kind == KAPELL_KIND_OPTIONAL && inner && inner->kind == KAPELL_KIND_TENSOR)
    allowed = types->optionals;
  if (type->kind == KAPELL_KIND_OPTIONAL && inner && inner->kind == KAPELL_KIND_SEQUENCE &&
      inner->inner) {
    allowed = types->optional_sequences;
    inner = inner->inner;
  }
  *out_element = allowed ? inner->element : KAPELL_UNDEFINED;
  return allowed;
}

// Do the masks of |types| say all that it allows?
static bool masks_say_all(const kp_type_constraint* types) {
  return !types->others[0] &&
         (types->tensors | types->sequences | types->optionals | types->optional_sequences) != 0;
}

static kp_status* wrong_type(const kp_infer* infer, uint32_t i) {
  kp_strbuf buf = {0};
  if (infer->graph) kp_type_describe(infer->graph->model, infer->inputs[i], &buf);
  kp_status* status = kp_in_error(infer, i, "%s is no type that %s of opset %u takes",
                                  buf.data ? buf.data : kp_type_name(kp_in_element(infer, i)),
                                  infer->node->op, infer->node->schema->since);
  kp_strbuf_free(&buf);
  return status;
}

// Inputs whose types are one variable must agree. |type| is the text of the schema: equal texts need not be one pointer.
static kp_status* check_same(const kp_infer* infer, uint32_t i, const char* type,
                             kapell_type element) {
  for (uint32_t k = 0; k < i; ++k) {
    kp_param_schema other;
    const kapell_type have = kp_in_element(infer, k);
    if (have == KAPELL_UNDEFINED || !kp_schema_input_of(infer->node->schema, k, &other) ||
        strcmp(other.type, type) != 0)
      continue;
    if (other.option == KP_PARAM_VARIADIC && !other.homogeneous) continue;
    char buffer[128];
    if (have != element)
      return kp_in_error(infer, i, "%s; expected %s, as input '%s' has", kp_type_name(element),
                         kp_type_name(have), kp_in_name(infer, k, buffer, sizeof buffer));
    return NULL;  // that one was compared with those before it
  }
  return NULL;
}

static kp_status* check_input(const kp_infer* infer, uint32_t i) {
  kp_param_schema param;
  if (!kp_in_given(infer, i) || infer->inputs[i]->kind == KAPELL_KIND_NONE) return NULL;
  if (!kp_schema_input_of(infer->node->schema, i, &param)) return NULL;
  const kp_type_constraint types = kp_schema_types(infer->node->schema, param.type);
  kapell_type element;
  const uint64_t allowed = allowed_elements(&types, infer->inputs[i], &element);
  if (element != KAPELL_UNDEFINED && !(allowed & kp_type_mask(element)))
    return wrong_type(infer, i);
  if (!allowed && infer->inputs[i]->kind != KAPELL_KIND_TENSOR && masks_say_all(&types))
    return wrong_type(infer, i);  // a sequence where there can be none
  if (element == KAPELL_UNDEFINED || infer->inputs[i]->kind != KAPELL_KIND_TENSOR) return NULL;
  return param.option == KP_PARAM_VARIADIC && !param.homogeneous
             ? NULL
             : check_same(infer, i, param.type, element);
}

kp_status* kp_infer_check_types(const kp_infer* infer) {
  for (uint32_t i = 0; infer->node->schema && i < infer->node->input_count; ++i)
    KP_PASS(check_input(infer, i));
  return NULL;
}

// The element type that stands for a parameter's |type| in this node; UNDEFINED where the schema alone does not say.
static kapell_type element_by_schema(const kp_infer* infer, const char* type) {
  const kp_type_constraint types = kp_schema_types(infer->node->schema, type);
  if (types.sequences || types.optionals || types.optional_sequences || types.others[0])
    return KAPELL_UNDEFINED;
  if (types.tensors && (types.tensors & (types.tensors - 1)) == 0)
    return (kapell_type)__builtin_ctzll(types.tensors);
  for (uint32_t i = 0; i < infer->node->input_count; ++i) {
    kp_param_schema input;
    if (!kp_schema_input_of(infer->node->schema, i, &input) || strcmp(input.type, type) != 0)
      continue;
    if (input.option == KP_PARAM_VARIADIC && !input.homogeneous) continue;
    if (kp_in_element(infer, i) != KAPELL_UNDEFINED) return kp_in_element(infer, i);
  }
  return KAPELL_UNDEFINED;
}

void kp_infer_fill_types(kp_infer* infer) {
  for (uint32_t o = 0; infer->node->schema && o < infer->node->output_count; ++o) {
    kp_type* type = &infer->outputs[o];
    kp_param_schema param;
    if (type->element != KAPELL_UNDEFINED ||
        (type->kind != KAPELL_KIND_NONE && !has_dims(type->kind)))
      continue;
    if (!kp_schema_output_of(infer->node->schema, o, &param)) continue;
    const kapell_type element = element_by_schema(infer, param.type);
    if (element == KAPELL_UNDEFINED) continue;
    if (type->kind == KAPELL_KIND_NONE) *type = (kp_type){.kind = KAPELL_KIND_TENSOR, .rank = -1};
    type->element = element;
  }
}
