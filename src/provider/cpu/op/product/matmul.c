// Matrix products: MatMul (numpy's rules, any rank) and Gemm; com.microsoft's FusedMatMul, FusedGemm and their kin, which transpose,
// scale and end with an activation. f32 runs on kernel/gemm, with constant matrices packed once; other types on plain loops.
//
// A and B transposed otherwise than the kernel takes them are turned into scratch first (kp_turn).
#include "provider/cpu/kernel/gemm/gemm.h"
#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/unary.h"
#include "provider/cpu/packed.h"

// How a product lies in memory once shapes are known.
typedef struct kp_product {
  size_t batch, m, n, k;
  bool transpose_a, transpose_b;
  const size_t *a_offsets, *b_offsets;  // elements, per product of the batch
} kp_product;

// An operand on its way into scratch, in the order that numpy's rules want.
typedef struct kp_turn {
  bool needed;
  size_t offset;  // in scratch
  kp_copy copy;
} kp_turn;

typedef struct kp_matmul_state {
  const kp_gemm_ops* gemm;
  const kp_unary_row* act;     // applied to the result; NULL: none, or the kernel does it
  kp_act kernel_act;           // KP_ACT_NONE: none
  const float *act_a, *act_b;  // its attributes, where given
  const float* packed;         // B, if it was a constant f32 matrix
  size_t packed_k, packed_n;
  const float* bias;  // Gemm: C if it is a constant [n] or [1, n]; not owned
} kp_matmul_state;

typedef struct kp_matmul_params {
  kp_product product;
  kp_gemm_plan plan;
  bool f32;
  size_t a_copy;         // floats of scratch for a transposed A
  size_t c_row, c_step;  // Gemm: strides of C, 0 = repeated
  float alpha, beta;
  size_t thread_bytes;  // scratch of one worker
  kp_turn turns[2];
  size_t turn_bytes;
} kp_matmul_params;

// --- prepare -----------------------------------------------------------------------------------------------------------------
static bool is_gemm(const kp_node* node) {
  return strcmp(node->op, "Gemm") == 0 || strcmp(node->op, "FusedGemm") == 0;
}

// Activations are named as operators are; some have attributes, which stand beside those of the product.
static kp_status* read_activation(const kp_op_prepare* prepare, kp_matmul_state* state) {
  const kp_node* node = prepare->node;
  const kp_str name = kp_node_attr_s(node, "activation", "");
  if (!name.length) return NULL;
  state->act = kp_unary_named(name);
  if (!state->act) return KP_ERROR(INTERNAL, "activation '%.*s'", KP_STR_ARG(name));
  const kp_attr *a = kp_node_attr(node, "activation_alpha"),
                *b = kp_node_attr(node, "activation_beta");
  state->act_a = a ? &a->f : NULL;
  state->act_b = b ? &b->f
                 : kp_node_attr(node, "activation_gamma")
                     ? &kp_node_attr(node, "activation_gamma")->f
                     : NULL;
  if (!kp_unary_act(state->act, state->act_a, state->act_b, &state->kernel_act))
    state->kernel_act.kind = KP_ACT_NONE;
  return NULL;
}

static kp_reason activation_supports(const kp_op_query* query) {
  const kp_str name = kp_node_attr_s(query->node, "activation", "");
  KP_REQUIRE(query, !name.length || kp_unary_named(name),
             "activation '%.*s' is not computed element by element", KP_STR_ARG(name));
  return KP_SUPPORTED;
}

