// Cast, CastLike, BitCast: every pair of types, texts included, block by block through int64 or f64 (element.h).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/cpu.h"
#include "provider/cpu/kernel/convert/convert.h"
#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/element.h"

#define BLOCK 512  // elements converted at a time; a multiple of what packed types need

// --- texts -------------------------------------------------------------------------------------------------------------------
// True if |text| is read as |x| where it becomes an element of |type|.
static bool reads_as(const char* text, double x, kapell_type type) {
  if (type == KAPELL_DOUBLE) return strtod(text, NULL) == x;
  if (type == KAPELL_FLOAT) return strtof(text, NULL) == (float)x;
  const kp_rounding rounding = {.saturate = true};
  uint32_t cell = 0;
  double read = strtod(text, NULL);
  kp_store_real(type, &cell, 0, 1, &read, &rounding);
  kp_load_real(type, &cell, 0, 1, &read);
  return read == x;
}

// As numpy writes a number: the fewest digits that read back the same, in positional form from 1e-4 to 1e16.
static size_t write_real(char* text, size_t capacity, double x, kapell_type type) {
  if (isnan(x)) return (size_t)snprintf(text, capacity, "nan");
  if (isinf(x)) return (size_t)snprintf(text, capacity, x < 0 ? "-inf" : "inf");
  int digits = 1;
  char shortest[40];
  for (; digits < 18; ++digits) {
    snprintf(shortest, sizeof shortest, "%.*e", digits - 1, x);
    if (reads_as(shortest, x, type)) break;
  }
  const int exponent = atoi(strchr(shortest, 'e') + 1);
  if (x != 0 && (exponent < -4 || exponent >= 16))
    return (size_t)snprintf(text, capacity, "%s", shortest);
  const int places = digits - 1 - exponent;
  return (size_t)snprintf(text, capacity, "%.*f", places > 1 ? places : 1, x);
}

static kp_status* write_texts(const kapell_value* x, kapell_value* y) {
  const size_t count = kp_value_count(x);
  const bool whole = kp_element_class_of(x->type) == KP_ELEMENT_WHOLE;
  for (size_t i = 0; i < count; ++i) {
    char text[64];
    size_t length;
    if (x->type == KAPELL_BOOL) {
      length = (size_t)snprintf(text, sizeof text, "%s",
                                ((const uint8_t*)x->data)[i] ? "True" : "False");
    } else if (whole) {
      int64_t number;
      kp_load_whole(x->type, x->data, i, 1, &number);
      length = (size_t)snprintf(text, sizeof text, x->type == KAPELL_UINT64 ? "%llu" : "%lld",
                                (long long)number);
    } else {
      double number;
      kp_load_real(x->type, x->data, i, 1, &number);
      length = write_real(text, sizeof text, number, x->type);
    }
    KP_PASS(kp_value_set_string(y, i, (kp_str){text, length}));
  }
  return NULL;
}

// A number as people and numpy write it; also NaN, INF, +INF, -INF in any case.
static kp_status* read_real(kp_str text, double* out) {
  while (text.length && (unsigned char)text.data[0] <= ' ') ++text.data, --text.length;
  while (text.length && (unsigned char)text.data[text.length - 1] <= ' ') --text.length;
  if (kp_parse_f64(text, out)) return NULL;
  static const struct {
    const char* name;
    double value;
  } names[] = {{"nan", NAN},        {"inf", INFINITY},      {"+inf", INFINITY},
               {"-inf", -INFINITY}, {"infinity", INFINITY}, {"-infinity", -INFINITY}};
  for (size_t i = 0; i < KP_COUNT_OF(names); ++i) {
    if (text.length != strlen(names[i].name) ||
        strncasecmp(text.data, names[i].name, text.length) != 0)
      continue;
    *out = names[i].value;
    return NULL;
  }
  if (text.length && text.data[0] == '+' &&
      kp_parse_f64((kp_str){text.data + 1, text.length - 1}, out))
    return NULL;
  return KP_ERROR(RUN_FAILED, "'%.*s' is no number", KP_STR_ARG(text));
}

static kp_status* read_texts(const kapell_value* x, kapell_value* y, const kp_rounding* rounding) {
  const size_t count = kp_value_count(x);
  const bool whole = kp_element_class_of(y->type) == KP_ELEMENT_WHOLE;
  if (y->byte_count) memset(y->data, 0, y->byte_count);
  for (size_t i = 0; i < count; ++i) {
    const kp_str text = kp_value_string(x, i);
    int64_t number;
    double real;
    if (whole && kp_parse_i64(text, &number)) {
      kp_store_whole(y->type, y->data, i, 1, &number, false, rounding);
    } else {
      KP_PASS(read_real(text, &real));
      kp_store_real(y->type, y->data, i, 1, &real, rounding);
    }
  }
  return NULL;
}

