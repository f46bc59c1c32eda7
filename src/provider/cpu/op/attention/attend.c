// The engine of attention: checks, the choice between the kernel and plain loops, masks; attend.h has the contract.
#include "provider/cpu/op/attention/attend.h"

#include <math.h>

#include "provider/cpu/op/element.h"

kp_heads kp_heads_dense(kapell_type type, size_t batch, size_t heads, size_t length, size_t width) {
  return (kp_heads){.type = type,
                    .batch = batch,
                    .heads = heads,
                    .length = length,
                    .width = width,
                    .batch_stride = heads * length * width,
                    .head_stride = length * width,
                    .row_stride = width};
}

kp_heads kp_heads_4d(kapell_type type, const int64_t* dims, bool rows) {
  kp_heads h = kp_heads_dense(type, (size_t)dims[0], (size_t)dims[rows ? 2 : 1],
                              (size_t)dims[rows ? 1 : 2], (size_t)dims[3]);
  if (rows) {
    h.head_stride = h.width;
    h.row_stride = h.heads * h.width;
  }
  return h;
}

kp_heads kp_heads_packed(kapell_type type, const int64_t* dims, size_t heads) {
  const int64_t four[4] = {dims[0], dims[1], (int64_t)heads, heads ? dims[2] / (int64_t)heads : 0};
  return kp_heads_4d(type, four, true);
}

kp_status* kp_attend_mask_of(const kapell_value* value, const size_t full[4],
                             kp_attend_mask* out_mask) {
  size_t strides[4] = {0}, stride = 1;
  if (value->rank < 1 || value->rank > 4)
    return KP_ERROR(INVALID_INPUT, "the mask of an attention has rank %d; expected 1 to 4",
                    (int)value->rank);
  for (int32_t d = value->rank; d-- > 0; stride *= (size_t)value->dims[d]) {
    const int32_t axis = 4 - value->rank + d;
    const size_t own = (size_t)value->dims[d];
    const bool fits = axis == 3 ? own <= full[3] : own == full[axis] || own == 1;
    if (!fits)
      return KP_ERROR(INVALID_INPUT,
                      "the mask of an attention has %zu on axis %d where the scores have %zu", own,
                      (int)d, full[axis]);
    strides[axis] = own == 1 && axis != 3 ? 0 : stride;
  }
  *out_mask = (kp_attend_mask){.type = value->type,
                               .fill = -INFINITY,
                               .batch = strides[0],
                               .head = strides[1],
                               .row = strides[2],
                               .keys = (size_t)value->dims[value->rank - 1],
                               .count = kp_value_count(value)};
  return NULL;
}

// --- plan ---------------------------------------------------------------------------------------------------------------------
static kp_status* check_heads(const kp_attend* a) {
  const kp_heads *q = &a->q, *k = &a->k, *v = &a->v;
  if (q->batch == k->batch && q->batch == v->batch && k->heads == v->heads &&
      q->width == k->width && k->length == v->length &&
      (k->heads ? q->heads % k->heads == 0 : q->heads == 0))
    return NULL;
  return KP_ERROR(INVALID_INPUT,
                  "attention of Q [%zu,%zu,%zu,%zu], K [%zu,%zu,%zu,%zu], V [%zu,%zu,%zu,%zu]",
                  q->batch, q->heads, q->length, q->width, k->batch, k->heads, k->length, k->width,
                  v->batch, v->heads, v->length, v->width);
}

static bool kernel_type(kapell_type type, kp_attention_type* out) {
  *out = type == KAPELL_FLOAT16    ? KP_ATTENTION_F16
         : type == KAPELL_BFLOAT16 ? KP_ATTENTION_BF16
                                   : KP_ATTENTION_F32;
  return type == KAPELL_FLOAT || *out != KP_ATTENTION_F32;
}

static bool is_half(kapell_type type) { return type == KAPELL_FLOAT16 || type == KAPELL_BFLOAT16; }

kp_status* kp_attend_room(size_t* total, size_t count, size_t each, size_t* out_offset) {
  size_t bytes;
  *out_offset = *total;
  if (kp_mul_size(count, each, &bytes) && kp_add_size(*total, bytes, total) &&
      kp_align_size(*total, KP_ALIGNMENT, total))
    return NULL;
  return KP_ERROR(LIMIT, "scratch memory of an attention exceeds the address space");
}

// Plain loops keep, in f64: a row of Q, of K or V, of the output, and of scores.
static size_t plain_doubles(const kp_attend* a) {
  return a->q.width + kp_max_size(a->k.width, a->v.width) + a->v.width + a->k.length;
}

