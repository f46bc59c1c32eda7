// Maps of ai.onnx.ml: ZipMap makes them, DictVectorizer and CastMap take them apart.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "provider/cpu/op/element.h"
#include "provider/cpu/op/help.h"
#include "provider/cpu/op/lookup.h"

// --- ZipMap ------------------------------------------------------------------------------------------------------------------
// The labels as a tensor of keys.
static kp_status* make_keys(const kp_node* node, kapell_value** out_keys) {
  const kp_attr *texts = kp_node_attr(node, "classlabels_strings"),
                *numbers = kp_node_attr(node, "classlabels_int64s");
  const bool strings = texts && texts->count;
  const int64_t count = strings ? (int64_t)texts->count : numbers ? (int64_t)numbers->count : 0;
  KP_PASS(kp_value_create_tensor(strings ? KAPELL_STRING : KAPELL_INT64, &count, 1, out_keys));
  kp_status* status = NULL;
  for (int64_t i = 0; i < count && !status; ++i) {
    if (strings)
      status = kp_value_set_string(*out_keys, (size_t)i, texts->strings[i]);
    else
      ((int64_t*)(*out_keys)->data)[i] = numbers->ints[i];
  }
  if (!status) return NULL;
  kp_value_release(*out_keys);
  *out_keys = NULL;
  return status;
}

static kp_status* append_map(kapell_value* sequence, kapell_value* keys, const float* scores) {
  const size_t count = kp_value_count(keys);
  kapell_value *values, *map = NULL;
  KP_PASS(kp_value_create_tensor(KAPELL_FLOAT, keys->dims, 1, &values));
  if (count) memcpy(values->data, scores, count * sizeof(float));
  kp_status* status = kp_value_create_map(keys, values, &map);
  if (!status) status = kp_value_sequence_append(sequence, map);
  kp_value_release(map);
  kp_value_release(values);
  return status;
}

static kp_status* zip_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t columns = x->rank ? (size_t)x->dims[x->rank - 1] : 1,
               rows = x->rank > 1 ? (size_t)x->dims[0] : 1;
  kapell_value *keys, *sequence = NULL;
  KP_PASS(make_keys(run->node, &keys));
  kp_status* status = NULL;
  if (kp_value_count(keys) != columns)
    status = KP_ERROR(RUN_FAILED, "%zu columns for %zu keys", columns, kp_value_count(keys));
  if (!status) status = kp_value_create_sequence(&sequence);
  for (size_t r = 0; r < rows && !status; ++r)
    status = append_map(sequence, keys, (const float*)x->data + r * columns);
  kp_value_release(keys);
  if (!status) return kp_op_output_value(run, 0, sequence);
  kp_value_release(sequence);
  return status;
}

// --- DictVectorizer ----------------------------------------------------------------------------------------------------------
static kp_reason dict_supports(const kp_op_query* query) {
  const kp_attr *texts = kp_node_attr(query->node, "string_vocabulary"),
                *numbers = kp_node_attr(query->node, "int64_vocabulary");
  KP_REQUIRE(query, (texts && texts->count) || (numbers && numbers->count),
             "attributes int64_vocabulary and string_vocabulary are both missing");
  return KP_SUPPORTED;
}

static kp_status* dict_prepare(kp_op_prepare* prepare) {
  kp_lookup* lookup = kp_arena_new(prepare->arena, kp_lookup);
  if (!lookup) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = lookup;
  const kp_attr *texts = kp_node_attr(prepare->node, "string_vocabulary"),
                *numbers = kp_node_attr(prepare->node, "int64_vocabulary");
  const bool strings = texts && texts->count;
  const size_t count = strings ? texts->count : numbers->count;
  KP_PASS(kp_lookup_init(lookup, prepare->arena, count, strings));
  for (size_t i = 0; i < count; ++i)
    *(strings ? kp_lookup_put_text(lookup, &texts->strings[i])
              : kp_lookup_put_number(lookup, numbers->ints[i])) = (uint32_t)i;
  return NULL;
}

