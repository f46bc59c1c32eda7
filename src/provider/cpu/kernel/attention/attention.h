// Scaled dot-product attention, f32, fused: softmax(scale * Q K^T + mask) V without ever writing the scores to memory.
//
// Layout: element (batch b, position s, head h, i) of Q is at q[b*q_batch + s*q_row + h*q_head + i], and so on for K, V
//   and the output, so that [b][s][h*d], [b][h][s][d] and a packed QKV are read as they lie, without a transpose.
// Heads: |kv_heads| divides |heads|; query head h reads key head h / (heads / kv_heads).
// Mask:  added to the scaled scores; mask[b*mask_batch + h*mask_head + s*mask_row + t] for query s and key t, a stride of
//   0 repeats. -infinity hides a key. A query all of whose keys are hidden gives NaN, as ONNX's formula does.
// Causal: query s sees keys t <= s + causal_offset (kv_len - q_len when a cache precedes the queries).
// Accuracy: within 2e-6 of the f64 reference relative to the largest |V|.
// Threads: tasks write disjoint rows of the output, each with its own scratch.
// Source:  Milakov & Gimelshein 2018 and Dao et al. 2022 for the running maximum and sum.
#ifndef KP_PROVIDER_CPU_KERNEL_ATTENTION_ATTENTION_H_
#define KP_PROVIDER_CPU_KERNEL_ATTENTION_ATTENTION_H_

#include <stdbool.h>
#include <stddef.h>

#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/kernel/variant.h"

typedef struct kp_attention_shape {
  size_t batch, heads, kv_heads;
  size_t q_len, kv_len;
  size_t head_dim, v_dim;  // of Q and K; of V and the output
} kp_attention_shape;

typedef struct kp_attention_args {
  const float* q;
  size_t q_batch, q_row, q_head;  // strides in floats
  const float* k;
  size_t k_batch, k_row, k_head;
  const float* v;
  size_t v_batch, v_row, v_head;
  float* out;
  size_t out_batch, out_row, out_head;
  const float* mask;  // or NULL
  size_t mask_batch, mask_head, mask_row;
  float scale;    // usually 1 / sqrt(head_dim)
  float softcap;  // > 0: scores are softcap * tanh(score / softcap) before the mask; 0 for none
  bool causal;
  size_t causal_offset;
} kp_attention_args;

struct kp_attention_plan;

typedef struct kp_attention_ops {
  const char* isa;
  const kp_gemm_ops* gemm;
  // Queries [first, first + count) of one head of one batch entry.
  void (*block)(const struct kp_attention_plan* plan, const kp_attention_args* args, size_t batch,
                size_t head, size_t first, size_t count, float* scratch);
} kp_attention_ops;

KP_DECLARE_FAMILY(attention);

// One attention cut into tasks. Plain numbers.
typedef struct kp_attention_plan {
  const kp_attention_ops* ops;
  kp_attention_shape shape;
  size_t task_queries;  // of one task
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
