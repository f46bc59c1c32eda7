// FLOPs of a node from shapes: one counting function an operator family, over a shape accessor that serves inferred types and concrete
// values alike.
#include "graph/cost.h"

#include <stdlib.h>

// Shapes of a node's inputs and outputs, whichever way they are known.
typedef struct shapes {
  const kp_node* node;
  const kp_graph* graph;              // inferred types, or
  const kapell_value* const* inputs;  // concrete values
  const kapell_value* const* outputs;
} shapes;

typedef struct dims {
  int32_t rank;  // -1 = not known
  const int64_t* at;
} dims;

static dims dims_of(const shapes* s, bool output, uint32_t i) {
  const uint32_t count = output ? s->node->output_count : s->node->input_count;
  if (i >= count) return (dims){-1, NULL};
  if (s->graph) {
    const kp_value* v =
        output ? kp_node_output(s->graph, s->node, i) : kp_node_input(s->graph, s->node, i);
    if (!v || v->type.kind != KAPELL_KIND_TENSOR) return (dims){-1, NULL};
    return (dims){v->type.rank, v->type.dims};
  }
  const kapell_value* v = output ? s->outputs[i] : s->inputs[i];
  if (!v || v->kind != KAPELL_KIND_TENSOR) return (dims){-1, NULL};
  return (dims){v->rank, v->dims};
}

// A dimension from the front (>= 0) or the back (< 0); symbols and what is not there count as 1.
static double dim(dims d, int32_t index) {
  if (index < 0) index += d.rank;
  if (index < 0 || index >= d.rank || !kp_is_number(d.at[index])) return 1;
  return (double)d.at[index];
}

static double elements(dims d) {
  double count = 1;
  for (int32_t i = 0; i < d.rank; ++i) count *= dim(d, i);
  return d.rank < 0 ? 0 : count;
}

static double matmul_flops(const shapes* s) {
  return 2 * elements(dims_of(s, true, 0)) * dim(dims_of(s, false, 0), -1);
}

static double gemm_flops(const shapes* s) {
  const bool transposed = kp_node_attr_i(s->node, "transA", 0) != 0;
  return 2 * elements(dims_of(s, true, 0)) * dim(dims_of(s, false, 0), transposed ? 0 : 1);
}

// Weights are [M, C/group, k...]: each output element takes their product without M.
static double conv_flops(const shapes* s) {
  const dims w = dims_of(s, false, 1);
  return 2 * elements(dims_of(s, true, 0)) * elements(w) / (dim(w, 0) > 0 ? dim(w, 0) : 1);
}

// Weights are [C, M/group, k...]: each input element is spread over their product without C.
static double conv_transpose_flops(const shapes* s) {
  const dims w = dims_of(s, false, 1);
  return 2 * elements(dims_of(s, false, 0)) * elements(w) / (dim(w, 0) > 0 ? dim(w, 0) : 1);
}

// X [seq, batch, input], W [directions, gates*hidden, input], R [directions, gates*hidden, hidden].
static double rnn_flops(const shapes* s) {
  const dims x = dims_of(s, false, 0);
  return 2 * dim(x, 0) * dim(x, 1) *
         (elements(dims_of(s, false, 1)) + elements(dims_of(s, false, 2)));
}

// Q [.., L, E] by K [.., S, E] and the scores by V.
static double attention_flops(const shapes* s) {
  const dims q = dims_of(s, false, 0), k = dims_of(s, false, 1);
  return 4 * elements(q) * dim(k, -2);
}

static double no_flops(const shapes* s) {
  (void)s;
  return 0;
}

typedef struct cost_rule {
  const char* op;
  double (*flops)(const shapes* s);
} cost_rule;

// Sorted by name. Domains share names here: a MatMul of com.microsoft costs what ONNX's does.
static const cost_rule kRules[] = {
    {"Attention", attention_flops},
    {"Cast", no_flops},
    {"Concat", no_flops},
    {"Constant", no_flops},
    {"ConstantOfShape", no_flops},
    {"Conv", conv_flops},
    {"ConvInteger", conv_flops},
    {"ConvTranspose", conv_transpose_flops},
    {"DeformConv", conv_flops},
    {"Expand", no_flops},
    {"Flatten", no_flops},
    {"FusedConv", conv_flops},
    {"FusedGemm", gemm_flops},
    {"FusedMatMul", matmul_flops},
    {"GRU", rnn_flops},
    {"Gather", no_flops},
    {"Gemm", gemm_flops},
    {"Identity", no_flops},
    {"LSTM", rnn_flops},
    {"MatMul", matmul_flops},
    {"MatMulInteger", matmul_flops},
    {"MatMulNBits", matmul_flops},
    {"MultiHeadAttention", attention_flops},
    {"Pad", no_flops},
    {"QLinearConv", conv_flops},
    {"QLinearMatMul", matmul_flops},
    {"RNN", rnn_flops},
    {"Reshape", no_flops},
    {"Shape", no_flops},
    {"Size", no_flops},
    {"Slice", no_flops},
    {"Split", no_flops},
    {"Squeeze", no_flops},
    {"Transpose", no_flops},
    {"Unsqueeze", no_flops},
};

static int by_name(const void* key, const void* rule) {
  return strcmp(key, ((const cost_rule*)rule)->op);
}

static double flops(const shapes* s) {
  const cost_rule* rule =
      bsearch(s->node->op, kRules, sizeof(kRules) / sizeof(kRules[0]), sizeof(kRules[0]), by_name);
  if (rule) return rule->flops(s);
  double count = 0;
  for (uint32_t i = 0; i < s->node->output_count; ++i) {
    const double n = elements(dims_of(s, true, i));
    if (n > count) count = n;
  }
  return count;
}

double kp_node_flops(const kp_graph* graph, const kp_node* node) {
  const shapes s = {.node = node, .graph = graph};
  return flops(&s);
}

double kp_node_flops_of(const kp_node* node, const kapell_value* const* inputs,
                        const kapell_value* const* outputs) {
  const shapes s = {.node = node, .inputs = inputs, .outputs = outputs};
  return flops(&s);
}