// Keys and values of the map that is input 0; values are a tensor of one element a key.
static kp_status* open_map(const kp_op_run* run, const kapell_value** out_keys,
                           const kapell_value** out_values) {
  const kapell_value* x = run->inputs[0];
  *out_keys = x->kind == KAPELL_KIND_MAP ? x->items[0] : NULL;
  *out_values = *out_keys ? x->items[1] : NULL;
  if (!*out_keys || (*out_values)->kind != KAPELL_KIND_TENSOR)
    return KP_ERROR(RUN_FAILED, "the input is no map of single elements");
  return NULL;
}

// Copies one element of a tensor of strings or of fixed-width elements.
static kp_status* copy_one(kapell_value* to, size_t at, const kapell_value* from, size_t index) {
  if (to->type == KAPELL_STRING) return kp_value_set_string(to, at, kp_value_string(from, index));
  const size_t bytes = kp_type_bits(to->type) / 8;
  memcpy((char*)to->data + at * bytes, (const char*)from->data + index * bytes, bytes);
  return NULL;
}

static kp_status* clear(kapell_value* value) {
  const size_t count = value->type == KAPELL_STRING ? kp_value_count(value) : 0;
  for (size_t i = 0; i < count; ++i) KP_PASS(kp_value_set_string(value, i, (kp_str){"", 0}));
  if (value->type != KAPELL_STRING && value->byte_count) memset(value->data, 0, value->byte_count);
  return NULL;
}

// Keys that are not in the vocabulary have no place and are left out.
static kp_status* dict_run(const kp_op_run* run) {
  const kapell_value *keys, *values;
  KP_PASS(open_map(run, &keys, &values));
  const kp_lookup* lookup = run->state;
  const kp_attr *texts = kp_node_attr(run->node, "string_vocabulary"),
                *numbers = kp_node_attr(run->node, "int64_vocabulary");
  const int64_t dims[] = {1, (int64_t)(lookup->texts ? texts->count : numbers->count)};
  if ((keys->type == KAPELL_STRING) != (lookup->texts != NULL))
    return KP_ERROR(RUN_FAILED, "keys of the map are not of the vocabulary's type");
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, values->type, dims, 2, &y));
  KP_PASS(clear(y));
  const size_t count = kp_value_count(keys);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t at = lookup->texts ? kp_lookup_text(lookup, kp_value_string(keys, i))
                                      : kp_lookup_number(lookup, kp_int_at(keys, i));
    if (at != KP_LOOKUP_NONE) KP_PASS(copy_one(y, at, values, i));
  }
  return NULL;
}

// --- CastMap -----------------------------------------------------------------------------------------------------------------
// |number| with six digits behind the point, whatever the locale.
static kp_status* put_number(kapell_value* to, size_t at, float number) {
  char text[64];
  int length;
  if (isfinite(number)) {
    const double size = fabs((double)number);
    double whole = floor(size);
    long part = lrint((size - whole) * 1e6);  // exact but for the rounding: a float has 24 bits
    if (part == 1000000) {
      part = 0;
      whole += 1;
    }
    length = snprintf(text, sizeof text, "%s%.0f.%06ld", signbit(number) ? "-" : "", whole, part);
  } else {
    length = snprintf(text, sizeof text, "%s",
                      isnan(number)     ? "nan"
                      : signbit(number) ? "-inf"
                                        : "inf");
  }
  return kp_value_set_string(to, at, (kp_str){text, (size_t)length});
}

// Value |index| of the map as element |at| of |to|.
static kp_status* cast_one(kapell_value* to, size_t at, const kapell_value* values, size_t index) {
  if (to->type == KAPELL_STRING) {
    if (values->type == KAPELL_STRING) return copy_one(to, at, values, index);
    return put_number(to, at, (float)kp_double_at(values, index));
  }
  double number = 0;
  const kp_rounding plain = {0};
  if (values->type == KAPELL_STRING) {
    const kp_str text = kp_value_string(values, index);
    kp_str rest = text;
    while (rest.length && (*rest.data == ' ' || (*rest.data >= '\t' && *rest.data <= '\r'))) {
      ++rest.data;
      --rest.length;
    }
    int64_t exact;
    if (to->type == KAPELL_INT64 && kp_parse_i64(rest, &exact)) {
      ((int64_t*)to->data)[at] = exact;
      return NULL;
    }
    if (!kp_parse_f64(rest, &number))
      return KP_ERROR(RUN_FAILED, "\"%.*s\" is no number", KP_STR_ARG(text));
  } else {
    number = kp_double_at(values, index);
  }
  kp_store_real(to->type, to->data, at, 1, &number, &plain);
  return NULL;
}

