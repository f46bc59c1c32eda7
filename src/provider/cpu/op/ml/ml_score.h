// What the models of ai.onnx.ml share: samples as rows, scores after the model (post_transform), class labels.
#ifndef KP_PROVIDER_CPU_OP_ML_SCORE_H_
#define KP_PROVIDER_CPU_OP_ML_SCORE_H_

#include "provider/cpu/op/help.h"

// Numbers as in TreeEnsemble's attribute.
typedef enum kp_post {
  KP_POST_NONE = 0,
  KP_POST_SOFTMAX,
  KP_POST_LOGISTIC,
  KP_POST_SOFTMAX_ZERO,
  KP_POST_PROBIT,
} kp_post;

// Attribute post_transform as text; or a reason why it is none.
kp_reason kp_post_check(const kp_op_query* query);
kp_post kp_post_of(const kp_node* node);
// In place, over the scores of one sample. SOFTMAX_ZERO gives scores of 0 no share but exp(-max); PROBIT is Winitzki's approximation,
// which other runtimes use too.
void kp_post_apply(kp_post post, double* scores, size_t count);
double kp_logistic(double x);

// A matrix of samples: one row each; a vector is one sample.
static inline size_t kp_samples(const kapell_value* x) {
  return x->rank > 1 ? (size_t)x->dims[0] : 1;
}
static inline size_t kp_features(const kapell_value* x) {
  return x->rank > 1 ? kp_span(x, 1, x->rank) : x->rank ? (size_t)x->dims[0] : 1;
}

// |count| elements of a tensor of floats or integers from |first| on.
void kp_sample_numbers(const kapell_value* x, size_t first, size_t count, double* out);

// Class labels: strings, or integers; none: the classes' numbers.
typedef struct kp_labels {
  const kp_str* texts;
  const int64_t* numbers;
  size_t count;
} kp_labels;
// From classlabels_strings, or from attribute |numbers|.
kp_labels kp_labels_of(const kp_node* node, const char* numbers);
// Sets element |row| of |y| to the label of |class_index| (checked). |classes| of a sample's row were chosen by the model; strings are set
// one thread at a time. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_labels_put(const kp_labels* labels, kapell_value* y, size_t row,
                                     size_t class_index);
// A model of one class: its label, or else 0 and an empty text.
KP_MUST_USE kp_status* kp_labels_put_single(const kp_labels* labels, kapell_value* y, size_t row,
                                            bool positive);
// Position of the largest score, the first of equal ones.
size_t kp_largest(const double* scores, size_t count);

#endif  // KP_PROVIDER_CPU_OP_ML_SCORE_H_
