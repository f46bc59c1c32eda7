// Scores and labels of ai.onnx.ml; see ml_score.h.
#include "provider/cpu/op/ml/ml_score.h"

#include <math.h>

#include "provider/cpu/op/element.h"

void kp_sample_numbers(const kapell_value* x, size_t first, size_t count, double* out) {
  if (kp_element_class_of(x->type) == KP_ELEMENT_REAL)
    kp_load_real(x->type, x->data, first, count, out);
  else
    for (size_t i = 0; i < count; ++i) out[i] = (double)kp_int_at(x, first + i);
}

// --- post_transform ----------------------------------------------------------------------------------------------------------
static const char* const post_names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};

kp_post kp_post_of(const kp_node* node) {
  const kp_str name = kp_node_attr_s(node, "post_transform", "NONE");
  for (size_t i = 0; i < KP_COUNT_OF(post_names); ++i)
    if (kp_str_is(name, post_names[i])) return (kp_post)i;
  return KP_POST_NONE;
}

kp_reason kp_post_check(const kp_op_query* query) {
  const kp_str name = kp_node_attr_s(query->node, "post_transform", "NONE");
  KP_REQUIRE(query, kp_post_of(query->node) != KP_POST_NONE || kp_str_is(name, "NONE"),
             "post_transform=%.*s is unknown", KP_STR_ARG(name));
  return KP_SUPPORTED;
}

double kp_logistic(double x) {
  const double share = 1 / (1 + exp(-fabs(x)));
  return x < 0 ? 1 - share : share;
}

// Inverse of the normal distribution's function, by the inverse of erf (Winitzki 2008, a = 0.147).
static double probit(double p) {
  const double x = 2 * p - 1, product = (1 - x) * (1 + x);
  if (product == 0) return 0;
  const double log_product = log(product);
  const double v = 2 / (3.14159265358979323846 * 0.147) + 0.5 * log_product;
  const double inverse = sqrt(-v + sqrt(v * v - log_product / 0.147));
  return 1.41421356 * (x < 0 ? -inverse : inverse);
}

static void softmax(double* scores, size_t count, bool skip_zeros) {
  double most = -INFINITY, sum = 0;
  for (size_t i = 0; i < count; ++i)
    if (scores[i] > most) most = scores[i];
  for (size_t i = 0; i < count; ++i) {
    const bool zero = skip_zeros && fabs(scores[i]) <= 1e-7;
    scores[i] = zero ? scores[i] * exp(-most) : exp(scores[i] - most);
    sum += scores[i];
  }
  for (size_t i = 0; i < count; ++i) scores[i] = skip_zeros && sum == 0 ? 0.5 : scores[i] / sum;
}

void kp_post_apply(kp_post post, double* scores, size_t count) {
  if (post == KP_POST_SOFTMAX || post == KP_POST_SOFTMAX_ZERO)
    softmax(scores, count, post == KP_POST_SOFTMAX_ZERO);
  for (size_t i = 0; post == KP_POST_LOGISTIC && i < count; ++i) scores[i] = kp_logistic(scores[i]);
  for (size_t i = 0; post == KP_POST_PROBIT && i < count; ++i) scores[i] = probit(scores[i]);
}

// --- labels ------------------------------------------------------------------------------------------------------------------
kp_labels kp_labels_of(const kp_node* node, const char* numbers) {
  const kp_attr *texts = kp_node_attr(node, "classlabels_strings"),
                *ints = kp_node_attr(node, numbers);
  if (texts && texts->count) return (kp_labels){.texts = texts->strings, .count = texts->count};
  if (ints && ints->count) return (kp_labels){.numbers = ints->ints, .count = ints->count};
  return (kp_labels){0};
}

static kp_status* put(kapell_value* y, size_t row, kp_str text, int64_t number) {
  if (y->type == KAPELL_STRING) return kp_value_set_string(y, row, text);
  ((int64_t*)y->data)[row] = number;
  return NULL;
}

kp_status* kp_labels_put(const kp_labels* labels, kapell_value* y, size_t row, size_t class_index) {
  const bool known = class_index < labels->count;
  return put(y, row, known && labels->texts ? labels->texts[class_index] : (kp_str){"", 0},
             known && labels->numbers ? labels->numbers[class_index] : (int64_t)class_index);
}

kp_status* kp_labels_put_single(const kp_labels* labels, kapell_value* y, size_t row,
                                bool positive) {
  if (!positive) return put(y, row, (kp_str){"", 0}, 0);
  return put(y, row, labels->texts ? labels->texts[0] : (kp_str){"", 0},
             labels->numbers ? labels->numbers[0] : 1);
}

size_t kp_largest(const double* scores, size_t count) {
  size_t best = 0;
  for (size_t i = 1; i < count; ++i)
    if (scores[i] > scores[best]) best = i;
  return best;
}
