// One step of RNN, GRU and LSTM behind the matrix products: gates, activations and states of one row of the batch.
#ifndef KP_PROVIDER_CPU_OP_RECURRENT_CELL_H_
#define KP_PROVIDER_CPU_OP_RECURRENT_CELL_H_

#include "provider/cpu/kernel/eltwise/eltwise.h"
#include "provider/cpu/op/help.h"

typedef enum kp_cell_kind { KP_CELL_RNN, KP_CELL_GRU, KP_CELL_LSTM } kp_cell_kind;

// The activations that the specification names, in the order of its list.
typedef enum kp_gate_fn {
  KP_GATE_AFFINE,
  KP_GATE_ELU,
  KP_GATE_HARD_SIGMOID,
  KP_GATE_LEAKY_RELU,
  KP_GATE_RELU,
  KP_GATE_SCALED_TANH,
  KP_GATE_SIGMOID,
  KP_GATE_SOFTPLUS,
  KP_GATE_SOFTSIGN,
  KP_GATE_TANH,
  KP_GATE_THRESHOLDED_RELU,
} kp_gate_fn;

typedef struct kp_gate_act {
  kp_gate_fn fn;
  double alpha, beta;
} kp_gate_act;

// What attributes say of one direction.
typedef struct kp_cell {
  kp_cell_kind kind;
  kp_gate_act acts[3];  // f, g, h
  double clip;          // bound of what goes into the gates' activations; INFINITY = none
  bool input_forget;    // LSTM: the forget gate is 1 - the input gate
  bool reset_after;     // GRU: linear_before_reset
  const kp_eltwise_ops* eltwise;
} kp_cell;

// |count| units of one row. Elements are floats, or doubles.
typedef struct kp_cell_row {
  size_t count;
  void* gates[4];  // X W + H R + bias; in the order of W. GRU: the last one lacks H R so far
  const void* h_before;
  void* h_after;
  void* c;                  // LSTM: in and out
  const void* peephole[3];  // LSTM: of the input, output and forget gates, or NULLs
  void* mixed;  // GRU: in, with reset_after: H R + bias of the last gate; out, without: r * H
} kp_cell_row;

// Reads activations, activation_alpha, activation_beta, clip and what else the operator has, for direction |index| of |directions|.
// A reason in |arena|, or NULL.
kp_reason kp_cell_read(const kp_op_query* query, kp_cell_kind kind, size_t directions, size_t index,
                       kp_cell* out_cell);
// GRU before the second product: gates z and r; r * H into |mixed|, or (reset_after) what belongs to the last gate into it.
void kp_cell_reset(const kp_cell* cell, bool f64, const kp_cell_row* row);
// The rest of a step: all gates are there.
void kp_cell_finish(const kp_cell* cell, bool f64, const kp_cell_row* row);

#endif  // KP_PROVIDER_CPU_OP_RECURRENT_CELL_H_
