// Operators that compare elements along an axis: ArgMax, ArgMin, TopK; and Unique.
#include <stdlib.h>

#include "base/small_float.h"
#include "provider/cpu/op/copy.h"

static kp_status* axis_of(const kp_node* node, int64_t fallback, int32_t rank, int32_t* out_axis) {
  const int64_t axis = kp_node_attr_i(node, "axis", fallback);
  if (kp_axis(axis, rank, out_axis)) return NULL;
  if (rank == 0 && (axis == 0 || axis == -1)) return *out_axis = 0, NULL;
  return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)axis, (int)rank);
}

// True if element |i| of |x| comes before element |j| when the largest come first. NaN is larger than any number, as in numpy.
#define BEFORE(type, c_type)                                           \
  static bool before_##type(const void* x, size_t i, size_t j) {       \
    const c_type a = ((const c_type*)x)[i], b = ((const c_type*)x)[j]; \
    return a > b || (a != a && b == b);                                \
  }
KP_EACH_NUMBER(BEFORE)
BEFORE(BOOL, uint8_t)
// 16-bit floats by their value, complex numbers by their real parts first.
#define BEFORE_AS(type, c_type, value)                                              \
  static bool before_##type(const void* x, size_t i, size_t j) {                    \
    const float a = value(((const c_type*)x)[i]), b = value(((const c_type*)x)[j]); \
    return a > b || (a != a && b == b);                                             \
  }
BEFORE_AS(FLOAT16, uint16_t, kp_f16_to_f32)
BEFORE_AS(BFLOAT16, uint16_t, kp_bf16_to_f32)
#define BEFORE_COMPLEX(type, part)                                                    \
  static bool before_##type(const void* x, size_t i, size_t j) {                      \
    if (before_##part(x, 2 * i, 2 * j)) return true;                                  \
    return !before_##part(x, 2 * j, 2 * i) && before_##part(x, 2 * i + 1, 2 * j + 1); \
  }
BEFORE_COMPLEX(COMPLEX64, FLOAT)
BEFORE_COMPLEX(COMPLEX128, DOUBLE)
typedef bool (*kp_before_fn)(const void* x, size_t i, size_t j);

static kp_before_fn before_for(kapell_type type) {
  switch (type) {
#define CASE(type, c_type) \
  case KAPELL_##type:      \
    return before_##type;
    KP_EACH_NUMBER(CASE)
    CASE(BOOL, uint8_t)
    CASE(FLOAT16, uint16_t)
    CASE(BFLOAT16, uint16_t)
    CASE(COMPLEX64, float)
    CASE(COMPLEX128, double)
#undef CASE
    default:
      return NULL;
  }
}

// --- ArgMax, ArgMin ----------------------------------------------------------------------------------------------------------
typedef struct kp_lines {
  const kp_op_run* run;
  kp_before_fn before;
  size_t count, inner, lines;  // [lines / inner][count][inner]
  size_t tasks;
  bool smallest, last_wins, sorted;
  size_t k;
} kp_lines;

static void arg_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_lines* job = arg;
  const void* x = job->run->inputs[0]->data;
  int64_t* y = job->run->outputs[0]->data;
  size_t first, last;
  kp_share(job->lines, job->tasks, task, &first, &last);
  for (size_t line = first; line < last; ++line) {
    const size_t base = line / job->inner * job->count * job->inner + line % job->inner;
    size_t best = 0;
    for (size_t i = 1; i < job->count; ++i) {
      const size_t at = base + i * job->inner, champion = base + best * job->inner;
      const bool better =
          job->smallest ? job->before(x, champion, at) : job->before(x, at, champion);
      const bool worse =
          job->smallest ? job->before(x, at, champion) : job->before(x, champion, at);
      if (better || (job->last_wins && !worse)) best = i;
    }
    y[line] = (int64_t)best;
  }
}

