// Einsum: from the equation to a program of permutations, sums and batched matrix products (einsum.h).
//
// Every letter, and every dim that an ellipsis stands for, is a label. A repeated letter in a term is a diagonal: strides add up. Labels
// of size 1 are left out throughout. Operands are taken two at a time, the pair with the smallest product first; labels that
// nobody else needs are summed before. Inference has checked the equation and made all sizes fit.
#include "provider/cpu/op/product/einsum.h"

enum { kLetters = 52, kLabels = kLetters + KP_MAX_RANK };
// Below so many multiply-adds a product of a batch is not worth a call of the kernel.
enum { kKernelWork = 64 };

typedef struct kp_ein_labels {
  int32_t count;
  uint8_t label[KP_MAX_RANK];
} kp_ein_labels;

typedef struct kp_ein_view {
  kp_einsum_place place;
  kp_ein_labels of;
  int64_t strides[KP_MAX_RANK];
} kp_ein_view;

typedef struct kp_ein {
  kp_op_plan* plan;
  kp_str equation;
  const kp_gemm_ops* gemm;
  bool f32;
  int64_t dims[kLabels];
  uint32_t seen[kLabels];  // in all terms
  int32_t ellipsis;        // dims that the longest ellipsis stands for
  kp_ein_labels result;
  kp_ein_view* views;
  size_t view_count;
  kp_einsum_program* program;
} kp_ein;

// --- the equation ------------------------------------------------------------------------------------------------------------
static int32_t letter_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  return c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

static kp_status* bad(const kp_ein* ein, const char* what) {
  return KP_ERROR(RUN_FAILED, "equation '%.*s': %s", KP_STR_ARG(ein->equation), what);
}

// The next label of |text| at *at, or -1 at its end; an ellipsis gives its dims one by one (*dots counts them down).
static int32_t next_label(kp_str text, size_t* at, int32_t ellipsis, int32_t total, int32_t* dots) {
  while (*at < text.length) {
    const char c = text.data[*at];
    if (c == '.') {
      if (*dots < 0) *dots = ellipsis;
      if (*dots > 0) return kLetters + total - (*dots)--;
      *dots = -1;
      *at += 3;
      continue;
    }
    ++*at;
    if (letter_of(c) >= 0) return letter_of(c);
  }
  return -1;
}

static int32_t letters_in(kp_str text) {
  int32_t count = 0;
  for (size_t i = 0; i < text.length; ++i) count += letter_of(text.data[i]) >= 0;
  return count;
}

// Labels of an operand, with their sizes; *out_labels by axis.
static kp_status* read_operand(kp_ein* ein, kp_str term, const kapell_value* value,
                               kp_ein_labels* out) {
  const int32_t ellipsis = value->rank - letters_in(term);
  size_t at = 0;
  int32_t dots = -1, label;
  out->count = 0;
  while ((label = next_label(term, &at, ellipsis, ein->ellipsis, &dots)) >= 0) {
    if (out->count >= value->rank || label >= kLabels)
      return bad(ein, "a term has more labels than its input dims");
    const int64_t dim = value->dims[out->count];
    out->label[out->count++] = (uint8_t)label;
    if (!ein->seen[label]++ || ein->dims[label] == 1) ein->dims[label] = dim;
  }
  return out->count == value->rank ? NULL : bad(ein, "a term has fewer labels than its input dims");
}

static kp_str part_of(kp_str text, size_t first, size_t last) {
  return (kp_str){text.data + first, last - first};
}

// Where "->" stands, or the end.
static size_t arrow_at(kp_str equation) {
  size_t at = 0;
  while (at + 1 < equation.length && !(equation.data[at] == '-' && equation.data[at + 1] == '>'))
    ++at;
  return at + 1 < equation.length ? at : equation.length;
}

