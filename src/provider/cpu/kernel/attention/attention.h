// Scaled dot-product attention, fused: softmax(scale * Q K^T + masks) V without ever writing the scores to memory. Computed in
// f32; Q, K, V and the output may be of 16-bit floats, which are widened a tile at a time.
//
// Layout: element (batch b, position s, head h, i) of Q is at q.data[b*batch + s*row + h*head + i], and so on for K, V
//   and the output, so that [b][s][h*d], [b][h][s][d], a packed QKV and a cache with room to spare are read as they lie.
// Heads: |kv_heads| divides |heads|; query head h reads key head h / (heads / kv_heads). For a single query the heads of a group
//   are rows of one product, so that a cache is read once.
// Masks: one after the other; at data[b*batch + h*head + s*row + t] for query s and key t, a stride of 0 repeats. Floats are added
//   to the scaled scores; a boolean one keeps a score where it is not 0 (or, |inverted|, where it is) and else puts |fill| there.
//   -infinity hides a key.
// Range: query s stands at position p = s + offset and sees keys t with p - left <= t <= p + right, and t < keys; |offset| and
//   |keys| may be given for each batch entry.
// Hidden: a query all of whose keys are hidden gives NaN, as the formula does, or 0.
// Sinks: a number a head that takes part in the softmax's sum like one more key without a value.
// Accuracy: within 2e-6 of the f64 reference relative to the largest |V|.
// Threads: tasks write disjoint rows of the output, each with its own scratch.
// Source:  Milakov & Gimelshein 2018 and Dao et al. 2022 for the running maximum and sum.
#ifndef KP_PROVIDER_CPU_KERNEL_ATTENTION_ATTENTION_H_
#define KP_PROVIDER_CPU_KERNEL_ATTENTION_ATTENTION_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/kernel/variant.h"

typedef enum kp_attention_type {
  KP_ATTENTION_F32 = 0,
  KP_ATTENTION_F16,
  KP_ATTENTION_BF16,
} kp_attention_type;

typedef struct kp_attention_shape {
  size_t batch, heads, kv_heads;
  size_t q_len, kv_len;
  size_t head_dim, v_dim;  // of Q and K; of V and the output
  kp_attention_type q_type, k_type, v_type, out_type;
} kp_attention_shape;

// Strides in elements.
typedef struct kp_attention_tensor {
  void* data;
  size_t batch, row, head;
} kp_attention_tensor;

enum { KP_ATTENTION_MASKS = 2 };
typedef struct kp_attention_mask {
  const void* data;  // NULL: none
  bool boolean;      // a byte a key; else floats
  bool inverted;
  float fill;
  size_t batch, head, row;
} kp_attention_mask;

// What one batch entry has.
typedef struct kp_attention_span {
  size_t keys;       // that may be seen, at most kv_len
  ptrdiff_t offset;  // position of query 0
} kp_attention_span;

typedef struct kp_attention_args {
  kp_attention_tensor q, k, v, out;
  kp_attention_mask masks[KP_ATTENTION_MASKS];
  float scale;    // usually 1 / sqrt(head_dim)
  float softcap;  // > 0: scores are softcap * tanh(score / softcap) before the masks; 0 for none
  ptrdiff_t left,
      right;  // keys seen before and after a query's position; negative: all. Causal is right = 0
  const kp_attention_span* spans;  // [batch]; NULL: |span| for all
  kp_attention_span span;          // its |keys| bound those of |spans| too
  const float* sinks;              // [heads], or NULL
  bool zero_hidden;                // a query without keys gives 0, not NaN
  bool zero_nan;                   // and so does one whose weights are not numbers
} kp_attention_args;

struct kp_attention_plan;

typedef struct kp_attention_ops {
  const char* isa;
  const kp_gemm_ops* gemm;
  // Rows [first, first + count) of one group of heads (kp_attention_plan::heads) of one batch entry.
  void (*block)(const struct kp_attention_plan* plan, const kp_attention_args* args, size_t batch,
                size_t head, size_t first, size_t count, float* scratch);
} kp_attention_ops;

KP_DECLARE_FAMILY(attention);

// One attention cut into tasks. Plain numbers.
typedef struct kp_attention_plan {
  const kp_attention_ops* ops;
  kp_attention_shape shape;
  size_t group;  // > 1: rows are this many heads of a single query; 1: rows are queries of one head
  size_t heads, rows;   // of the products: shape.heads / group, and shape.q_len or the group
  size_t task_queries;  // rows of one task
  size_t query_tasks;   // per head
  size_t key_block;     // keys whose scores are kept at a time
  size_t task_count;
  size_t scratch_bytes;  // per thread, aligned to 64 by the caller
} kp_attention_plan;

void kp_attention_plan_init(const kp_attention_ops* ops, const kp_attention_shape* shape,
                            size_t workers, kp_attention_plan* out_plan);
void kp_attention_run_task(const kp_attention_plan* plan, const kp_attention_args* args,
                           size_t index, void* scratch);

#endif  // KP_PROVIDER_CPU_KERNEL_ATTENTION_ATTENTION_H_