static kp_status* set_lines(const kp_op_run* run, int64_t axis_fallback, kp_lines* job) {
  const kapell_value* x = run->inputs[0];
  int32_t axis;
  KP_PASS(axis_of(run->node, axis_fallback, x->rank, &axis));
  job->run = run;
  job->before = before_for(x->type);
  job->count = x->rank ? (size_t)x->dims[axis] : 1;
  job->inner = x->rank ? kp_span(x, axis + 1, x->rank) : 1;
  job->lines = x->rank ? kp_span(x, 0, axis) * job->inner : 1;
  return job->before ? NULL : KP_ERROR(RUN_FAILED, "no order among %s", kp_type_name(x->type));
}

static kp_status* arg_run(const kp_op_run* run) {
  kp_lines job = {.smallest = strcmp(run->node->op, "ArgMin") == 0,
                  .last_wins = kp_node_attr_i(run->node, "select_last_index", 0) != 0};
  KP_PASS(set_lines(run, 0, &job));
  if (!job.lines) return NULL;
  if (!job.count) return KP_ERROR(RUN_FAILED, "the position of an extreme among no elements");
  const int threads = kp_op_width(run->width, job.lines * job.count * 4);
  job.tasks = kp_min_size((size_t)threads, job.lines);
  kp_parallel_for(threads, job.tasks, arg_task, &job);
  return NULL;
}

// --- TopK --------------------------------------------------------------------------------------------------------------------
// A binary heap of the k best so far, the worst on top; ties go to the lower index.
static bool ranks_before(const kp_lines* job, size_t base, int64_t a, int64_t b) {
  const void* x = job->run->inputs[0]->data;
  const size_t i = base + (size_t)a * job->inner, j = base + (size_t)b * job->inner;
  if (job->smallest ? job->before(x, j, i) : job->before(x, i, j)) return true;
  if (job->smallest ? job->before(x, i, j) : job->before(x, j, i)) return false;
  return a < b;
}

static void sift(const kp_lines* job, size_t base, int64_t* heap, size_t size, size_t at) {
  for (;;) {
    size_t worst = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < size; ++child)
      if (ranks_before(job, base, heap[worst], heap[child])) worst = child;
    if (worst == at) return;
    const int64_t moved = heap[at];
    heap[at] = heap[worst];
    heap[worst] = moved;
    at = worst;
  }
}

// Lines can be long: true now and then where the run is to stop.
static bool stops(const kp_lines* job, size_t step) {
  return step % 4096 == 0 && kp_cancelled(job->run);
}

static void select_line(const kp_lines* job, size_t base, int64_t* heap) {
  for (size_t i = 0; i < job->k; ++i) heap[i] = (int64_t)i;
  for (size_t i = job->k / 2; i-- > 0;) sift(job, base, heap, job->k, i);
  for (size_t i = job->k; i < job->count && !stops(job, i); ++i) {
    if (!ranks_before(job, base, (int64_t)i, heap[0])) continue;
    heap[0] = (int64_t)i;
    sift(job, base, heap, job->k, 0);
  }
  // The worst goes to the end, again and again: best first in the end.
  for (size_t size = job->k; size > 1 && !stops(job, size); --size) {
    const int64_t worst = heap[0];
    heap[0] = heap[size - 1];
    heap[size - 1] = worst;
    sift(job, base, heap, size - 1, 0);
  }
}

static void top_task(void* arg, size_t task, int worker) {
  const kp_lines* job = arg;
  int64_t* heap = (int64_t*)job->run->scratch + (size_t)worker * job->k;
  kapell_value *values = kp_run_result(job->run, 0), *indices = kp_run_result(job->run, 1);
  const size_t size = kp_type_bits(job->run->inputs[0]->type) / 8;
  size_t first, last;
  kp_share(job->lines, job->tasks, task, &first, &last);
  for (size_t line = first; line < last; ++line) {
    const size_t base = line / job->inner * job->count * job->inner + line % job->inner;
    const size_t out = line / job->inner * job->k * job->inner + line % job->inner;
    select_line(job, base, heap);
    for (size_t i = 0; i < job->k; ++i) {
      const char* from =
          (const char*)job->run->inputs[0]->data + (base + (size_t)heap[i] * job->inner) * size;
      if (values) memcpy((char*)values->data + (out + i * job->inner) * size, from, size);
      if (indices) ((int64_t*)indices->data)[out + i * job->inner] = heap[i];
    }
  }
}