static kp_status* read_result(kp_ein* ein, size_t arrow) {
  kp_ein_labels* out = &ein->result;
  if (arrow < ein->equation.length) {
    const kp_str text = part_of(ein->equation, arrow + 2, ein->equation.length);
    size_t at = 0;
    int32_t dots = -1, label;
    while ((label = next_label(text, &at, ein->ellipsis, ein->ellipsis, &dots)) >= 0) {
      if (out->count == KP_MAX_RANK) return bad(ein, "its result has too many dims");
      for (int32_t i = 0; i < out->count; ++i)
        if (out->label[i] == label) return bad(ein, "its result names a label twice");
      out->label[out->count++] = (uint8_t)label;
    }
    return NULL;
  }
  for (int32_t i = 0; i < ein->ellipsis + kLetters; ++i) {  // the ellipsis, then letters seen once
    const int32_t label = i < ein->ellipsis ? kLetters + i : i - ein->ellipsis;
    if (label < kLetters && ein->seen[label] != 1) continue;
    if (out->count == KP_MAX_RANK) return bad(ein, "its result has too many dims");
    out->label[out->count++] = (uint8_t)label;
  }
  return NULL;
}

// One term of the left side after the other: *start moves behind it.
static kp_str next_term(kp_str equation, size_t arrow, size_t* start) {
  size_t end = *start;
  while (end < arrow && equation.data[end] != ',') ++end;
  const kp_str term = part_of(equation, *start, end);
  *start = end + 1;
  return term;
}

// --- views -------------------------------------------------------------------------------------------------------------------
// Without labels of size 1 (or repeated, where the result is larger), with the strides of repeated ones added up.
static void make_view(const kp_ein* ein, uint32_t input, const kp_ein_labels* labels,
                      const kapell_value* value, kp_ein_view* out) {
  int64_t strides[KP_MAX_RANK];
  kp_strides(value->rank, value->dims, strides);
  *out = (kp_ein_view){.place = {(int32_t)input, 0}};
  for (int32_t d = 0; d < value->rank; ++d) {
    const uint8_t label = labels->label[d];
    if (ein->dims[label] == 1 || value->dims[d] == 1) continue;
    int32_t at = 0;
    while (at < out->of.count && out->of.label[at] != label) ++at;
    if (at == out->of.count) {
      out->of.label[out->of.count++] = label;
      out->strides[at] = 0;
    }
    out->strides[at] += strides[d];
  }
}

static bool has(const kp_ein_labels* labels, uint8_t label) {
  for (int32_t i = 0; i < labels->count; ++i)
    if (labels->label[i] == label) return true;
  return false;
}

static int64_t stride_of(const kp_ein_view* view, uint8_t label) {
  for (int32_t i = 0; i < view->of.count; ++i)
    if (view->of.label[i] == label) return view->strides[i];
  return 0;
}

static void append(kp_ein_labels* to, const kp_ein_labels* from) {
  for (int32_t i = 0; i < from->count && to->count < KP_MAX_RANK; ++i)
    to->label[to->count++] = from->label[i];
}

// By |view|'s strides, the largest first.
static void sort_by_stride(const kp_ein_view* view, kp_ein_labels* labels) {
  for (int32_t i = 1; i < labels->count; ++i) {
    const uint8_t label = labels->label[i];
    int32_t at = i;
    for (; at && stride_of(view, labels->label[at - 1]) < stride_of(view, label); --at)
      labels->label[at] = labels->label[at - 1];
    labels->label[at] = label;
  }
}

static kp_status* size_of(const kp_ein* ein, const kp_ein_labels* labels, size_t* out) {
  *out = 1;
  for (int32_t i = 0; i < labels->count; ++i)
    if (!kp_mul_size(*out, (size_t)ein->dims[labels->label[i]], out) || *out > KP_MAX_ELEMENTS)
      return KP_ERROR(LIMIT, "equation '%.*s': a product of two inputs is too large",
                      KP_STR_ARG(ein->equation));
  return NULL;
}

// Do |labels| of |view| form one dim? Its stride then; 1 where there are none.
static bool joins(const kp_ein* ein, const kp_ein_view* view, const kp_ein_labels* labels,
                  size_t* out_stride) {
  int64_t stride = labels->count ? stride_of(view, labels->label[labels->count - 1]) : 1;
  *out_stride = (size_t)stride;
  for (int32_t i = labels->count; i-- > 0;) {
    if (stride_of(view, labels->label[i]) != stride) return false;
    stride *= ein->dims[labels->label[i]];
  }
  return true;
}

