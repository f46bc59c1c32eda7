// Operators that put elements elsewhere by a rule of dims: Transpose, Expand, Tile, DepthToSpace, SpaceToDepth. All are blocks of
// copy.h; a transposition of the last two dims, which is most of them, runs on kernel/transpose.
#include "provider/cpu/kernel/transpose/transpose.h"
#include "provider/cpu/op/copy.h"

typedef struct kp_move_params {
  kp_copy copy;
} kp_move_params;

static kp_status* no_memory(void) { return KP_ERROR(OUT_OF_MEMORY, "planning a node"); }

static kp_status* set_copy(kp_op_plan* plan, int32_t rank, const int64_t* dims, const int64_t* to,
                           const int64_t* from) {
  kp_move_params* params = kp_arena_new(plan->arena, kp_move_params);
  if (!params) return no_memory();
  kp_copy_init(&params->copy, rank, dims, to, from);
  plan->params = params;
  return NULL;
}

static kp_status* move_run(const kp_op_run* run) {
  const kp_move_params* params = run->params;
  return kp_copy_run(&params->copy, run->outputs[0], 0, run->inputs[0], 0, run->width);
}

static kp_status* transpose_prepare(kp_op_prepare* prepare) {
  union {
    const kp_transpose_ops* ops;
    void* state;
  } kernel = {kp_transpose_select(prepare->features)};
  prepare->state = kernel.state;
  return NULL;
}

// True if |copy| is matrices transposed one by one: [batch][rows][cols] of the output, read with the last two strides swapped.
static bool is_matrices(const kp_copy* copy) {
  const int32_t r = copy->rank;
  if (r < 2 || r > 3 || copy->from[r - 2] != 1 || copy->to[r - 1] != 1) return false;
  return copy->from[r - 1] >= copy->dims[r - 2] && copy->to[r - 2] >= copy->dims[r - 1];
}

typedef struct kp_matrices_job {
  const kp_op_run* run;
  const kp_copy* copy;
  size_t size, per_matrix;
} kp_matrices_job;

static void matrices_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_matrices_job* job = arg;
  const kp_copy* c = job->copy;
  const int32_t r = c->rank;
  const size_t matrix = task / job->per_matrix, size = job->size;
  const size_t rows = (size_t)c->dims[r - 1],
               cols = (size_t)c->dims[r - 2];  // of the input's matrix
  size_t first, last;
  kp_share(cols, job->per_matrix, task % job->per_matrix, &first, &last);
  if (first == last) return;
  const size_t from = (r == 3 ? matrix * (size_t)c->from[0] : 0) + first;
  const size_t to = (r == 3 ? matrix * (size_t)c->to[0] : 0) + first * (size_t)c->to[r - 2];
  kp_transpose_run(job->run->state, size, 1, rows, last - first,
                   (const char*)job->run->inputs[0]->data + from * size, (size_t)c->from[r - 1], 0,
                   (char*)job->run->outputs[0]->data + to * size, (size_t)c->to[r - 2], 0);
}

static kp_status* transpose_run(const kp_op_run* run) {
  const kp_move_params* params = run->params;
  const kp_copy* copy = &params->copy;
  const unsigned bits = kp_type_bits(run->inputs[0]->type);
  if (!bits || !copy->count || !is_matrices(copy)) return move_run(run);
  kp_matrices_job job = {.run = run, .copy = copy, .size = bits / 8};
  const size_t matrices = copy->rank == 3 ? (size_t)copy->dims[0] : 1;
  const int threads = kp_op_width(run->width, copy->count);
  job.per_matrix = matrices < (size_t)threads ? (size_t)threads : 1;
  kp_parallel_for(threads, matrices * job.per_matrix, matrices_task, &job);
  return NULL;
}

static kp_status* transpose_plan(kp_op_plan* plan) {
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  int64_t x_strides[KP_MAX_RANK], to[KP_MAX_RANK], from[KP_MAX_RANK];
  size_t count;
  const int64_t* perm = kp_node_attr_ints(plan->node, "perm", &count);
  kp_strides(x->rank, x->dims, x_strides);
  kp_strides(y->rank, y->dims, to);
  for (int32_t d = 0; d < y->rank; ++d)
    from[d] = x_strides[perm && count ? perm[d] : y->rank - 1 - d];
  return set_copy(plan, y->rank, y->dims, to, from);
}