static kp_status* matmul_prepare(kp_op_prepare* prepare) {
  kp_matmul_state* state = kp_arena_new(prepare->arena, kp_matmul_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->gemm = kp_gemm_select(prepare->features);
  KP_PASS(read_activation(prepare, state));
  const kapell_value* b = kp_prepare_constant(prepare, 1);
  if (!b || b->type != KAPELL_FLOAT || b->rank != 2 ||
      kp_node_attr_i(prepare->node, "transBatchB", 0))
    return NULL;
  const bool transposed = kp_node_attr_i(prepare->node, "transB", 0) != 0;
  state->packed_k = (size_t)b->dims[transposed ? 1 : 0];
  state->packed_n = (size_t)b->dims[transposed ? 0 : 1];
  const size_t floats = kp_gemm_packed_b_size(state->gemm, state->packed_k, state->packed_n);
  const kp_packed_form form = {.ops = state->gemm, .numbers = {transposed}};
  bool done;
  float* packed = kp_prepare_packed_once(prepare, 1, &form, floats * sizeof(float), &done);
  if (!packed) return KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", floats);
  if (!done) {
    kp_gemm_pack_b(state->gemm, state->packed_k, 0, state->packed_n, b->data, (size_t)b->dims[1],
                   transposed, packed);
    packed = kp_prepare_settle(prepare, packed);
  }
  state->packed = packed;
  prepare->consumed[1] = true;
  prepare->kernel = "gemm_f32";
  return NULL;
}

// --- plan --------------------------------------------------------------------------------------------------------------------
// Offsets of each product's matrix, the batch dims of |value| broadcast against those of |output|.
static size_t* batch_offsets(kp_arena* arena, const kapell_value* value, int32_t value_batch,
                             const int64_t* batch_dims, int32_t batch_rank, size_t batch,
                             size_t matrix) {
  size_t* offsets = kp_arena_new_array(arena, size_t, batch + 1);
  int64_t strides[KP_MAX_RANK] = {0};
  int64_t stride = (int64_t)matrix;
  for (int32_t d = batch_rank; d-- > 0;) {
    const int32_t own = d - (batch_rank - value_batch);
    const int64_t dim = own >= 0 ? value->dims[own] : 1;
    strides[d] = dim == 1 ? 0 : stride;
    stride *= dim;
  }
  for (size_t i = 0; offsets && i < batch; ++i) {
    size_t rest = i;
    for (int32_t d = batch_rank; d-- > 0;) {
      const size_t dim = kp_max_size((size_t)batch_dims[d], 1);  // rows of no batches were joined
      offsets[i] += rest % dim * (size_t)strides[d];
      rest /= dim;
    }
  }
  return offsets;
}

static kp_status* plan_kernel(kp_op_plan* plan, kp_matmul_params* params) {
  const kp_matmul_state* state = plan->state;
  const kp_product* product = &params->product;
  params->f32 = plan->inputs[0]->type == KAPELL_FLOAT;
  if (!params->f32) return NULL;
  const kp_gemm_b form = state->packed          ? KP_GEMM_B_PACKED
                         : product->transpose_b ? KP_GEMM_B_TRANSPOSED
                                                : KP_GEMM_B_PLAIN;
  const kp_gemm_shape shape = {product->batch, product->m, product->n, product->k, form};
  const int threads =
      kp_op_width(plan->width, product->batch * product->m * product->n * product->k / 16);
  kp_gemm_plan_init(state->gemm, &shape, (size_t)threads, &params->plan);
  params->thread_bytes =
      (params->plan.scratch_bytes + KP_ALIGNMENT - 1) / KP_ALIGNMENT * KP_ALIGNMENT;
  params->a_copy = product->transpose_a ? (product->m * product->k + 15) / 16 * 16 : 0;
  plan->scratch_bytes +=
      params->a_copy * sizeof(float) + params->thread_bytes * (size_t)plan->width;
  return NULL;
}

// |turned| is |value| with dims in the order in which the product takes them: |batch| moves the first behind the other batch dims,
// |last| swaps the last two.
static void turn_operand(const kapell_value* value, bool batch, bool last, kapell_value* turned,
                         int64_t* dims, size_t* bytes, kp_turn* turn) {
  const int32_t rank = value->rank;
  int64_t strides[KP_MAX_RANK], from[KP_MAX_RANK], to[KP_MAX_RANK];
  int32_t order[KP_MAX_RANK];
  if (rank < 2 || (!batch && !last)) return;
  for (int32_t d = 0; d < rank; ++d) order[d] = batch && d < rank - 1 ? (d + 1) % (rank - 1) : d;
  if (last) {
    const int32_t swapped = order[rank - 1];
    order[rank - 1] = order[rank - 2];
    order[rank - 2] = swapped;
  }
  kp_strides(rank, value->dims, strides);
  for (int32_t d = 0; d < rank; ++d) {
    dims[d] = value->dims[order[d]];
    from[d] = strides[order[d]];
  }
  kp_strides(rank, dims, to);
  kp_copy_init(&turn->copy, rank, dims, to, from);
  turn->needed = true;
  turn->offset = *bytes;
  *bytes += (kp_value_count(value) * (kp_type_bits(value->type) / 8) + KP_ALIGNMENT - 1) /
            KP_ALIGNMENT * KP_ALIGNMENT;
  turned->dims = dims;
}

static kp_status* matmul_plan(kp_op_plan* plan) {
  kp_matmul_params* params = kp_arena_new(plan->arena, kp_matmul_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  params->alpha = kp_node_attr_f(plan->node, "alpha", 1);
  int64_t a_dims[KP_MAX_RANK], b_dims[KP_MAX_RANK];
  kapell_value turned_a = *plan->inputs[0], turned_b = *plan->inputs[1];
  const kapell_value *a = &turned_a, *b = &turned_b, *y = plan->outputs[0];
  kp_product* product = &params->product;
  const bool trans_b = kp_node_attr_i(plan->node, "transB", 0) != 0 && b->rank > 1,
             batch_b = kp_node_attr_i(plan->node, "transBatchB", 0) != 0 && b->rank > 2;
  turn_operand(plan->inputs[0], kp_node_attr_i(plan->node, "transBatchA", 0) != 0 && a->rank > 2,
               kp_node_attr_i(plan->node, "transA", 0) != 0, &turned_a, a_dims, &params->turn_bytes,
               &params->turns[0]);
  turn_operand(plan->inputs[1], batch_b, batch_b && trans_b, &turned_b, b_dims, &params->turn_bytes,
               &params->turns[1]);
  if (trans_b && !batch_b) {  // the kernel reads it as it lies
    product->transpose_b = true;
    for (int32_t d = 0; d < b->rank; ++d)
      b_dims[d] = b->dims[d < b->rank - 2 ? d : 2 * b->rank - 3 - d];
    turned_b.dims = b_dims;
  }
  product->m = a->rank > 1 ? (size_t)a->dims[a->rank - 2] : 1;
  product->k = (size_t)a->dims[a->rank - 1];
  product->n = b->rank > 1 ? (size_t)b->dims[b->rank - 1] : 1;
  const int32_t a_batch = a->rank > 2 ? a->rank - 2 : 0, b_batch = b->rank > 2 ? b->rank - 2 : 0;
  const int32_t rank = a_batch > b_batch ? a_batch : b_batch;
  product->batch = kp_span(y, 0, rank);
  if (b_batch == 0 && a->rank > 1) {  // one B for all: the rows of A's batch follow each other
    product->m *= product->batch;
    product->batch = 1;
  }
  if (product->batch != 1 || rank) {
    product->a_offsets = batch_offsets(plan->arena, a, a_batch, y->dims, rank, product->batch,
                                       product->m * product->k);
    product->b_offsets = batch_offsets(plan->arena, b, b_batch, y->dims, rank, product->batch,
                                       product->k * product->n);
    if (!product->a_offsets || !product->b_offsets)
      return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  }
  plan->scratch_bytes = params->turn_bytes;
  return plan_kernel(plan, params);
}

static kp_status* gemm_plan(kp_op_plan* plan) {
  kp_matmul_params* params = kp_arena_new(plan->arena, kp_matmul_params);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = params;
  const kapell_value *a = plan->inputs[0], *y = plan->outputs[0], *c = kp_plan_input(plan, 2);
  kp_product* product = &params->product;
  params->alpha = kp_node_attr_f(plan->node, "alpha", 1);
  params->beta = c ? kp_node_attr_f(plan->node, "beta", 1) : 0;
  product->transpose_a = kp_node_attr_i(plan->node, "transA", 0) != 0;
  product->transpose_b = kp_node_attr_i(plan->node, "transB", 0) != 0;
  product->batch = 1;
  product->m = (size_t)y->dims[0];
  product->n = (size_t)y->dims[1];
  product->k = (size_t)a->dims[product->transpose_a ? 0 : 1];
  if (c) {
    params->c_step = c->rank > 0 && c->dims[c->rank - 1] != 1;
    params->c_row = c->rank > 1 && c->dims[c->rank - 2] != 1 ? (size_t)c->dims[c->rank - 1] : 0;
  }
  return plan_kernel(plan, params);
}

// --- run: f32 ----------------------------------------------------------------------------------------------------------------
typedef struct kp_gemm_job {
  const kp_matmul_params* params;
  kp_gemm_args args;
  char* scratch;
} kp_gemm_job;

static void gemm_task(void* arg, size_t task, int worker) {
  const kp_gemm_job* job = arg;
  kp_gemm_run_task(&job->params->plan, &job->args, task,
                   job->scratch + (size_t)worker * job->params->thread_bytes);
}

static const float* rows_of_a(const kp_op_run* run, const kp_product* product) {
  const float* a = run->inputs[0]->data;
  if (!product->transpose_a) return a;
  float* copy = run->scratch;
  for (size_t i = 0; i < product->m; ++i)
    for (size_t p = 0; p < product->k; ++p) copy[i * product->k + p] = a[p * product->m + i];
  return copy;
}

// C is broadcast into the result first, so that the kernel finds it there as the residual; a bias along the rows needs no copy.
static void set_c(const kp_op_run* run, kp_gemm_job* job) {
  const kp_matmul_params* params = job->params;
  const kapell_value* c = kp_run_input(run, 2);
  job->args.epilogue.alpha = params->alpha;
  if (!c || params->beta == 0) return;
  const float* from = c->data;
  if (params->c_step && !params->c_row && params->beta == 1) {
    job->args.epilogue.bias_n = from;
    return;
  }
  float* y = run->outputs[0]->data;
  for (size_t i = 0; i < params->product.m; ++i)
    for (size_t j = 0; j < params->product.n; ++j)
      y[i * params->product.n + j] = from[i * params->c_row + j * params->c_step];
  job->args.epilogue.residual = y;
  job->args.epilogue.residual_stride = params->product.n;
  job->args.epilogue.beta = params->beta;
}

static void run_f32(const kp_op_run* run) {
  const kp_matmul_params* params = run->params;
  const kp_matmul_state* state = run->state;
  const kp_product* product = &params->product;
  kp_gemm_job job = {.params = params,
                     .scratch = (char*)run->scratch + params->a_copy * sizeof(float)};
  kp_gemm_args* args = &job.args;
  args->a = rows_of_a(run, product);
  args->a_stride = product->k;
  args->b = state->packed ? state->packed : run->inputs[1]->data;
  args->b_stride = product->transpose_b ? product->k : product->n;
  args->c = run->outputs[0]->data;
  args->c_stride = product->n;
  args->c_batch_stride = product->m * product->n;
  args->a_offsets = product->a_offsets;
  args->b_offsets = product->b_offsets;
  args->epilogue = (kp_epilogue)KP_EPILOGUE_NONE;
  args->epilogue.act = state->kernel_act;
  set_c(run, &job);
  kp_parallel_for_dynamic(run->width, params->plan.task_count, gemm_task, &job);
}

// --- run: other types --------------------------------------------------------------------------------------------------------
typedef struct kp_plain_job {
  const kp_op_run* run;
  size_t rows, tasks;
} kp_plain_job;

// Integers wrap around: the sum is kept in 64 bits and cut once.
#define PLAIN(type, c_type, sum_type)                                                              \
  static void plain_##type(const kp_op_run* run, size_t row) {                                     \
    const kp_matmul_params* params = run->params;                                                  \
    const kp_product* p = &params->product;                                                        \
    const size_t product = row / p->m, i = row % p->m;                                             \
    const c_type* a =                                                                              \
        (const c_type*)run->inputs[0]->data + (p->a_offsets ? p->a_offsets[product] : 0);          \
    const c_type* b =                                                                              \
        (const c_type*)run->inputs[1]->data + (p->b_offsets ? p->b_offsets[product] : 0);          \
    const kapell_value* c = is_gemm(run->node) ? kp_run_input(run, 2) : NULL;                      \
    c_type* y = (c_type*)run->outputs[0]->data + row * p->n;                                       \
    for (size_t j = 0; j < p->n; ++j) {                                                            \
      sum_type sum = 0;                                                                            \
      for (size_t q = 0; q < p->k; ++q)                                                            \
        sum += (sum_type)a[p->transpose_a ? q * p->m + i : i * p->k + q] *                         \
               (sum_type)b[p->transpose_b ? j * p->k + q : q * p->n + j];                          \
      if (params->alpha != 1) sum = (sum_type)((double)params->alpha * (double)(c_type)sum);       \
      if (c) {                                                                                     \
        const c_type add = ((const c_type*)c->data)[i * params->c_row + j * params->c_step];       \
        sum += params->beta == 1 ? (sum_type)add : (sum_type)((double)params->beta * (double)add); \
      }                                                                                            \
      y[j] = (c_type)sum;                                                                          \
    }                                                                                              \
  }
PLAIN(DOUBLE, double, double)
PLAIN(INT32, int32_t, uint64_t)
PLAIN(INT64, int64_t, uint64_t)
PLAIN(UINT32, uint32_t, uint64_t)
PLAIN(UINT64, uint64_t, uint64_t)

static void (*plain_for(kapell_type type))(const kp_op_run*, size_t) {
  switch (type) {
    case KAPELL_DOUBLE:
      return plain_DOUBLE;
    case KAPELL_INT32:
      return plain_INT32;
    case KAPELL_INT64:
      return plain_INT64;
    case KAPELL_UINT32:
      return plain_UINT32;
    default:
      return plain_UINT64;
  }
}

static void plain_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_plain_job* job = arg;
  void (*const fn)(const kp_op_run*, size_t) = plain_for(job->run->inputs[0]->type);
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t row = first; row < last && !kp_cancelled(job->run); ++row) fn(job->run, row);
}