// --- steps -------------------------------------------------------------------------------------------------------------------
static kp_einsum_step* add_step(kp_ein* ein, kp_einsum_kind kind) {
  kp_einsum_step* step = &ein->program->steps[ein->program->count++];
  step->kind = kind;
  return step;
}

static kp_einsum_place new_room(kp_ein* ein, size_t count) {
  const kp_einsum_place place = {KP_EINSUM_SCRATCH, ein->program->elements};
  ein->program->elements += (count + 15) / 16 * 16;
  return place;
}

static void set_dense(const kp_ein* ein, const kp_ein_labels* order, kp_ein_view* view) {
  int64_t stride = 1;
  view->of = *order;
  for (int32_t i = order->count; i-- > 0;) {
    view->strides[i] = stride;
    stride *= ein->dims[order->label[i]];
  }
}

// Rewrites |view| as a dense one in |order| in |place|.
static void permute(kp_ein* ein, kp_ein_view* view, const kp_ein_labels* order,
                    kp_einsum_place place) {
  kp_ein_view dense = {.place = place};
  set_dense(ein, order, &dense);
  int64_t dims[KP_MAX_RANK], from[KP_MAX_RANK];
  for (int32_t i = 0; i < order->count; ++i) {
    dims[i] = ein->dims[order->label[i]];
    from[i] = stride_of(view, order->label[i]);
  }
  kp_einsum_step* step = add_step(ein, KP_EINSUM_PERMUTE);
  kp_copy_init(&step->copy, order->count, dims, dense.strides, from);
  step->a = view->place;
  step->c = place;
  *view = dense;
}

static kp_status* permute_to_scratch(kp_ein* ein, kp_ein_view* view, const kp_ein_labels* order) {
  size_t count;
  KP_PASS(size_of(ein, order, &count));
  permute(ein, view, order, new_room(ein, count));
  return NULL;
}

static bool is_dense(const kp_ein* ein, const kp_ein_view* view, const kp_ein_labels* order) {
  size_t stride;
  return view->of.count == order->count && joins(ein, view, order, &stride) && stride == 1;
}

// Is |label| in the result, or in a view besides |a| and |b|?
static bool needed(const kp_ein* ein, uint8_t label, size_t a, size_t b) {
  if (has(&ein->result, label)) return true;
  for (size_t v = 0; v < ein->view_count; ++v)
    if (v != a && v != b && has(&ein->views[v].of, label)) return true;
  return false;
}

// Sums the labels of view |index| that nobody else needs.
static kp_status* reduce_own(kp_ein* ein, size_t index) {
  kp_ein_view* view = &ein->views[index];
  kp_ein_labels kept = {0}, summed = {0};
  for (int32_t i = 0; i < view->of.count; ++i) {
    const uint8_t label = view->of.label[i];
    kp_ein_labels* to = needed(ein, label, index, index) ? &kept : &summed;
    to->label[to->count++] = label;
  }
  if (!summed.count) return NULL;
  sort_by_stride(view, &kept);
  sort_by_stride(view, &summed);
  kp_ein_labels order = kept;
  append(&order, &summed);
  if (!is_dense(ein, view, &order)) KP_PASS(permute_to_scratch(ein, view, &order));
  kp_einsum_step* step = add_step(ein, KP_EINSUM_REDUCE);
  KP_PASS(size_of(ein, &kept, &step->m));
  KP_PASS(size_of(ein, &summed, &step->k));
  step->a = view->place;
  step->c = view->place = new_room(ein, step->m);
  set_dense(ein, &kept, view);
  return NULL;
}

// --- products ----------------------------------------------------------------------------------------------------------------
typedef struct kp_ein_groups {
  kp_ein_labels batch, left, right, summed;
} kp_ein_groups;