typedef struct keyed {
  int64_t key;
  size_t index;
} keyed;

static int by_key(const void* a, const void* b) {
  const keyed *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

// Dense: values in the order of their keys. Sparse: each where its key says.
static kp_status* place(const kapell_value* keys, const kapell_value* values, keyed* order,
                        bool sparse, kapell_value* y) {
  const size_t count = kp_value_count(keys);
  for (size_t i = 0; i < count; ++i) order[i] = (keyed){kp_int_at(keys, i), i};
  if (count) qsort(order, count, sizeof *order, by_key);
  for (size_t i = 0; i < count; ++i) {
    const int64_t key = order[i].key;
    if (sparse && (key < 0 || key >= y->dims[1]))
      return KP_ERROR(RUN_FAILED, "key %lld in a tensor of max_map=%lld", (long long)key,
                      (long long)y->dims[1]);
    KP_PASS(cast_one(y, sparse ? (size_t)key : i, values, order[i].index));
  }
  return NULL;
}

static kp_status* cast_map_run(const kp_op_run* run) {
  const kapell_value *keys, *values;
  KP_PASS(open_map(run, &keys, &values));
  const kp_str to = kp_node_attr_s(run->node, "cast_to", "TO_FLOAT");
  const bool sparse = kp_str_is(kp_node_attr_s(run->node, "map_form", "DENSE"), "SPARSE");
  const int64_t most = kp_node_attr_i(run->node, "max_map", 1);
  const size_t count = kp_value_count(keys);
  const int64_t dims[] = {1, sparse ? most : (int64_t)count};
  if (keys->type == KAPELL_STRING) return KP_ERROR(RUN_FAILED, "keys of the map are strings");
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0,
                       kp_str_is(to, "TO_STRING")  ? KAPELL_STRING
                       : kp_str_is(to, "TO_INT64") ? KAPELL_INT64
                                                   : KAPELL_FLOAT,
                       dims, 2, &y));
  if (sparse) KP_PASS(clear(y));
  keyed* order = kp_alloc_array(count, sizeof *order);
  if (!order) return KP_ERROR(OUT_OF_MEMORY, "%zu keys", count);
  kp_status* status = place(keys, values, order, sparse, y);
  kp_free(order);
  return status;
}

static kp_reason cast_map_supports(const kp_op_query* query) {
  const kp_str to = kp_node_attr_s(query->node, "cast_to", "TO_FLOAT"),
               form = kp_node_attr_s(query->node, "map_form", "DENSE");
  KP_REQUIRE(query,
             kp_str_is(to, "TO_FLOAT") || kp_str_is(to, "TO_INT64") || kp_str_is(to, "TO_STRING"),
             "cast_to=%.*s", KP_STR_ARG(to));
  KP_REQUIRE(query, kp_str_is(form, "DENSE") || kp_str_is(form, "SPARSE"), "map_form=%.*s",
             KP_STR_ARG(form));
  return KP_SUPPORTED;
}

#define ML "ai.onnx.ml"
// clang-format off
static const kp_op_def ops[] = {  // spec: ai.onnx.ml operators ZipMap-1, DictVectorizer-1, CastMap-1
    {.domain = ML, .name = "ZipMap", .since = 1, .types = KP_M(FLOAT), .run = zip_run},
    {.domain = ML, .name = "DictVectorizer", .since = 1, .supports = dict_supports, .prepare = dict_prepare, .run = dict_run},
    {.domain = ML, .name = "CastMap", .since = 1, .supports = cast_map_supports, .run = cast_map_run},
};
// clang-format on
KP_OP_TABLE(ml_map);