static kp_status* top_plan(kp_op_plan* plan) {
  const kapell_value *x = plan->inputs[0],
                     *y = plan->outputs[0] ? plan->outputs[0] : plan->outputs[1];
  int32_t axis;
  KP_PASS(axis_of(plan->node, -1, x->rank, &axis));
  plan->scratch_bytes =
      (x->rank ? (size_t)y->dims[axis] : 1) * sizeof(int64_t) * (size_t)plan->width;
  return NULL;
}

static kp_status* top_run(const kp_op_run* run) {
  kp_lines job = {.smallest = !kp_node_attr_i(run->node, "largest", 1)};
  KP_PASS(set_lines(run, -1, &job));
  const kapell_value* y = kp_run_result(run, 0) ? run->outputs[0] : run->outputs[1];
  job.k = job.lines ? kp_value_count(y) / job.lines : 0;
  if (job.k > job.count)
    return KP_ERROR(RUN_FAILED, "the first %zu of %zu elements", job.k, job.count);
  if (!job.lines || !job.k) return NULL;
  const int threads = kp_op_width(run->width, job.lines * job.count * 8);
  job.tasks = kp_min_size((size_t)threads, job.lines);
  kp_parallel_for(threads, job.tasks, top_task, &job);
  return NULL;
}

// --- Unique ------------------------------------------------------------------------------------------------------------------
typedef struct kp_slices {  // slices of a tensor along an axis, compared element by element
  const kapell_value* x;
  size_t count, inner, outer;
  kp_before_fn before;
} kp_slices;

static int compare_elements(const kp_slices* s, size_t i, size_t j) {
  if (s->x->type == KAPELL_STRING) {
    const kp_str a = kp_value_string(s->x, i), b = kp_value_string(s->x, j);
    const size_t common = kp_min_size(a.length, b.length);
    const int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : a.length < b.length ? -1 : a.length > b.length;
  }
  return s->before(s->x->data, j, i) ? -1 : s->before(s->x->data, i, j) ? 1 : 0;
}

static int compare_slices(const void* a, const void* b, void* user) {
  const kp_slices* s = user;
  const size_t i = *(const size_t*)a, j = *(const size_t*)b;
  for (size_t o = 0; o < s->outer; ++o) {
    for (size_t n = 0; n < s->inner; ++n) {
      const int order =
          compare_elements(s, (o * s->count + i) * s->inner + n, (o * s->count + j) * s->inner + n);
      if (order) return order;
    }
  }
  return 0;
}

static int compare_stable(const void* a, const void* b, void* user) {
  const int order = compare_slices(a, b, user);
  return order ? order : *(const size_t*)a < *(const size_t*)b ? -1 : 1;
}

static int compare_first(const void* a, const void* b, void* user) {
  const size_t* first = user;
  const size_t i = first[*(const size_t*)a], j = first[*(const size_t*)b];
  return i < j ? -1 : i > j;
}

typedef struct kp_unique {  // all of |count| entries
  size_t *order, *group_of, *first, *times, *ranked, *place;
  size_t groups;
} kp_unique;

// Groups of equal slices, in sorted order: the first of each and how many there are.
static void find_groups(kp_slices* slices, kp_unique* u) {
  for (size_t i = 0; i < slices->count; ++i) u->order[i] = i;
  qsort_r(u->order, slices->count, sizeof(size_t), compare_stable, slices);
  for (size_t i = 0; i < slices->count; ++i) {
    if (i == 0 || compare_slices(&u->order[i - 1], &u->order[i], slices) != 0) {
      u->first[u->groups] = u->order[i];
      u->times[u->groups++] = 0;
    }
    u->group_of[u->order[i]] = u->groups - 1;
    ++u->times[u->groups - 1];
  }
}

static kp_status* give_numbers(const kp_op_run* run, uint32_t index, size_t count,
                               const size_t* numbers, const size_t* through) {
  if (!kp_op_wants(run, index)) return NULL;
  kapell_value* y;
  const int64_t dims[1] = {(int64_t)count};
  KP_PASS(kp_op_output(run, index, KAPELL_INT64, dims, 1, &y));
  for (size_t i = 0; i < count; ++i)
    ((int64_t*)y->data)[i] = (int64_t)(through ? numbers[through[i]] : numbers[i]);
  return NULL;
}

