// Encoders of ai.onnx.ml: LabelEncoder, CategoryMapper, OneHotEncoder. Keys are looked up in tables made while preparing.
#include <math.h>

#include "provider/cpu/op/help.h"
#include "provider/cpu/op/lookup.h"

// --- one table from keys to values -------------------------------------------------------------------------------------------
typedef struct coder {
  kp_lookup lookup;  // to positions in |values|
  kapell_type from, to;
  const void* values;    // elements of |to|
  const void* fallback;  // one element of |to|
  // Keys of floats are equal as numbers, all NaN alike; false: bit by bit.
  bool by_number;
} coder;

// LabelEncoder-1 and CategoryMapper go both ways, as the input's type has it.
typedef struct coder_state {
  coder coders[2];
  size_t count;
} coder_state;

// Element |index| of |data| as a key.
static int64_t key_at(const coder* c, const void* data, size_t index) {
  int64_t key = 0;
  switch (c->from) {
    case KAPELL_FLOAT: {
      float number = ((const float*)data)[index];
      if (c->by_number) number = number != number ? (float)NAN : number + 0.0f;  // -0 becomes 0
      memcpy(&key, &number, sizeof number);
      return key;
    }
    case KAPELL_DOUBLE: {
      double number = ((const double*)data)[index];
      if (c->by_number) number = number != number ? (double)NAN : number + 0.0;
      memcpy(&key, &number, sizeof number);
      return key;
    }
    case KAPELL_INT64:
      return ((const int64_t*)data)[index];
    case KAPELL_INT32:
      return ((const int32_t*)data)[index];
    default:
      return ((const int16_t*)data)[index];
  }
}

// Fills the table of |c|; the last of equal keys wins.
static kp_status* fill(coder* c, kp_arena* arena, const void* keys, size_t count) {
  KP_PASS(kp_lookup_init(&c->lookup, arena, count, c->from == KAPELL_STRING));
  for (size_t i = 0; i < count; ++i) {
    uint32_t* value = c->from == KAPELL_STRING
                          ? kp_lookup_put_text(&c->lookup, (const kp_str*)keys + i)
                          : kp_lookup_put_number(&c->lookup, key_at(c, keys, i));
    *value = (uint32_t)i;
  }
  return NULL;
}

static const void* keep(kp_arena* arena, const void* bytes, size_t count) {
  return kp_arena_memdup(arena, bytes, count);
}

static const void* fallback_text(const kp_node* node, kp_arena* arena) {
  const kp_str text = kp_node_attr_s(node, "default_string", "_Unused");
  return keep(arena, &text, sizeof text);
}

static const void* fallback_number(const kp_node* node, kp_arena* arena) {
  const int64_t number = kp_node_attr_i(node, "default_int64", -1);
  return keep(arena, &number, sizeof number);
}

// --- LabelEncoder-2 and later ------------------------------------------------------------------------------------------------
typedef struct list {  // an attribute with keys or values
  kapell_type type;
  const void* data;
  size_t count;
} list;

// The one of NAME_tensor, NAME_strings, NAME_int64s, NAME_floats that is there and not empty.
static list find_list(const kp_node* node, const char* const names[4]) {
  static const kapell_type types[] = {KAPELL_UNDEFINED, KAPELL_STRING, KAPELL_INT64, KAPELL_FLOAT};
  for (int i = 0; i < 4; ++i) {
    const kp_attr* attr = kp_node_attr(node, names[i]);
    if (!attr) continue;
    if (i == 0 && attr->tensor && kp_value_count(attr->tensor))
      return (list){attr->tensor->type, attr->tensor->data, kp_value_count(attr->tensor)};
    if (i > 0 && attr->count)
      return (list){types[i],
                    i == 1   ? (const void*)attr->strings
                    : i == 2 ? (const void*)attr->ints
                             : attr->floats,
                    attr->count};
  }
  return (list){KAPELL_UNDEFINED, NULL, 0};
}
static const char* const key_names[] = {"keys_tensor", "keys_strings", "keys_int64s",
                                        "keys_floats"};
static const char* const value_names[] = {"values_tensor", "values_strings", "values_int64s",
                                          "values_floats"};

#define LABELS (KP_M(STRING) | KP_M(INT64) | KP_M(FLOAT) | KP_M(INT32) | KP_M(INT16) | KP_M(DOUBLE))

static kp_reason label_supports(const kp_op_query* query) {
  const list keys = find_list(query->node, key_names), values = find_list(query->node, value_names);
  const kapell_type x = kp_query_type(query, 0);
  KP_REQUIRE(query, keys.count && values.count, "attributes keys_* or values_* are missing");
  KP_REQUIRE(query, keys.count == values.count, "%zu keys but %zu values", keys.count,
             values.count);
  KP_REQUIRE(query, (LABELS >> keys.type & 1) && (LABELS >> values.type & 1),
             "keys or values are of a type that the operator does not have");
  KP_REQUIRE(query, x == KAPELL_UNDEFINED || x == keys.type,
             "the input's type is not that of the keys");
  return KP_SUPPORTED;
}

