// NonMaxSuppression. Each class of each batch is a task: boxes above the score threshold in a heap, the best taken out one by one and
// kept unless it covers too much of one that was kept before, which kernel/boxes tells. What a task keeps lies in the scratch until
// all are counted.
#include "provider/cpu/kernel/boxes/boxes.h"
#include "provider/cpu/op/help.h"

typedef struct candidate {
  float score;
  uint32_t index;
} candidate;

typedef struct select_params {
  size_t batches, classes, boxes;
  bool centered;
  size_t corners, kept, counts, workers;  // bytes from the scratch's start
  size_t worker_bytes;  // of one worker: a heap, and the columns of what its task keeps
  size_t columns;       // where in them
} select_params;

typedef struct select_job {
  const kp_op_run* run;
  size_t limit;
  float overlap, score;
  bool filtered;
} select_job;

static bool take(size_t count, size_t size, size_t* used, size_t* out_place) {
  size_t bytes;
  *out_place = *used;
  return kp_mul_size(count, size, &bytes) && kp_add_size(bytes, KP_ALIGNMENT - 1, &bytes) &&
         kp_add_size(*used, bytes / KP_ALIGNMENT * KP_ALIGNMENT, used);
}

static kp_status* select_prepare(kp_op_prepare* prepare) {
  prepare->state = (void*)(uintptr_t)kp_boxes_select(prepare->features);
  return NULL;
}