static kp_status* give_slices(const kp_op_run* run, const kp_slices* s, const kp_unique* u,
                              bool flat, int32_t axis) {
  int64_t dims[KP_MAX_RANK];
  for (int32_t d = 0; d < s->x->rank; ++d) dims[d] = s->x->dims[d];
  dims[flat ? 0 : axis] = (int64_t)u->groups;
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, s->x->type, dims, flat ? 1 : s->x->rank, &y));
  for (size_t o = 0; o < s->outer; ++o)
    for (size_t g = 0; g < u->groups; ++g)
      KP_PASS(kp_copy_elements(y, (o * u->groups + g) * s->inner, s->x,
                               (o * s->count + u->first[u->ranked[g]]) * s->inner, s->inner));
  const uint32_t next =
      run->node->domain[0] ? 1 : 2;  // com.microsoft's has no positions of the first
  if (next == 2) KP_PASS(give_numbers(run, 1, u->groups, u->first, u->ranked));
  for (size_t g = 0; g < u->groups; ++g) u->place[u->ranked[g]] = g;
  KP_PASS(give_numbers(run, next, s->count, u->place, u->group_of));
  return give_numbers(run, next + 1, u->groups, u->times, u->ranked);
}

static kp_status* unique_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const bool flat = !kp_node_attr(run->node, "axis");
  int32_t axis = 0;
  if (!flat) KP_PASS(axis_of(run->node, 0, x->rank, &axis));
  kp_slices slices = {.x = x,
                      .count = flat ? kp_value_count(x) : (size_t)x->dims[axis],
                      .before = before_for(x->type)};
  slices.inner = flat ? 1 : kp_span(x, axis + 1, x->rank);
  slices.outer = flat ? 1 : kp_span(x, 0, axis);
  if (!slices.before && x->type != KAPELL_STRING)
    return KP_ERROR(RUN_FAILED, "no order among %s", kp_type_name(x->type));
  size_t* room = kp_alloc_array(
      slices.count * 6 + 6, sizeof(size_t));  // the output's own size is not known before either
  if (!room) return KP_ERROR(OUT_OF_MEMORY, "sorting %zu slices", slices.count);
  const size_t n = slices.count + 1;
  kp_unique u = {room, room + n, room + 2 * n, room + 3 * n, room + 4 * n, room + 5 * n, 0};
  find_groups(&slices, &u);
  for (size_t g = 0; g < u.groups; ++g) u.ranked[g] = g;
  if (!kp_node_attr_i(run->node, "sorted", 1) || run->node->domain[0])
    qsort_r(u.ranked, u.groups, sizeof(size_t), compare_first, u.first);
  kp_status* status = give_slices(run, &slices, &u, flat, axis);
  kp_free(room);
  return status;
}

// clang-format off
#define KP_M_ORDER (KP_M_REALS | KP_M_INTS)
static const kp_op_def ops[] = {  // spec: ONNX operators ArgMax-1..13, ArgMin-1..13, TopK-1..24, Unique-11
    {.name = "ArgMax", .since = 1, .types = KP_M_ORDER, .run = arg_run, .flags = KP_OP_WIDEN},
    {.name = "ArgMin", .since = 1, .types = KP_M_ORDER, .run = arg_run, .flags = KP_OP_WIDEN},
    {.name = "TopK", .since = 1, .types = KP_M_ORDER, .plan = top_plan, .run = top_run, .flags = KP_OP_WIDEN},
    {.name = "Unique", .since = 11, .types = KP_M_ORDER | KP_M(COMPLEX64) | KP_M(COMPLEX128) | KP_M(BOOL) | KP_M(STRING), .run = unique_run},
    {.domain = "com.microsoft", .name = "Unique", .since = 1, .types = KP_M_ORDER | KP_M(COMPLEX64) | KP_M(COMPLEX128) | KP_M(BOOL) | KP_M(STRING),
     .run = unique_run},
};
// clang-format on
KP_OP_TABLE(order);