// The element that stands for keys that are not there.
static kp_status* label_fallback(const kp_node* node, kp_arena* arena, coder* c) {
  const kp_attr* given = kp_node_attr(node, "default_tensor");
  if (given && given->tensor && given->tensor->type == c->to && kp_value_count(given->tensor)) {
    c->fallback = given->tensor->data;
  } else if (c->to == KAPELL_STRING) {
    c->fallback = fallback_text(node, arena);
  } else if (c->to == KAPELL_FLOAT) {
    const float number = kp_node_attr_f(node, "default_float", -0.0f);
    c->fallback = keep(arena, &number, sizeof number);
  } else if (c->to == KAPELL_DOUBLE) {
    const double number = (double)kp_node_attr_f(node, "default_float", -0.0f);
    c->fallback = keep(arena, &number, sizeof number);
  } else {  // little-endian: the low bytes are the smaller integer
    c->fallback = fallback_number(node, arena);
  }
  return c->fallback ? NULL : KP_ERROR(OUT_OF_MEMORY, "preparing a node");
}

static kp_status* label_prepare(kp_op_prepare* prepare) {
  coder_state* state = kp_arena_new(prepare->arena, coder_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  const kp_node* node = prepare->node;
  const list keys = find_list(node, key_names), values = find_list(node, value_names);
  coder* c = &state->coders[0];
  *c = (coder){
      .from = keys.type, .to = values.type, .values = values.data, .by_number = node->version >= 4};
  state->count = 1;
  prepare->state = state;
  KP_PASS(label_fallback(node, prepare->arena, c));
  return fill(c, prepare->arena, keys.data, keys.count);
}

// --- LabelEncoder-1, CategoryMapper ------------------------------------------------------------------------------------------
// Both ways between |numbers| and |texts|.
static kp_status* prepare_both(kp_op_prepare* prepare, const int64_t* numbers, const kp_str* texts,
                               size_t count) {
  coder_state* state = kp_arena_new(prepare->arena, coder_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  state->count = 2;
  state->coders[0] = (coder){.from = KAPELL_STRING,
                             .to = KAPELL_INT64,
                             .values = numbers,
                             .fallback = fallback_number(prepare->node, prepare->arena)};
  state->coders[1] = (coder){.from = KAPELL_INT64,
                             .to = KAPELL_STRING,
                             .values = texts,
                             .fallback = fallback_text(prepare->node, prepare->arena)};
  if (!state->coders[0].fallback || !state->coders[1].fallback)
    return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  KP_PASS(fill(&state->coders[0], prepare->arena, texts, count));
  return fill(&state->coders[1], prepare->arena, numbers, count);
}

static kp_status* old_label_prepare(kp_op_prepare* prepare) {
  const kp_attr* classes = kp_node_attr(prepare->node, "classes_strings");
  const size_t count = classes ? classes->count : 0;
  int64_t* numbers = kp_arena_new_array(prepare->arena, int64_t, count + 1);
  if (!numbers) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  for (size_t i = 0; i < count; ++i) numbers[i] = (int64_t)i;
  return prepare_both(prepare, numbers, classes ? classes->strings : NULL, count);
}

static kp_reason mapper_supports(const kp_op_query* query) {
  const kp_attr *numbers = kp_node_attr(query->node, "cats_int64s"),
                *texts = kp_node_attr(query->node, "cats_strings");
  KP_REQUIRE(query, numbers && texts && numbers->count == texts->count,
             "cats_int64s and cats_strings are not of one length");
  return KP_SUPPORTED;
}

static kp_status* mapper_prepare(kp_op_prepare* prepare) {
  const kp_attr *numbers = kp_node_attr(prepare->node, "cats_int64s"),
                *texts = kp_node_attr(prepare->node, "cats_strings");
  return prepare_both(prepare, numbers->ints, texts->strings, numbers->count);
}

// --- running -----------------------------------------------------------------------------------------------------------------
static const void* coded(const coder* c, const kapell_value* x, size_t index, size_t bytes) {
  const uint32_t at = c->from == KAPELL_STRING
                          ? kp_lookup_text(&c->lookup, kp_value_string(x, index))
                          : kp_lookup_number(&c->lookup, key_at(c, x->data, index));
  return at == KP_LOOKUP_NONE ? c->fallback : (const char*)c->values + at * bytes;
}

typedef struct coder_job {
  const coder* c;
  const kapell_value* x;
  char* y;
  size_t count, tasks, bytes;
} coder_job;

static void coder_task(void* arg, size_t task, int worker) {
  (void)worker;
  const coder_job* job = arg;
  size_t first, last;
  kp_share(job->count, job->tasks, task, &first, &last);
  for (size_t i = first; i < last; ++i)
    memcpy(job->y + i * job->bytes, coded(job->c, job->x, i, job->bytes), job->bytes);
}

static kp_status* coder_run(const kp_op_run* run) {
  const coder_state* state = run->state;
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  const coder* c = &state->coders[0];
  if (state->count == 2 && c->from != x->type) ++c;
  if (c->from != x->type || c->to != y->type)
    return KP_ERROR(RUN_FAILED, "the input's type is not that of the keys");
  const size_t count = kp_value_count(x);
  for (size_t i = 0; c->to == KAPELL_STRING && i < count; ++i)
    KP_PASS(kp_value_set_string(y, i, *(const kp_str*)coded(c, x, i, sizeof(kp_str))));
  if (c->to == KAPELL_STRING) return NULL;
  const int threads = kp_op_width(run->width, count * 20);
  coder_job job = {
      c, x, y->data, count, kp_min_size(count, (size_t)threads), kp_type_bits(c->to) / 8};
  kp_parallel_for(threads, job.tasks, coder_task, &job);
  return NULL;
}

// --- OneHotEncoder -----------------------------------------------------------------------------------------------------------
static kp_reason one_hot_supports(const kp_op_query* query) {
  const kp_attr *numbers = kp_node_attr(query->node, "cats_int64s"),
                *texts = kp_node_attr(query->node, "cats_strings");
  const size_t count = (numbers ? numbers->count : 0) + (texts ? texts->count : 0);
  const kapell_type x = kp_query_type(query, 0);
  KP_REQUIRE(query, count, "cats_int64s and cats_strings are both missing");
  KP_REQUIRE(query, x == KAPELL_UNDEFINED || (x == KAPELL_STRING) == !(numbers && numbers->count),
             "the input's type is not that of the categories");
  return KP_SUPPORTED;
}

static kp_status* one_hot_prepare(kp_op_prepare* prepare) {
  kp_lookup* lookup = kp_arena_new(prepare->arena, kp_lookup);
  if (!lookup) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = lookup;
  const kp_attr *numbers = kp_node_attr(prepare->node, "cats_int64s"),
                *texts = kp_node_attr(prepare->node, "cats_strings");
  const bool ints = numbers && numbers->count;
  const size_t count = ints ? numbers->count : texts->count;
  KP_PASS(kp_lookup_init(lookup, prepare->arena, count, !ints));
  for (size_t i = 0; i < count; ++i)
    *(ints ? kp_lookup_put_number(lookup, numbers->ints[i])
           : kp_lookup_put_text(lookup, &texts->strings[i])) = (uint32_t)i;
  return NULL;
}

static kp_status* one_hot_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  const kp_lookup* lookup = run->state;
  const bool zeros = kp_node_attr_i(run->node, "zeros", 1) != 0;
  const size_t count = kp_value_count(x), width = (size_t)y->dims[y->rank - 1];
  if (y->byte_count) memset(y->data, 0, y->byte_count);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t at = x->type == KAPELL_STRING ? kp_lookup_text(lookup, kp_value_string(x, i))
                                                 : kp_lookup_number(lookup, kp_int_at(x, i));
    if (at < width)
      ((float*)y->data)[i * width + at] = 1;
    else if (!zeros)
      return KP_ERROR(RUN_FAILED, "element %zu is none of the categories, and zeros=0", i);
  }
  return NULL;
}

#define ML "ai.onnx.ml"
// clang-format off
static const kp_op_def ops[] = {  // spec: ai.onnx.ml operators LabelEncoder-1, -2, -4, CategoryMapper-1, OneHotEncoder-1
    {.domain = ML, .name = "LabelEncoder", .since = 1, .types = KP_M(STRING) | KP_M(INT64), .prepare = old_label_prepare, .run = coder_run},
    {.domain = ML, .name = "LabelEncoder", .since = 2, .types = LABELS, .supports = label_supports, .prepare = label_prepare, .run = coder_run},
    {.domain = ML, .name = "CategoryMapper", .since = 1, .types = KP_M(STRING) | KP_M(INT64), .supports = mapper_supports,
     .prepare = mapper_prepare, .run = coder_run},
    {.domain = ML, .name = "OneHotEncoder", .since = 1, .types = KP_M(STRING) | KP_M(INT64) | KP_M(INT32) | KP_M(FLOAT) | KP_M(DOUBLE),
     .supports = one_hot_supports, .prepare = one_hot_prepare, .run = one_hot_run},
};
// clang-format on
KP_OP_TABLE(ml_encode);
