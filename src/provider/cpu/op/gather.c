// Operators that read by index: Gather, GatherElements, GatherND, and Compress, OneHot. Every index is checked, low and high.
#include "provider/cpu/op/copy.h"

// Index |i| of |indices| into a dim of |dim| elements, counted from the end where negative.
static kp_status* index_at(const kapell_value* indices, size_t i, int64_t dim, size_t* out_index) {
  int64_t index = kp_int_at(indices, i);
  if (index < -dim || index >= dim)
    return KP_ERROR(RUN_FAILED, "index %lld is out of range for a dim of %lld", (long long)index,
                    (long long)dim);
  *out_index = (size_t)(index < 0 ? index + dim : index);
  return NULL;
}

static kp_status* axis_of(const kp_node* node, int64_t fallback, int32_t rank, int32_t* out_axis) {
  const int64_t axis = kp_node_attr_i(node, "axis", fallback);
  if (kp_axis(axis, rank, out_axis)) return NULL;
  return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)axis, (int)rank);
}

typedef struct kp_gather_job {
  const kapell_value *x, *indices;
  kapell_value* y;
  size_t count, dim, bytes, tasks,
      total;  // indices; elements along the axis; bytes of one slice; slices in all
} kp_gather_job;

// Slices [first, last) of the output; indices were checked.
static void gather_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_gather_job* job = arg;
  size_t first, last;
  kp_share(job->total, job->tasks, task, &first, &last);
  char* to = (char*)job->y->data + first * job->bytes;
  for (size_t i = first; i < last; ++i, to += job->bytes) {
    int64_t index = kp_int_at(job->indices, i % job->count);
    if (index < 0) index += (int64_t)job->dim;
    const char* from =
        (const char*)job->x->data + (i / job->count * job->dim + (size_t)index) * job->bytes;
    if (job->bytes == 4)
      memcpy(to, from, 4);
    else if (job->bytes == 8)
      memcpy(to, from, 8);
    else
      memcpy(to, from, job->bytes);
  }
}

static kp_status* gather_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *indices = run->inputs[1];
  kapell_value* y = run->outputs[0];
  int32_t axis;
  KP_PASS(axis_of(run->node, 0, x->rank, &axis));
  const size_t inner = kp_span(x, axis + 1, x->rank), outer = kp_span(x, 0, axis);
  kp_gather_job job = {.x = x,
                       .indices = indices,
                       .y = y,
                       .count = kp_value_count(indices),
                       .dim = (size_t)x->dims[axis]};
  size_t index;
  for (size_t i = 0; i < job.count; ++i) KP_PASS(index_at(indices, i, x->dims[axis], &index));
  if (x->type == KAPELL_STRING) {
    for (size_t i = 0; i < outer * job.count; ++i) {
      KP_PASS(index_at(indices, i % job.count, x->dims[axis], &index));
      KP_PASS(kp_copy_elements(y, i * inner, x, (i / job.count * job.dim + index) * inner, inner));
    }
    return NULL;
  }
  job.bytes = inner * (kp_type_bits(x->type) / 8);
  job.total = outer * job.count;
  if (!job.total || !job.bytes) return NULL;
  const int threads = kp_op_width(run->width, job.total * (4 + job.bytes / 16));
  job.tasks = kp_min_size((size_t)threads, job.total);
  kp_parallel_for(threads, job.tasks, gather_task, &job);
  return NULL;
}

// Steps |position| to the next element of |dims|; false past the last.
static bool next(int32_t rank, const int64_t* dims, int64_t* position) {
  for (int32_t d = rank; d-- > 0;) {
    if (++position[d] < dims[d]) return true;
    position[d] = 0;
  }
  return false;
}

static kp_status* gather_elements_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *indices = run->inputs[1];
  int32_t axis;
  KP_PASS(axis_of(run->node, 0, x->rank, &axis));
  if (!kp_value_count(indices)) return NULL;
  int64_t strides[KP_MAX_RANK], position[KP_MAX_RANK] = {0};
  kp_strides(x->rank, x->dims, strides);
  for (int32_t d = 0; d < x->rank; ++d)
    if (d != axis && indices->dims[d] > x->dims[d])
      return KP_ERROR(RUN_FAILED, "dim %d of the indices exceeds the data's", (int)d);
  size_t i = 0;
  do {
    size_t index;
    KP_PASS(index_at(indices, i, x->dims[axis], &index));
    int64_t from = (int64_t)index * strides[axis];
    for (int32_t d = 0; d < x->rank; ++d)
      if (d != axis) from += position[d] * strides[d];
    KP_PASS(kp_copy_elements(run->outputs[0], i++, x, (size_t)from, 1));
  } while (next(indices->rank, indices->dims, position));
  return NULL;
}

