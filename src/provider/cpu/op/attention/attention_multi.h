// What the attentions of com.microsoft with as many key heads as query heads share (Attention, MultiHeadAttention and its decoder's form):
// biases, caches that grow or have room already, beams, and masks of integers.
#ifndef KP_PROVIDER_CPU_OP_ATTENTION_MULTI_H_
#define KP_PROVIDER_CPU_OP_ATTENTION_MULTI_H_

#include "provider/cpu/op/attention/attend.h"

typedef enum kp_multi_mask {
  KP_MULTI_NO_MASK,
  KP_MULTI_ENDS,    // [batch] or [3 * batch + 2]: keys of each sequence
  KP_MULTI_RANGES,  // [2 * batch]: ends, then first keys
  KP_MULTI_KEYS,    // [batch, keys]: 0 hides
  KP_MULTI_SCORES,  // [batch, queries, keys]
  KP_MULTI_SQUARE,  // [batch, 1, n, n], a row for each position
} kp_multi_mask;

typedef struct kp_multi {
  // The front's, at plan time.
  kp_heads q, k, v;  // as they come
  kp_heads past, v_past;
  bool has_past, shared;  // shared: the past has room for what is to come
  bool whole;             // K and V are caches: nothing is done to them
  bool keep_k, keep_v;    // they are outputs
  bool biased;
  size_t turn;   // angles of a rotation whose cosines are computed here; 0: none
  size_t beams;  // width of cache_indirection, or 0
  kp_heads y;
  float scale;
  bool causal;
  bool wants_scores;
  kapell_type scores_type;
  size_t scores_keys;
  // kp_multi_plan's
  kp_attend attend;
  kp_multi_mask mask;
  size_t mask_keys, mask_rows;
  bool moved, joined;
  size_t starts, angles, positions, query, keys, values, beam_keys, beam_values, mask_at, spare,
      engine;
} kp_multi;

// The run's tensors.
typedef struct kp_multi_data {
  const void *q, *k, *v, *past_k, *past_v;
  void *present_k, *present_v, *y, *scores;
  const kapell_value *bias, *mask, *added, *past_length, *indirection;
  float filter;
} kp_multi_data;

// |mask|, |added|: inputs or NULL. |*total|, the step's scratch so far, grows by what kp_multi_run needs.
KP_MUST_USE kp_status* kp_multi_plan(kp_multi* m, const kp_attention_ops* ops,
                                     const kapell_value* mask, const kapell_value* added, int width,
                                     size_t* total);
KP_MUST_USE kp_status* kp_multi_run(const kp_multi* m, const kp_multi_data* data,
                                    const kp_op_run* run);

#endif  // KP_PROVIDER_CPU_OP_ATTENTION_MULTI_H_