static kp_ein_groups group_labels(const kp_ein* ein, size_t a, size_t b) {
  const kp_ein_view *left = &ein->views[a], *right = &ein->views[b];
  kp_ein_groups groups = {0};
  for (int32_t i = 0; i < ein->result.count; ++i) {  // the batch in the result's order
    const uint8_t label = ein->result.label[i];
    if (has(&left->of, label) && has(&right->of, label))
      groups.batch.label[groups.batch.count++] = label;
  }
  for (int32_t i = 0; i < left->of.count; ++i) {
    const uint8_t label = left->of.label[i];
    if (has(&groups.batch, label)) continue;
    kp_ein_labels* to = !has(&right->of, label)    ? &groups.left
                        : needed(ein, label, a, b) ? &groups.batch
                                                   : &groups.summed;
    to->label[to->count++] = label;
  }
  for (int32_t i = 0; i < right->of.count; ++i)
    if (!has(&left->of, right->of.label[i]))
      groups.right.label[groups.right.count++] = right->of.label[i];
  sort_by_stride(left, &groups.left);
  sort_by_stride(left, &groups.summed);
  sort_by_stride(right, &groups.right);
  return groups;
}

static kp_ein_labels result_order(const kp_ein_groups* groups) {
  kp_ein_labels order = groups->batch;
  append(&order, &groups->left);
  append(&order, &groups->right);
  return order;
}

// Is |order| that of the result, labels of size 1 aside?
static bool is_result_order(const kp_ein* ein, const kp_ein_labels* order) {
  int32_t at = 0;
  for (int32_t i = 0; i < ein->result.count; ++i) {
    if (ein->dims[ein->result.label[i]] == 1) continue;
    if (at >= order->count || order->label[at++] != ein->result.label[i]) return false;
  }
  return at == order->count;
}

// Sets one side of |step| so that the kernel can read it; the view is permuted where it lies otherwise.
static kp_status* set_side(kp_ein* ein, kp_ein_view* view, const kp_ein_groups* groups, bool right,
                           kp_einsum_side* out) {
  const kp_ein_labels *own = right ? &groups->right : &groups->left, *sum = &groups->summed;
  const bool joined = joins(ein, view, own, &out->row) && joins(ein, view, sum, &out->step);
  const bool readable = out->step == 1 || (right && out->row == 1);
  if (joined && (readable || !ein->f32)) return NULL;
  kp_ein_labels order = groups->batch;
  append(&order, own);
  append(&order, sum);
  KP_PASS(permute_to_scratch(ein, view, &order));
  if (!joins(ein, view, own, &out->row) || !joins(ein, view, sum, &out->step))
    return KP_ERROR(INTERNAL, "einsum: a dense view does not join");
  return NULL;
}

static void set_batch(const kp_ein* ein, const kp_ein_groups* groups, const kp_ein_view* a,
                      const kp_ein_view* b, kp_einsum_step* step) {
  for (int32_t i = 0; i < groups->batch.count; ++i) {
    const uint8_t label = groups->batch.label[i];
    const int64_t dim = ein->dims[label], in_a = stride_of(a, label), in_b = stride_of(b, label);
    int32_t at = step->batch_rank - 1;
    if (at < 0 || step->a_batch[at] != in_a * dim || step->b_batch[at] != in_b * dim) {
      step->batch_dims[++at] = 1;
      step->batch_rank = at + 1;
    }
    step->batch_dims[at] *= dim;
    step->a_batch[at] = in_a;
    step->b_batch[at] = in_b;
  }
}

static size_t* offsets_of(const kp_ein* ein, const kp_einsum_step* step, const int64_t* strides) {
  size_t* offsets = kp_arena_new_array(ein->plan->arena, size_t, step->batch);
  for (size_t i = 0; offsets && i < step->batch; ++i) {
    size_t rest = i, offset = 0;
    for (int32_t d = step->batch_rank; d-- > 0;) {
      offset += rest % (size_t)step->batch_dims[d] * (size_t)strides[d];
      rest /= (size_t)step->batch_dims[d];
    }
    offsets[i] = offset;
  }
  return offsets;
}