static kp_status* expand_plan(kp_op_plan* plan) {
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  int64_t x_strides[KP_MAX_RANK], to[KP_MAX_RANK], from[KP_MAX_RANK];
  kp_strides(x->rank, x->dims, x_strides);
  kp_strides(y->rank, y->dims, to);
  for (int32_t d = 0; d < y->rank; ++d) {
    const int32_t own = d - (y->rank - x->rank);
    from[d] = own >= 0 && x->dims[own] != 1 ? x_strides[own] : 0;
  }
  return set_copy(plan, y->rank, y->dims, to, from);
}

// Each dim of Tile is two: how often, and the dim itself.
static kp_status* tile_plan(kp_op_plan* plan) {
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  int64_t x_strides[KP_MAX_RANK], y_strides[KP_MAX_RANK];
  int64_t dims[KP_MAX_RANK * 2], to[KP_MAX_RANK * 2], from[KP_MAX_RANK * 2];
  kp_strides(x->rank, x->dims, x_strides);
  kp_strides(y->rank, y->dims, y_strides);
  int32_t rank = 0;
  for (int32_t d = 0; d < x->rank; ++d) {
    const int64_t times = x->dims[d] ? y->dims[d] / x->dims[d] : 0;
    if (times != 1) {
      dims[rank] = times;
      to[rank] = x->dims[d] * y_strides[d];
      from[rank++] = 0;
    }
    if (x->dims[d] != 1) {
      dims[rank] = x->dims[d];
      to[rank] = y_strides[d];
      from[rank++] = x_strides[d];
    }
  }
  if (rank > KP_MAX_RANK)
    return KP_ERROR(RUN_FAILED, "Tile of a tensor of rank %d in so many dims", (int)x->rank);
  return set_copy(plan, rank, dims, to, from);
}

// [N, C, H, W] as six dims; |axes| says which of them, outermost first, make the output.
static kp_status* shuffle_plan(kp_op_plan* plan, const int64_t* split, const int32_t* axes) {
  int64_t strides[6], dims[6], from[6], to[6];
  kp_strides(6, split, strides);
  for (int32_t d = 0; d < 6; ++d) {
    dims[d] = split[axes[d]];
    from[d] = strides[axes[d]];
  }
  kp_strides(6, dims, to);
  return set_copy(plan, 6, dims, to, from);
}

static kp_status* depth_to_space_plan(kp_op_plan* plan) {
  const kapell_value* x = plan->inputs[0];
  const int64_t block = kp_node_attr_i(plan->node, "blocksize", 1);
  const int64_t n = x->dims[0], c = x->dims[1] / (block * block), h = x->dims[2], w = x->dims[3];
  if (kp_str_is(kp_node_attr_s(plan->node, "mode", "DCR"), "CRD")) {
    const int64_t split[6] = {n, c, block, block, h, w};
    return shuffle_plan(plan, split, (const int32_t[]){0, 1, 4, 2, 5, 3});
  }
  const int64_t split[6] = {n, block, block, c, h, w};
  return shuffle_plan(plan, split, (const int32_t[]){0, 3, 4, 1, 5, 2});
}

static kp_status* space_to_depth_plan(kp_op_plan* plan) {
  const kapell_value* x = plan->inputs[0];
  const int64_t block = kp_node_attr_i(plan->node, "blocksize", 1);
  const int64_t split[6] = {x->dims[0], x->dims[1],         x->dims[2] / block,
                            block,      x->dims[3] / block, block};
  if (kp_str_is(kp_node_attr_s(plan->node, "mode", "DCR"), "CRD"))
    return shuffle_plan(plan, split, (const int32_t[]){0, 1, 3, 5, 2, 4});
  return shuffle_plan(plan, split, (const int32_t[]){0, 3, 5, 1, 2, 4});
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Transpose-1..25, Expand-8..13, Tile-6..13, DepthToSpace-1..13, SpaceToDepth-1..13
    {.name = "Transpose", .since = 1, .prepare = transpose_prepare, .plan = transpose_plan, .run = transpose_run,
     .flags = KP_OP_UNPACK, .kernels = "matrices: transpose"},
    {.name = "Expand", .since = 8, .plan = expand_plan, .run = move_run, .flags = KP_OP_UNPACK},
    {.name = "Tile", .since = 1, .plan = tile_plan, .run = move_run, .flags = KP_OP_UNPACK},
    {.name = "DepthToSpace", .since = 1, .plan = depth_to_space_plan, .run = move_run, .flags = KP_OP_UNPACK},
    {.name = "SpaceToDepth", .since = 1, .plan = space_to_depth_plan, .run = move_run, .flags = KP_OP_UNPACK},
};
// clang-format on
KP_OP_TABLE(transpose);