static kp_status* product_run(const kp_op_run* run) {
  const kp_matmul_params* params = run->params;
  const kp_product* product = &params->product;
  if (params->f32) {
    run_f32(run);
    return NULL;
  }
  kp_plain_job job = {.run = run, .rows = product->batch * product->m};
  const int threads = kp_op_width(run->width, job.rows * product->n * product->k);
  job.tasks = kp_min_size(job.rows, (size_t)threads * 8);
  kp_parallel_for_dynamic(threads, job.tasks, plain_task, &job);
  return NULL;
}

// Operands that have to be turned, as the product sees them: data in scratch, which begins behind them.
static kp_status* turned_run(const kp_op_run* run) {
  const kp_matmul_params* params = run->params;
  kapell_value shells[2], *inputs[3] = {&shells[0], &shells[1], kp_run_input(run, 2)};
  for (int i = 0; i < 2; ++i) {
    const kp_turn* turn = &params->turns[i];
    if (run->inputs[i])
      shells[i] = *run->inputs[i];
    else
      inputs[i] = NULL;  // a matrix that was packed
    if (!turn->needed) continue;
    shells[i].data = (char*)run->scratch + turn->offset;
    KP_PASS(kp_copy_run(&turn->copy, &shells[i], 0, run->inputs[i], 0, run->width));
  }
  kp_op_run inner = *run;
  inner.inputs = inputs;
  inner.scratch = (char*)run->scratch + params->turn_bytes;
  return product_run(&inner);
}