static kp_status* plan_kernel(kp_ein* ein, kp_einsum_step* step) {
  step->f32 = true;
  step->a_offsets = offsets_of(ein, step, step->a_batch);
  step->b_offsets = offsets_of(ein, step, step->b_batch);
  if (!step->a_offsets || !step->b_offsets) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  const kp_gemm_shape shape = {step->batch, step->m, step->n, step->k,
                               step->b_side.row == 1 ? KP_GEMM_B_PLAIN : KP_GEMM_B_TRANSPOSED};
  const int threads = kp_op_width(ein->plan->width, step->batch * step->m * step->n * step->k / 16);
  kp_gemm_plan_init(ein->gemm, &shape, (size_t)threads, &step->plan);
  ein->program->thread_bytes = kp_max_size(ein->program->thread_bytes, step->plan.scratch_bytes);
  return NULL;
}

// The product of views |a| and |b| takes the place of |a|.
static kp_status* multiply(kp_ein* ein, size_t a, size_t b) {
  KP_PASS(reduce_own(ein, a));
  KP_PASS(reduce_own(ein, b));
  const bool last = ein->view_count == 2;
  kp_ein_groups groups = group_labels(ein, a, b);
  kp_ein_groups swapped = group_labels(ein, b, a);
  const kp_ein_labels other = result_order(&swapped);
  if (last && is_result_order(ein, &other)) {
    const size_t swap = a;
    a = b;
    b = swap;
    groups = swapped;
  }
  kp_ein_view *left = &ein->views[a], *right = &ein->views[b];
  if (groups.batch.count + groups.left.count + groups.right.count > KP_MAX_RANK)
    return KP_ERROR(LIMIT, "equation '%.*s': a product of two inputs has more than %d dims",
                    KP_STR_ARG(ein->equation), KP_MAX_RANK);
  kp_einsum_step draft = {.kind = KP_EINSUM_PRODUCT};
  KP_PASS(size_of(ein, &groups.batch, &draft.batch));
  KP_PASS(size_of(ein, &groups.left, &draft.m));
  KP_PASS(size_of(ein, &groups.right, &draft.n));
  KP_PASS(size_of(ein, &groups.summed, &draft.k));
  const kp_ein_labels order = result_order(&groups);
  size_t count;
  KP_PASS(size_of(ein, &order, &count));
  KP_PASS(set_side(ein, left, &groups, false, &draft.a_side));
  KP_PASS(set_side(ein, right, &groups, true, &draft.b_side));
  set_batch(ein, &groups, left, right, &draft);
  if (ein->f32 && draft.m * draft.n * draft.k >= kKernelWork) KP_PASS(plan_kernel(ein, &draft));
  draft.a = left->place;
  draft.b = right->place;
  draft.c = last && is_result_order(ein, &order) ? (kp_einsum_place){KP_EINSUM_RESULT, 0}
                                                 : new_room(ein, count);
  kp_einsum_step* step = add_step(ein, KP_EINSUM_PRODUCT);
  *step = draft;
  left->place = draft.c;
  set_dense(ein, &order, left);
  *right = ein->views[--ein->view_count];
  return NULL;
}

// The pair whose product has the fewest elements.
static void choose_pair(const kp_ein* ein, size_t* out_a, size_t* out_b) {
  double least = 0;
  *out_a = 0;
  *out_b = 1;
  if (ein->view_count > 16) return;  // left to right
  for (size_t a = 0; a < ein->view_count; ++a) {
    for (size_t b = a + 1; b < ein->view_count; ++b) {
      double size = 1;
      for (int32_t label = 0; label < kLabels; ++label)
        if ((has(&ein->views[a].of, (uint8_t)label) || has(&ein->views[b].of, (uint8_t)label)) &&
            needed(ein, (uint8_t)label, a, b))
          size *= (double)ein->dims[label];
      if ((a || b > 1) && size >= least) continue;
      least = size;
      *out_a = a;
      *out_b = b;
    }
  }
}