// --- numbers -----------------------------------------------------------------------------------------------------------------
typedef struct kp_cast_job {
  const kapell_value* x;
  kapell_value* y;
  kp_rounding rounding;
  size_t count;
} kp_cast_job;

// Between f32 and its 16-bit kin, which all variants of the kernels do alike; false for other types.
static bool convert_halves(const kapell_value* x, kapell_value* y, size_t first, size_t count) {
  const kp_convert_ops* ops = kp_convert_select(kp_cpu_features());
  const uint16_t* halves = (const uint16_t*)x->data + first;
  const float* floats = (const float*)x->data + first;
  if (x->type == KAPELL_FLOAT16 && y->type == KAPELL_FLOAT)
    ops->f16_to_f32(count, halves, (float*)y->data + first);
  else if (x->type == KAPELL_BFLOAT16 && y->type == KAPELL_FLOAT)
    ops->bf16_to_f32(count, halves, (float*)y->data + first);
  else if (x->type == KAPELL_FLOAT && y->type == KAPELL_FLOAT16)
    ops->f32_to_f16(count, floats, (uint16_t*)y->data + first);
  else if (x->type == KAPELL_FLOAT && y->type == KAPELL_BFLOAT16)
    ops->f32_to_bf16(count, floats, (uint16_t*)y->data + first);
  else
    return false;
  return true;
}

static void cast_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_cast_job* job = arg;
  const kapell_type from = job->x->type, to = job->y->type;
  const size_t first = task * BLOCK, count = kp_min_size(BLOCK, job->count - first);
  if (convert_halves(job->x, job->y, first, count)) return;
  if (kp_element_class_of(from) == KP_ELEMENT_WHOLE) {
    int64_t numbers[BLOCK];
    kp_load_whole(from, job->x->data, first, count, numbers);
    kp_store_whole(to, job->y->data, first, count, numbers, from == KAPELL_UINT64, &job->rounding);
  } else {
    double reals[BLOCK];
    kp_load_real(from, job->x->data, first, count, reals);
    kp_store_real(to, job->y->data, first, count, reals, &job->rounding);
  }
}

static kp_rounding rounding_of(const kp_node* node) {
  const kp_str mode = kp_node_attr_s(node, "round_mode", "up");
  const kp_e8m0_round e8m0 = kp_str_is(mode, "down")      ? KP_E8M0_DOWN
                             : kp_str_is(mode, "nearest") ? KP_E8M0_NEAREST
                                                          : KP_E8M0_UP;
  return (kp_rounding){kp_node_attr_i(node, "saturate", 1) != 0, e8m0};
}

static kp_status* cast_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  const size_t count = kp_value_count(x);
  kp_cast_job job = {.x = x, .y = y, .rounding = rounding_of(run->node), .count = count};
  if (x->type == y->type) return x->data == y->data ? NULL : kp_copy_elements(y, 0, x, 0, count);
  if (y->type == KAPELL_STRING) return write_texts(x, y);
  if (x->type == KAPELL_STRING) return read_texts(x, y, &job.rounding);
  const size_t tasks = (count + BLOCK - 1) / BLOCK;
  if (tasks) kp_parallel_for(kp_op_width(run->width, count * 2), tasks, cast_task, &job);
  return NULL;
}

static kp_reason cast_supports(const kp_op_query* query) {
  const kp_value* to = kp_node_output(query->graph, query->node, 0);
  const kapell_type from = kp_query_type(query, 0);
  KP_REQUIRE(query, !kp_type_is_complex(from), "a cast from %s", kp_type_name(from));
  KP_REQUIRE(query, !to || !kp_type_is_complex(to->type.element), "a cast to complex numbers");
  return KP_SUPPORTED;
}

static kp_status* bit_cast_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  if (x->byte_count != y->byte_count) return KP_ERROR(RUN_FAILED, "types of different widths");
  if (x->byte_count && x->data != y->data) memcpy(y->data, x->data, x->byte_count);
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Cast-1..25, CastLike-15..25, BitCast-26
    {.name = "Cast", .since = 1, .supports = cast_supports, .run = cast_run,
     .kernels = "f32 to and from 16-bit floats: convert"},
    {.name = "CastLike", .since = 15, .supports = cast_supports, .run = cast_run},
    {.name = "BitCast", .since = 26, .run = bit_cast_run, .flags = KP_OP_VIEW},
};
// clang-format on
KP_OP_TABLE(cast);