static kp_status* select_plan(kp_op_plan* plan) {
  select_params* p = kp_arena_new(plan->arena, select_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *boxes = plan->inputs[0], *scores = plan->inputs[1];
  p->batches = (size_t)scores->dims[0];
  p->classes = (size_t)scores->dims[1];
  p->boxes = (size_t)boxes->dims[1];
  p->centered = kp_node_attr_i(plan->node, "center_point_box", 0) != 0;
  if (p->boxes > UINT32_MAX) return KP_ERROR(LIMIT, "%zu boxes", p->boxes);
  size_t used = 0;
  const size_t lists = p->batches * p->classes;
  const bool fits = take(p->batches * p->boxes, sizeof(kp_box), &used, &p->corners) &&
                    take(kp_value_count(scores), sizeof(uint32_t), &used, &p->kept) &&
                    take(lists, sizeof(size_t), &used, &p->counts);
  size_t heap;
  const bool held = take(p->boxes, sizeof(candidate), &p->worker_bytes, &heap) &&
                    take(p->boxes, sizeof(kp_box), &p->worker_bytes, &p->columns);
  if (!fits || !held || !take(p->worker_bytes, (size_t)plan->width, &used, &p->workers))
    return KP_ERROR(LIMIT, "more boxes than memory can hold");
  plan->scratch_bytes = used;
  return NULL;
}

// --- boxes -------------------------------------------------------------------------------------------------------------------------
static float low(float a, float b) { return a < b ? a : b; }
static float high(float a, float b) { return a > b ? a : b; }

static kp_box read_box(const float* b, bool centered) {
  kp_box r;
  if (centered) {
    const float w = b[2] / 2, h = b[3] / 2;
    r = (kp_box){.left = b[0] - w, .top = b[1] - h, .right = b[0] + w, .bottom = b[1] + h};
  } else {
    r = (kp_box){.left = low(b[1], b[3]),
                 .top = low(b[0], b[2]),
                 .right = high(b[1], b[3]),
                 .bottom = high(b[0], b[2])};
  }
  r.area = (r.right - r.left) * (r.bottom - r.top);
  return r;
}

// Puts |box| into place |i| of columns as kernel/boxes wants them.
static void put_box(float* columns, size_t stride, size_t i, const kp_box* box) {
  columns[i] = box->left;
  columns[stride + i] = box->top;
  columns[2 * stride + i] = box->right;
  columns[3 * stride + i] = box->bottom;
  columns[4 * stride + i] = box->area;
}

// --- candidates: a heap whose root is the best; of equal scores the lower index is --------------------------------------------------
static bool better(candidate a, candidate b) {
  return a.score > b.score || (a.score == b.score && a.index < b.index);
}

static void sift_down(candidate* heap, size_t count, size_t at) {
  const candidate moved = heap[at];
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && better(heap[child + 1], heap[child])) ++child;
    if (!better(heap[child], moved)) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

static size_t collect(const select_job* job, const float* scores, size_t count, candidate* heap) {
  size_t found = 0;
  for (size_t i = 0; i < count; ++i) {
    if (job->filtered && !(scores[i] > job->score)) continue;
    heap[found++] = (candidate){scores[i], (uint32_t)i};
  }
  for (size_t i = found / 2; i-- > 0;) sift_down(heap, found, i);
  return found;
}

static void select_task(void* arg, size_t task, int worker) {
  const select_job* job = arg;
  const kp_op_run* run = job->run;
  const select_params* p = run->params;
  const kp_boxes_ops* ops = run->state;
  char *scratch = run->scratch, *own = scratch + p->workers + (size_t)worker * p->worker_bytes;
  const kp_box* boxes =
      (const kp_box*)(const void*)(scratch + p->corners) + task / p->classes * p->boxes;
  uint32_t* kept = (uint32_t*)(void*)(scratch + p->kept) + task * p->boxes;
  candidate* heap = (candidate*)(void*)own;
  float* columns = (float*)(void*)(own + p->columns);
  size_t count = 0,
         left = collect(job, (const float*)run->inputs[1]->data + task * p->boxes, p->boxes, heap);
  while (left && count < job->limit && !kp_cancelled(run)) {
    const uint32_t best = heap[0].index;
    heap[0] = heap[--left];
    if (left) sift_down(heap, left, 0);
    if (ops->covered(columns, p->boxes, count, &boxes[best], job->overlap)) continue;
    put_box(columns, p->boxes, count, &boxes[best]);
    kept[count++] = best;
  }
  ((size_t*)(void*)(scratch + p->counts))[task] = count;
}

// --- run -----------------------------------------------------------------------------------------------------------------------------
static kp_status* write_kept(const kp_op_run* run, size_t lists) {
  const select_params* p = run->params;
  const char* scratch = run->scratch;
  const size_t* counts = (const size_t*)(const void*)(scratch + p->counts);
  const uint32_t* kept = (const uint32_t*)(const void*)(scratch + p->kept);
  int64_t dims[2] = {0, 3};
  kapell_value* y;
  for (size_t i = 0; i < lists; ++i) dims[0] += (int64_t)counts[i];
  KP_PASS(kp_op_output(run, 0, KAPELL_INT64, dims, 2, &y));
  int64_t* out = y->data;
  for (size_t i = 0; i < lists; ++i) {
    for (size_t k = 0; k < counts[i]; ++k, out += 3) {
      out[0] = (int64_t)(i / p->classes);
      out[1] = (int64_t)(i % p->classes);
      out[2] = kept[i * p->boxes + k];
    }
  }
  return NULL;
}

static float optional_float(const kapell_value* value, float fallback) {
  return value && kp_value_count(value) ? ((const float*)value->data)[0] : fallback;
}

static kp_status* select_run(const kp_op_run* run) {
  const select_params* p = run->params;
  const kapell_value *most = kp_run_input(run, 2), *score = kp_run_input(run, 4);
  const int64_t limit = most && kp_value_count(most) ? kp_int_at(most, 0) : 0;
  select_job job = {.run = run,
                    .limit = limit > 0 ? (size_t)limit : 0,
                    .overlap = optional_float(kp_run_input(run, 3), 0),
                    .score = optional_float(score, 0),
                    .filtered = score && kp_value_count(score)};
  const size_t lists = job.limit && p->boxes ? p->batches * p->classes : 0;
  kp_box* boxes = (kp_box*)(void*)((char*)run->scratch + p->corners);
  for (size_t i = 0; lists && i < p->batches * p->boxes; ++i)
    boxes[i] = read_box((const float*)run->inputs[0]->data + i * 4, p->centered);
  kp_parallel_for_dynamic(kp_op_width(run->width, lists * p->boxes), lists, select_task, &job);
  return write_kept(run, lists);
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operator NonMaxSuppression-10..11
    {.name = "NonMaxSuppression", .since = 10, .types = KP_M(FLOAT), .prepare = select_prepare, .plan = select_plan,
     .run = select_run, .kernels = "f32: boxes"},
};
// clang-format on
KP_OP_TABLE(box_select);