kp_status* kp_attend_plan(kp_attend* a, const kp_attention_ops* ops, int width) {
  kp_attention_shape s = {.batch = a->q.batch,
                          .heads = a->q.heads,
                          .kv_heads = a->k.heads,
                          .q_len = a->q.length,
                          .kv_len = a->k.length,
                          .head_dim = a->q.width,
                          .v_dim = a->v.width};
  KP_PASS(check_heads(a));
  const bool fast = kernel_type(a->q.type, &s.q_type) && kernel_type(a->k.type, &s.k_type) &&
                    kernel_type(a->v.type, &s.v_type) && kernel_type(a->y.type, &s.out_type);
  a->plain =
      !fast || a->scores != KP_SCORES_NONE || (is_half(a->soft_type) && a->soft_type != a->q.type);
  size_t total = 0;
  for (size_t m = 0; m < KP_ATTENTION_MASKS; ++m) {
    kp_attend_mask* mask = &a->masks[m];
    mask->convert = !a->plain && mask->type != KAPELL_UNDEFINED && mask->type != KAPELL_FLOAT &&
                    mask->type != KAPELL_BOOL;
    if (mask->convert) KP_PASS(kp_attend_room(&total, mask->count, sizeof(float), &mask->offset));
  }
  const size_t work =
      a->q.batch * a->q.heads * a->q.length * a->k.length * (a->q.width + a->v.width);
  kp_attention_plan_init(ops, &s, (size_t)kp_op_width(width, work / 16), &a->kernel);
  size_t unused;
  a->worker_bytes = 0;
  if (a->plain)
    KP_PASS(kp_attend_room(&a->worker_bytes, plain_doubles(a), sizeof(double), &unused));
  else
    KP_PASS(kp_attend_room(&a->worker_bytes, a->kernel.scratch_bytes, 1, &unused));
  KP_PASS(kp_attend_room(&total, a->worker_bytes, (size_t)width, &a->workers_offset));
  a->scratch_bytes = total;
  return NULL;
}

// --- run ----------------------------------------------------------------------------------------------------------------------
typedef struct attend_job {
  const kp_attend* attend;
  const kp_attend_data* data;
  const kp_op_run* run;
  char* workers;
  kp_attention_args args;
} attend_job;

static void kernel_task(void* arg, size_t task, int worker) {
  const attend_job* job = arg;
  if (kp_cancelled(job->run)) return;
  kp_attention_run_task(&job->attend->kernel, &job->args, task,
                        job->workers + (size_t)worker * job->attend->worker_bytes);
}

double kp_attend_number(kapell_type type, const void* data, size_t at) {
  double real;
  int64_t whole;
  if (kp_element_class_of(type) == KP_ELEMENT_REAL) {
    kp_load_real(type, data, at, 1, &real);
    return real;
  }
  kp_load_whole(type, data, at, 1, &whole);
  return type == KAPELL_UINT64 ? (double)(uint64_t)whole : (double)whole;
}

static void set_masks(attend_job* job, char* scratch) {
  for (size_t m = 0; m < KP_ATTENTION_MASKS; ++m) {
    const kp_attend_mask* mask = &job->attend->masks[m];
    const void* data = job->data->masks[m];
    if (mask->type == KAPELL_UNDEFINED) continue;
    if (mask->convert) {
      float* floats = (float*)(void*)(scratch + mask->offset);
      for (size_t i = 0; i < mask->count; ++i)
        floats[i] = (float)kp_attend_number(mask->type, data, i);
      data = floats;
    }
    // The kernel looks at its masks up to the first that is missing.
    kp_attention_mask* to = &job->args.masks[job->args.masks[0].data ? 1 : 0];
    *to = (kp_attention_mask){.data = data,
                              .boolean = mask->type == KAPELL_BOOL,
                              .inverted = mask->inverted,
                              .fill = mask->fill,
                              .batch = mask->batch,
                              .head = mask->head,
                              .row = mask->row};
    if (mask->keys < job->args.span.keys) job->args.span.keys = mask->keys;
  }
}

static kp_attention_tensor tensor_of(const kp_heads* h, const void* data) {
  return (kp_attention_tensor){(void*)(uintptr_t)data, h->batch_stride, h->row_stride,
                               h->head_stride};
}

void kp_attend_run(const kp_attend* a, const kp_attend_data* data, const kp_op_run* run,
                   void* scratch) {
  attend_job job = {.attend = a, .data = data, .run = run};
  job.workers = (char*)scratch + a->workers_offset;
  job.args = (kp_attention_args){.q = tensor_of(&a->q, data->q),
                                 .k = tensor_of(&a->k, data->k),
                                 .v = tensor_of(&a->v, data->v),
                                 .out = tensor_of(&a->y, data->y),
                                 .scale = a->scale,
                                 .softcap = a->softcap,
                                 .left = a->left,
                                 .right = a->right,
                                 .spans = data->spans,
                                 .span = data->span,
                                 .sinks = data->sinks,
                                 .zero_hidden = a->zero_hidden,
                                 .zero_nan = a->zero_nan};
  if (a->plain) {
    kp_attend_plain(a, data, run, job.workers);
    return;
  }
  set_masks(&job, scratch);
  kp_parallel_for_dynamic(run->width, a->kernel.task_count, kernel_task, &job);
}
