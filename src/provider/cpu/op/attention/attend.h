// The engine behind all operators of attention: a front describes its tensors as heads and its options as one kp_attend; what is
// fast goes to kernel/attention, what is rare (float64, scores as an output, a softmax in 16 bits) to plain loops.
//
// Use:   plan: fill a kp_attend (shapes and options), kp_attend_plan; its scratch_bytes are part of the step's scratch.
//        run:  fill a kp_attend_data (pointers), kp_attend_run.
// Before it, kp_rows_run brings new queries, keys and values where they belong: bias, normalization, rotation, the cache.
#ifndef KP_PROVIDER_CPU_OP_ATTEND_H_
#define KP_PROVIDER_CPU_OP_ATTEND_H_

#include "provider/cpu/kernel/attention/attention.h"
#include "provider/cpu/op/help.h"

// A tensor seen as [batch][head][position][i]; strides in elements.
typedef struct kp_heads {
  kapell_type type;
  size_t batch, heads, length, width;
  size_t batch_stride, head_stride, row_stride;
} kp_heads;

// [batch, head, position, i], or with |rows| [batch, position, head, i].
kp_heads kp_heads_4d(kapell_type type, const int64_t* dims, bool rows);
// [batch, position, heads * i]. |heads| divides the last dim.
kp_heads kp_heads_packed(kapell_type type, const int64_t* dims, size_t heads);
// A dense [batch][head][position][i] of that many.
kp_heads kp_heads_dense(kapell_type type, size_t batch, size_t heads, size_t length, size_t width);
static inline size_t kp_heads_count(const kp_heads* h) {
  return h->batch * h->heads * h->length * h->width;
}
static inline void* kp_heads_at(const kp_heads* h, void* data, size_t head) {
  return (char*)data + head * h->head_stride * (kp_type_bits(h->type) / 8);
}

// A mask that broadcasts to [batch, heads, queries, keys] but for its last dim, which may be shorter: keys beyond are hidden.
typedef struct kp_attend_mask {
  kapell_type
      type;  // UNDEFINED: none. BOOL keeps a score where it is true, else puts |fill|; numbers are added
  bool inverted;  // BOOL: keeps where it is false
  float fill;     // -infinity hides
  size_t batch, head, row;
  size_t keys;
  size_t count;   // elements
  size_t offset;  // engine's: of its floats in the scratch, where |convert|
  bool convert;   // engine's
} kp_attend_mask;

// Which scores are wanted as an output, [batch][head][query][key] of type |scores_type|.
typedef enum kp_attend_scores {
  KP_SCORES_NONE = -1,
  KP_SCORES_RAW = 0,  // scaled products
  KP_SCORES_CAPPED,   // after the soft cap
  KP_SCORES_MASKED,   // with masks
  KP_SCORES_WEIGHTS,  // after the softmax
} kp_attend_scores;

typedef struct kp_attend {
  kp_heads q, k, v, y;
  kp_attend_mask masks[KP_ATTENTION_MASKS];
  float scale, softcap;
  ptrdiff_t left, right;  // negative: no bound
  bool zero_hidden;       // a query without keys gives 0
  bool zero_nan;          // the kernel's alone
  kapell_type
      soft_type;  // softmax is computed in it where narrower than f32; UNDEFINED: do not care
  kp_attend_scores scores;
  kapell_type scores_type;
  size_t scores_keys;  // keys of a row of that output
  bool scores_zero;    // what a query's range hides is 0 there, not -infinity
  // engine's
  kp_attention_plan kernel;
  bool plain;
  size_t worker_bytes, workers_offset, scratch_bytes;
} kp_attend;

typedef struct kp_attend_data {
  const void *q, *k, *v;
  void* y;
  const void* masks[KP_ATTENTION_MASKS];
  const kp_attention_span* spans;  // [batch], or NULL: |span|, whose keys bound theirs too
  kp_attention_span span;
  const float* sinks;  // [heads], or NULL
  void* scores;
} kp_attend_data;

// Room for |count| times |each| bytes behind the |*total| of a step's scratch, aligned. Error LIMIT.
KP_MUST_USE kp_status* kp_attend_room(size_t* total, size_t count, size_t each, size_t* out_offset);
// Errors: INVALID_INPUT where heads, batches or lengths do not fit together; LIMIT.
KP_MUST_USE kp_status* kp_attend_plan(kp_attend* attend, const kp_attention_ops* ops, int width);
void kp_attend_run(const kp_attend* attend, const kp_attend_data* data, const kp_op_run* run,
                   void* scratch);
// The plain loops; |workers|: worker_bytes for each thread.
void kp_attend_plain(const kp_attend* attend, const kp_attend_data* data, const kp_op_run* run,
                     char* workers);
// Element |at| of a tensor of numbers or bool.
double kp_attend_number(kapell_type type, const void* data, size_t at);

// The mask |value| (rank 1 to 4) over |full| = batch, heads, queries, keys. A last dim of less than the keys hides the rest.
KP_MUST_USE kp_status* kp_attend_mask_of(const kapell_value* value, const size_t full[4],
                                         kp_attend_mask* out_mask);

// --- rows: what happens to new queries, keys and values before the attention -----------------------------------------------
// Element |i| of position |p|'s angles is at cos[p * stride + i].
typedef struct kp_rotary {
  kapell_type type;
  const void *cos, *sin;
  size_t stride, half;  // angles of a position: half the rotated width
  bool interleaved;
} kp_rotary;

typedef struct kp_rows {
  kp_heads from, to;  // the same batch, heads, length, width
  const void* source;
  void* target;
  // Position |s| of batch entry |b| goes to position s + starts[b] of the target; NULL: s.
  const int64_t* starts;
  const int64_t* counts;  // positions of each batch entry that are taken; NULL: all
  kapell_type bias_type;
  const void* bias;   // [heads * width], or NULL
  const float* norm;  // RMS normalization's weight [width], or NULL
  float epsilon;
  kp_rotary rotary;          // half 0: none
  float* spare;              // a row for each thread, needed where the target is not float32
  const int64_t* positions;  // of the angles, [batch][length]; NULL: as in the target
} kp_rows;

// Everything was checked: positions lie in the tables and in the target.
void kp_rows_run(const kp_rows* rows, int width);
// Copies |from| (batch, heads, length, width) to the first positions of |to|, types the same; nothing where both are the same memory.
void kp_rows_copy(const kp_heads* from, const void* source, const kp_heads* to, void* target,
                  int width);
// The first starts[b] positions of each batch entry from |source|, which has at least as many (or NULL: none are asked for); the others
// of |to| are zeroed. Nothing where both are the same memory.
void kp_rows_begin(const kp_heads* from, const void* source, const int64_t* starts,
                   const kp_heads* to, void* target, int width);
// One row of |width| floats in place.
void kp_rotate(const kp_rotary* rotary, size_t position, float* row);

#endif  // KP_PROVIDER_CPU_OP_ATTEND_H_
