// What RNN, GRU and LSTM share: recurrent.c reads attributes, packs weights and lays out memory, recurrent_run.c walks the steps.
#ifndef KP_PROVIDER_CPU_OP_RECURRENT_H_
#define KP_PROVIDER_CPU_OP_RECURRENT_H_

#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/recurrent/recurrent_bytes.h"
#include "provider/cpu/op/recurrent/recurrent_cell.h"

typedef struct kp_recurrent_state {
  kp_cell cells[2];  // by direction
  size_t gates, directions;
  bool reverse;      // the first direction runs from the end; the second always does
  bool batch_first;  // attribute layout 1
  bool
      quantized;  // DynamicQuantizeLSTM: 8-bit weights, what meets them rounded to 8 bits on the way
  bool narrow;    // quantized, and W and R are constants: products of integers
  kp_recurrent_bytes w_bytes, r_bytes;  // if |narrow|
  const kp_gemm_ops* gemm;
  const float *w, *r;  // packed constants of all directions, f32 only; NULL = packed in each run
} kp_recurrent_state;

// Numbers of one signature. A *way* is one direction over some rows of the batch: ways never wait for each other. The *_at are offsets
// in bytes within the scratch of a way.
typedef struct kp_recurrent_params {
  bool f64;
  size_t size;  // of an element
  size_t length, batch, features, hidden;
  size_t chunk;               // steps whose input products are computed at a time
  size_t ranges, range_unit;  // tasks of one step, and what their bounds are multiples of
  int step_threads, way_threads;
  size_t groups, group_rows;  // of the batch; rows of the largest
  size_t w_floats, r_floats;  // packed, of one direction; r: of one gate
  size_t gemm_bytes;          // scratch of one worker
  size_t rows_at, gates_at, h_at[2], c_at, mixed_at, bias_at, w_at, r_at, rounded_at, gemm_at;
  size_t bytes_at, scales_at, sums_at;  // if narrow
  size_t way_bytes;
} kp_recurrent_params;

// Positions of inputs, the same in all operators of the family.
enum {
  KP_RECURRENT_X,
  KP_RECURRENT_W,
  KP_RECURRENT_R,
  KP_RECURRENT_B,
  KP_RECURRENT_LENGTHS,
  KP_RECURRENT_H,
  KP_RECURRENT_C,
  KP_RECURRENT_P,
  KP_RECURRENT_W_SCALE,
  KP_RECURRENT_W_ZERO,
  KP_RECURRENT_R_SCALE,
  KP_RECURRENT_R_ZERO,
};

// Packs W (R) of direction |d|. 8-bit ones are widened into |wide| first: [rows][gates * hidden] floats.
void kp_recurrent_pack_w(const kp_recurrent_state* state, kapell_value* const* inputs, size_t d,
                         float* wide, float* packed);
void kp_recurrent_pack_r(const kp_recurrent_state* state, kapell_value* const* inputs, size_t d,
                         float* wide, float* packed);
KP_MUST_USE kp_status* kp_recurrent_run(const kp_op_run* run);

#endif  // KP_PROVIDER_CPU_OP_RECURRENT_H_
