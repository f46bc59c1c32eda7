// Activations and states of recurrent layers; recurrent_cell.h has the contract.
//
// Known activations of f32 run on kernel/eltwise; everything else on one scalar function. |clip| bounds what goes into the gates'
// activations, not the LSTM's cell on its way into h: so does ONNX Runtime, against which models with a clip were made.
#include "provider/cpu/op/recurrent/recurrent_cell.h"

#include <math.h>

// --- activations -------------------------------------------------------------------------------------------------------------
typedef struct kp_gate_row {
  const char* name;
  bool has_alpha, has_beta;
  double alpha, beta;  // defaults: those of the operators of that name
} kp_gate_row;

static const kp_gate_row kGates[] = {
    [KP_GATE_AFFINE] = {"Affine", true, true, 1, 0},
    [KP_GATE_ELU] = {"Elu", true, false, 1, 0},
    [KP_GATE_HARD_SIGMOID] = {"HardSigmoid", true, true, (double)0.2f, 0.5},
    [KP_GATE_LEAKY_RELU] = {"LeakyRelu", true, false, (double)0.01f, 0},
    [KP_GATE_RELU] = {"Relu", false, false, 0, 0},
    [KP_GATE_SCALED_TANH] = {"ScaledTanh", true, true, 1, 1},
    [KP_GATE_SIGMOID] = {"Sigmoid", false, false, 0, 0},
    [KP_GATE_SOFTPLUS] = {"Softplus", false, false, 0, 0},
    [KP_GATE_SOFTSIGN] = {"Softsign", false, false, 0, 0},
    [KP_GATE_TANH] = {"Tanh", false, false, 0, 0},
    [KP_GATE_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false, 1, 0},
};