// --- plan --------------------------------------------------------------------------------------------------------------------
static kp_status* read_views(kp_ein* ein) {
  const kp_node* node = ein->plan->node;
  const size_t arrow = arrow_at(ein->equation);
  kp_ein_labels* labels = kp_arena_new_array(ein->plan->arena, kp_ein_labels, node->input_count);
  ein->views = kp_arena_new_array(ein->plan->arena, kp_ein_view, node->input_count);
  if (!labels || !ein->views) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  size_t at = 0;
  for (uint32_t i = 0; i < node->input_count; ++i) {  // first, how many dims an ellipsis has
    const int32_t letters = letters_in(next_term(ein->equation, arrow, &at));
    const int32_t dots = ein->plan->inputs[i]->rank - letters;
    if (dots > ein->ellipsis) ein->ellipsis = dots;
  }
  at = 0;
  for (uint32_t i = 0; i < node->input_count; ++i)
    KP_PASS(
        read_operand(ein, next_term(ein->equation, arrow, &at), ein->plan->inputs[i], &labels[i]));
  KP_PASS(read_result(ein, arrow));
  for (uint32_t i = 0; i < node->input_count; ++i)
    make_view(ein, i, &labels[i], ein->plan->inputs[i], &ein->views[i]);
  ein->view_count = node->input_count;
  return NULL;
}

static kp_status* write_program(kp_ein* ein) {
  // A pair gives at most four permutations, two sums and a product; the result two more.
  const size_t room = 7 * ein->view_count + 3;
  ein->program->steps = kp_arena_new_array(ein->plan->arena, kp_einsum_step, room);
  if (!ein->program->steps) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  while (ein->view_count > 1) {
    size_t a, b;
    choose_pair(ein, &a, &b);
    KP_PASS(multiply(ein, a, b));
  }
  KP_PASS(reduce_own(ein, 0));
  if (ein->views[0].place.input == KP_EINSUM_RESULT) return NULL;
  kp_ein_labels order = {0};
  for (int32_t i = 0; i < ein->result.count; ++i)
    if (ein->dims[ein->result.label[i]] != 1) order.label[order.count++] = ein->result.label[i];
  permute(ein, &ein->views[0], &order, (kp_einsum_place){KP_EINSUM_RESULT, 0});
  return NULL;
}

static kp_status* einsum_plan(kp_op_plan* plan) {
  kp_einsum_program* program = kp_arena_new(plan->arena, kp_einsum_program);
  kp_ein* ein = kp_arena_new(plan->arena, kp_ein);
  if (!program || !ein) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = program;
  const kapell_type type = plan->inputs[0]->type;
  *ein = (kp_ein){.plan = plan,
                  .equation = kp_node_attr_s(plan->node, "equation", ""),
                  .gemm = plan->state,
                  .f32 = type == KAPELL_FLOAT,
                  .program = program};
  KP_PASS(read_views(ein));
  for (int32_t label = 0; label < kLabels; ++label)
    if (ein->seen[label] && ein->dims[label] == 0) return NULL;  // sums of nothing
  KP_PASS(write_program(ein));
  size_t bytes, threads;
  if (!kp_mul_size(program->elements, kp_type_bits(type) / 8, &program->gemm_at) ||
      !kp_align_size(program->gemm_at, KP_ALIGNMENT, &program->gemm_at) ||
      !kp_align_size(program->thread_bytes, KP_ALIGNMENT, &program->thread_bytes) ||
      !kp_mul_size(program->thread_bytes, (size_t)plan->width, &threads) ||
      !kp_add_size(program->gemm_at, threads, &bytes))
    return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
  plan->scratch_bytes = bytes;
  return NULL;
}

static kp_status* einsum_prepare(kp_op_prepare* prepare) {
  union {
    const kp_gemm_ops* ops;
    void* state;
  } gemm = {kp_gemm_select(prepare->features)};
  prepare->state = gemm.state;
  prepare->kernel = "gemm_f32";
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operator Einsum-12..28
    {.name = "Einsum",
     .since = 12,
     .types = KP_M_NUMBERS,
     .prepare = einsum_prepare,
     .plan = einsum_plan,
     .run = kp_einsum_run,
     .flags = KP_OP_WIDEN,
     .kernels = "f32: gemm"},
};
KP_OP_TABLE(einsum);
