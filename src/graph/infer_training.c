// Inference of ai.onnx.preview.training: optimizers, whose outputs are like some of their inputs.
#include "graph/infer_rule.h"

// R, T, then |groups| lists of as many tensors each; the outputs are the new values of the lists at |kept|.
static kp_status* optimizer(kp_infer* infer, uint32_t groups, const uint32_t* kept,
                            uint32_t kept_count) {
  const uint32_t inputs = infer->node->input_count;
  if (inputs < 2 + groups || (inputs - 2) % groups != 0)
    return kp_node_error(infer, "%u inputs; expected 2 and a multiple of %u", inputs, groups);
  const uint32_t each = (inputs - 2) / groups;
  for (uint32_t k = 0; k < kept_count; ++k) {
    for (uint32_t t = 0; t < each; ++t) {
      const uint32_t from = 2 + kept[k] * each + t;
      kp_out_shape_of(infer, k * each + t, kp_in_element(infer, from), from);
    }
  }
  return NULL;
}

// X, G, H -> X, H
static kp_status* adagrad(kp_infer* infer) {
  return optimizer(infer, 3, (const uint32_t[]){0, 2}, 2);
}
// X, G, V, H -> X, V, H
static kp_status* adam(kp_infer* infer) {
  return optimizer(infer, 4, (const uint32_t[]){0, 2, 3}, 3);
}

// d y / d x for each name of attribute "xs", which stand first among the inputs.
static kp_status* gradient(kp_infer* infer) {
  for (uint32_t o = 0; o < infer->node->output_count; ++o)
    kp_out_shape_of(infer, o, kp_in_element(infer, o), o);
  return NULL;
}

#define TRAINING "ai.onnx.preview.training"
// clang-format off
const kp_infer_rule kp_infer_rules_training[] = {
    {TRAINING, "Adagrad", 1, adagrad, 0, 0},
    {TRAINING, "Adam", 1, adam, 0, 0},
    {TRAINING, "Momentum", 1, adagrad, 0, 0},
    {TRAINING, "Gradient", 1, gradient, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