static double gate_value(const kp_gate_act* act, double x) {
  const double a = act->alpha, b = act->beta;
  switch (act->fn) {
    case KP_GATE_AFFINE:
      return a * x + b;
    case KP_GATE_ELU:
      return x < 0 ? a * expm1(x) : x;
    case KP_GATE_HARD_SIGMOID:
      return x != x ? x : fmax(0, fmin(1, a * x + b));
    case KP_GATE_LEAKY_RELU:
      return x < 0 ? a * x : x;
    case KP_GATE_RELU:
      return x < 0 ? 0 : x;
    case KP_GATE_SCALED_TANH:
      return a * tanh(b * x);
    case KP_GATE_SIGMOID:
      return 1 / (1 + exp(-x));
    case KP_GATE_SOFTPLUS:
      return (x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
    case KP_GATE_SOFTSIGN:
      return x / (1 + fabs(x));
    case KP_GATE_TANH:
      return tanh(x);
    case KP_GATE_THRESHOLDED_RELU:
      return x < a ? 0 : x;
  }
  return x;
}

static bool kernel_act(const kp_gate_act* act, kp_act* out) {
  *out = (kp_act){.a = (float)act->alpha, .b = (float)act->beta};
  switch (act->fn) {
    case KP_GATE_ELU:
      out->kind = KP_ACT_ELU;
      return true;
    case KP_GATE_HARD_SIGMOID:
      out->kind = KP_ACT_HARD_SIGMOID;
      return true;
    case KP_GATE_LEAKY_RELU:
      out->kind = KP_ACT_LEAKY_RELU;
      return true;
    case KP_GATE_RELU:
      out->kind = KP_ACT_RELU;
      return true;
    case KP_GATE_SIGMOID:
      out->kind = KP_ACT_SIGMOID;
      return true;
    case KP_GATE_SOFTPLUS:
      out->kind = KP_ACT_SOFTPLUS;
      return true;
    case KP_GATE_TANH:
      out->kind = KP_ACT_TANH;
      return true;
    default:
      return false;
  }
}

static void activate_f32(const kp_cell* cell, const kp_gate_act* act, size_t count, float* x) {
  kp_act kernel;
  if (kernel_act(act, &kernel)) {
    cell->eltwise->activate(1, count, x, count, x, count, &kernel);
    return;
  }
  for (size_t i = 0; i < count; ++i) x[i] = (float)gate_value(act, (double)x[i]);
}

static void activate_f64(const kp_cell* cell, const kp_gate_act* act, size_t count, double* x) {
  (void)cell;
  for (size_t i = 0; i < count; ++i) x[i] = gate_value(act, x[i]);
}

// --- cells -------------------------------------------------------------------------------------------------------------------
#define REAL float
#define NAME(name) name##_f32
#include "provider/cpu/op/recurrent/recurrent_cell.inl"
#undef REAL
#undef NAME
#define REAL double
#define NAME(name) name##_f64
#include "provider/cpu/op/recurrent/recurrent_cell.inl"

void kp_cell_reset(const kp_cell* cell, bool f64, const kp_cell_row* row) {
  (f64 ? gru_reset_f64 : gru_reset_f32)(cell, row);
}

void kp_cell_finish(const kp_cell* cell, bool f64, const kp_cell_row* row) {
  switch (cell->kind) {
    case KP_CELL_RNN:
      (f64 ? rnn_f64 : rnn_f32)(cell, row);
      return;
    case KP_CELL_GRU:
      (f64 ? gru_finish_f64 : gru_finish_f32)(cell, row);
      return;
    case KP_CELL_LSTM:
      (f64 ? lstm_f64 : lstm_f32)(cell, row);
      return;
  }
}

// --- attributes --------------------------------------------------------------------------------------------------------------
// Alphas and betas are handed out in order to the activations that have one.
typedef struct kp_gate_numbers {
  const float *alphas, *betas;
  size_t alpha_count, beta_count;
} kp_gate_numbers;

static kp_reason read_gate(const kp_op_query* query, kp_str name, kp_gate_numbers* numbers,
                           kp_gate_act* out) {
  for (size_t i = 0; i < KP_COUNT_OF(kGates); ++i) {
    const kp_gate_row* row = &kGates[i];
    if (!kp_str_is(name, row->name)) continue;
    *out = (kp_gate_act){(kp_gate_fn)i, row->alpha, row->beta};
    if (row->has_alpha && numbers->alpha_count) {
      out->alpha = (double)*numbers->alphas++;
      --numbers->alpha_count;
    }
    if (row->has_beta && numbers->beta_count) {
      out->beta = (double)*numbers->betas++;
      --numbers->beta_count;
    }
    return KP_SUPPORTED;
  }
  return kp_query_no(query,
                     "activation '%.*s'; known are Affine, Elu, HardSigmoid, LeakyRelu, Relu, "
                     "ScaledTanh, Sigmoid, Softplus, Softsign, Tanh, ThresholdedRelu",
                     KP_STR_ARG(name));
}

static size_t gate_acts(kp_cell_kind kind) { return (size_t)kind + 1; }

static kp_reason read_acts(const kp_op_query* query, size_t directions, size_t index,
                           kp_cell* cell) {
  static const char* const defaults[][3] = {
      {"Tanh"}, {"Sigmoid", "Tanh"}, {"Sigmoid", "Tanh", "Tanh"}};
  const kp_attr* names = kp_node_attr(query->node, "activations");
  const size_t each = gate_acts(cell->kind),
               count = names && names->type == KP_ONNX_ATTR_STRINGS ? names->count : 0;
  // One direction's list serves both.
  const size_t first = count == each ? 0 : index * each;
  KP_REQUIRE(query, !count || count == each || count >= directions * each,
             "%zu activations; %zu for each direction are needed", count, each);
  kp_gate_numbers numbers;
  numbers.alphas = kp_node_attr_floats(query->node, "activation_alpha", &numbers.alpha_count);
  numbers.betas = kp_node_attr_floats(query->node, "activation_beta", &numbers.beta_count);
  for (size_t i = 0; i < (count ? first + each : each); ++i) {
    kp_gate_act act;
    const kp_str name = count ? names->strings[i] : kp_str_of(defaults[cell->kind][i]);
    const kp_reason reason = read_gate(query, name, &numbers, &act);
    if (reason) return reason;
    if (!count || i >= first) cell->acts[count ? i - first : i] = act;
  }
  return KP_SUPPORTED;
}

kp_reason kp_cell_read(const kp_op_query* query, kp_cell_kind kind, size_t directions, size_t index,
                       kp_cell* out_cell) {
  const kp_node* node = query->node;
  *out_cell = (kp_cell){.kind = kind, .clip = (double)INFINITY};
  const kp_attr* clip = kp_node_attr(node, "clip");
  if (clip && clip->type == KP_ONNX_ATTR_FLOAT) {
    KP_REQUIRE(query, clip->f >= 0, "clip %g; a threshold is 0 or more", (double)clip->f);
    out_cell->clip = (double)clip->f;
  }
  out_cell->input_forget = kp_node_attr_i(node, "input_forget", 0) != 0;
  out_cell->reset_after = kp_node_attr_i(node, "linear_before_reset", 0) != 0;
  return read_acts(query, directions, index, out_cell);
}