static kp_status* matmul_run(const kp_op_run* run) {
  const kp_matmul_params* params = run->params;
  const kp_matmul_state* state = run->state;
  kapell_value* y = run->outputs[0];
  if (!kp_value_count(y)) return NULL;
  KP_PASS(params->turn_bytes ? turned_run(run) : product_run(run));
  if (state->act && (!params->f32 || state->kernel_act.kind == KP_ACT_NONE))
    kp_unary_apply(state->act, state->act_a, state->act_b, y->type, kp_value_count(y), y->data,
                   y->data);
  return NULL;
}

// clang-format off
#define KP_M_PRODUCT (KP_M_REALS | KP_M(INT32) | KP_M(INT64) | KP_M(UINT32) | KP_M(UINT64))
#define MS_MATMUL(op) \
  {.domain = "com.microsoft", .name = op, .since = 1, .types = KP_M_REALS, .supports = activation_supports, .prepare = matmul_prepare, \
   .plan = matmul_plan, .run = matmul_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"}
static const kp_op_def ops[] = {  // spec: ONNX operators MatMul-1..13, Gemm-1..13; com.microsoft's of docs/ContribOperators.md
    {.name = "MatMul", .since = 1, .types = KP_M_PRODUCT, .prepare = matmul_prepare, .plan = matmul_plan, .run = matmul_run,
     .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
    {.name = "Gemm", .since = 1, .types = KP_M_PRODUCT, .prepare = matmul_prepare, .plan = gemm_plan, .run = matmul_run,
     .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
    MS_MATMUL("FusedMatMul"), MS_MATMUL("TransposeMatMul"), MS_MATMUL("FusedMatMulActivation"),
    {.domain = "com.microsoft", .name = "FusedGemm", .since = 1, .types = KP_M_PRODUCT, .supports = activation_supports,
     .prepare = matmul_prepare, .plan = gemm_plan, .run = matmul_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm"},
};
// clang-format on
KP_OP_TABLE(matmul);