static kp_status* gather_nd_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *indices = run->inputs[1];
  const int32_t batch_dims = (int32_t)kp_node_attr_i(run->node, "batch_dims", 0);
  if (batch_dims < 0 || batch_dims >= x->rank || batch_dims >= indices->rank)
    return KP_ERROR(RUN_FAILED, "batch_dims %d of tensors of rank %d and %d", (int)batch_dims,
                    (int)x->rank, (int)indices->rank);
  const int64_t depth = indices->dims[indices->rank - 1];
  if (depth < 1 || batch_dims + depth > x->rank)
    return KP_ERROR(RUN_FAILED, "indices into %lld dims", (long long)depth);
  const int32_t last = batch_dims + (int32_t)depth;
  const size_t inner = kp_span(x, last, x->rank), batch = kp_span(x, 0, batch_dims);
  const size_t per_batch = kp_span(indices, batch_dims, indices->rank - 1),
               block = kp_span(x, batch_dims, x->rank);
  for (size_t i = 0; i < batch * per_batch; ++i) {
    size_t from = 0;
    for (int32_t d = batch_dims; d < last; ++d) {
      size_t index;
      KP_PASS(index_at(indices, i * (size_t)depth + (size_t)(d - batch_dims), x->dims[d], &index));
      from = from * (size_t)x->dims[d] + index;
    }
    KP_PASS(kp_copy_elements(run->outputs[0], i * inner, x, i / per_batch * block + from * inner,
                             inner));
  }
  return NULL;
}

// --- Compress ----------------------------------------------------------------------------------------------------------------
static kp_status* compress_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *condition = run->inputs[1];
  const bool flat = !kp_node_attr(run->node, "axis");
  int32_t axis = 0;
  if (!flat) KP_PASS(axis_of(run->node, 0, x->rank, &axis));
  const size_t total = kp_value_count(x), dim = flat ? total : (size_t)x->dims[axis];
  const size_t inner = flat ? 1 : kp_span(x, axis + 1, x->rank),
               outer = flat ? 1 : kp_span(x, 0, axis);
  const size_t length = kp_min_size(kp_value_count(condition), dim);
  int64_t kept = 0, dims[KP_MAX_RANK];
  for (size_t i = 0; i < length; ++i) kept += kp_int_at(condition, i) != 0;
  for (int32_t d = 0; d < x->rank; ++d) dims[d] = x->dims[d];
  dims[flat ? 0 : axis] = kept;
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, x->type, dims, flat ? 1 : x->rank, &y));
  size_t at = 0;
  for (size_t o = 0; o < outer && !kp_cancelled(run); ++o) {
    for (size_t i = 0; i < length; ++i) {
      if (!kp_int_at(condition, i)) continue;
      KP_PASS(kp_copy_elements(y, at, x, (o * dim + i) * inner, inner));
      at += inner;
    }
  }
  return NULL;
}

// --- OneHot ------------------------------------------------------------------------------------------------------------------
static kp_status* one_hot_run(const kp_op_run* run) {
  const kapell_value *indices = run->inputs[0], *values = run->inputs[2];
  kapell_value* y = run->outputs[0];
  int32_t axis;
  KP_PASS(axis_of(run->node, -1, y->rank, &axis));
  const int64_t depth = y->dims[axis];
  const size_t inner = kp_span(y, axis + 1, y->rank), total = kp_value_count(y);
  for (size_t i = 0; i < total && (i % 4096 || !kp_cancelled(run)); ++i)
    KP_PASS(kp_copy_elements(y, i, values, 0, 1));
  const size_t count = kp_value_count(indices);
  for (size_t i = 0; i < count; ++i) {
    const double stated = kp_double_at(indices, i);
    if (!(stated >= -(double)depth && stated < (double)depth))
      continue;  // out of range: all off, as the operator says
    int64_t index = kp_int_at(indices, i);
    if (index < 0) index += depth;
    const size_t at = (i / inner * (size_t)depth + (size_t)index) * inner + i % inner;
    if (at < total) KP_PASS(kp_copy_elements(y, at, values, 1, 1));
  }
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Gather-1..13, GatherElements-11..13, GatherND-11..13, Compress-9..11, OneHot-9..11
    {.name = "Gather", .since = 1, .run = gather_run, .flags = KP_OP_UNPACK},
    {.name = "GatherElements", .since = 11, .run = gather_elements_run, .flags = KP_OP_UNPACK},
    {.name = "GatherND", .since = 11, .run = gather_nd_run, .flags = KP_OP_UNPACK},
    {.domain = "com.microsoft", .name = "GatherND", .since = 1, .run = gather_nd_run},
    {.name = "Compress", .since = 9, .run = compress_run},
    {.name = "OneHot", .since = 9, .run = one_hot_run},
};
// clang-format on
KP_OP_TABLE(gather);
