// TfIdfVectorizer: counts how often the n-grams of a pool occur in each row, with up to max_skip_count elements left out between two.
//
// The pool becomes a tree whose edges are elements: the table has (node, element) -> node. Elements are numbered first, so that texts and
// integers are alike from there on.
#include "provider/cpu/op/help.h"
#include "provider/cpu/op/lookup.h"

typedef struct tfidf {
  kp_lookup elements;  // to numbers
  kp_lookup edges;     // node << 32 | element, to nodes; 0 is the root
  const uint32_t*
      columns;  // by node: where an n-gram that ends there is counted; KP_LOOKUP_NONE: none ends there
  const float* scale;  // by column; NULL: all 1
  bool count_once;     // IDF
  int64_t shortest, longest, skips;
  size_t width;
} tfidf;

// The pool's lists of n-grams while the tree is made.
typedef struct pool {
  const kp_str* texts;  // NULL: numbers
  const int64_t* numbers;
  size_t count;
  const int64_t* columns;
  size_t column_count;
  uint32_t* node_columns;
  uint32_t nodes;
} pool;

// The number of element |at| of the pool: where it stands first.
static uint32_t number_element(tfidf* state, const pool* p, size_t at) {
  uint32_t* value = p->texts ? kp_lookup_put_text(&state->elements, &p->texts[at])
                             : kp_lookup_put_number(&state->elements, p->numbers[at]);
  if (*value == KP_LOOKUP_NONE) *value = (uint32_t)at;
  return *value;
}

// Adds the n-gram of |length| elements from |first| on, number |gram| of the pool. The last of equal ones counts.
static kp_status* add_gram(tfidf* state, pool* p, size_t first, size_t length, size_t gram) {
  uint32_t node = 0;
  for (size_t i = 0; i < length; ++i) {
    const uint32_t element = number_element(state, p, first + i);
    uint32_t* next = kp_lookup_put_number(&state->edges, (int64_t)((uint64_t)node << 32 | element));
    if (*next == KP_LOOKUP_NONE) *next = ++p->nodes;
    node = *next;
  }
  if (gram >= p->column_count)
    return KP_ERROR(INVALID_MODEL, "attribute 'ngram_indexes' has %zu entries, fewer than the pool",
                    p->column_count);
  p->node_columns[node] = (uint32_t)p->columns[gram];
  return NULL;
}

static kp_status* add_grams(tfidf* state, pool* p, const int64_t* starts, size_t count) {
  size_t gram = 0;
  for (size_t n = 0; n < count; ++n) {
    const int64_t start = starts[n], end = n + 1 < count ? starts[n + 1] : (int64_t)p->count;
    if (start < 0 || end < start || end > (int64_t)p->count)
      return KP_ERROR(INVALID_MODEL, "attribute 'ngram_counts' has %lld where the pool has %zu",
                      (long long)(end < start ? start : end), p->count);
    const size_t length = n + 1, grams = (size_t)(end - start) / length;
    const bool wanted = (int64_t)length >= state->shortest && (int64_t)length <= state->longest;
    for (size_t g = 0; wanted && g < grams; ++g)
      KP_PASS(add_gram(state, p, (size_t)start + g * length, length, gram + g));
    gram += grams;
  }
  return NULL;
}

static kp_status* read_sizes(const kp_node* node, tfidf* state) {
  const kp_str mode = kp_node_attr_s(node, "mode", "");
  state->count_once = kp_str_is(mode, "IDF");
  if (!state->count_once && !kp_str_is(mode, "TF") && !kp_str_is(mode, "TFIDF"))
    return KP_ERROR(INVALID_MODEL, "mode=%.*s is none of TF, IDF, TFIDF", KP_STR_ARG(mode));
  state->shortest = kp_node_attr_i(node, "min_gram_length", 0);
  state->longest = kp_node_attr_i(node, "max_gram_length", 0);
  state->skips = kp_node_attr_i(node, "max_skip_count", -1);
  if (state->shortest < 1 || state->longest < state->shortest || state->skips < 0)
    return KP_ERROR(INVALID_MODEL, "n-grams of %lld to %lld elements with up to %lld skipped",
                    (long long)state->shortest, (long long)state->longest, (long long)state->skips);
  return NULL;
}

// Weights, which the file has by n-gram, by column.
static kp_status* read_weights(const kp_node* node, kp_arena* arena, const pool* p, tfidf* state) {
  size_t count;
  const float* weights = kp_node_attr_floats(node, "weights", &count);
  if (!count || kp_str_is(kp_node_attr_s(node, "mode", ""), "TF")) return NULL;
  if (count != p->column_count)
    return KP_ERROR(INVALID_MODEL, "%zu weights for %zu n-grams", count, p->column_count);
  float* scale = kp_arena_new_array(arena, float, state->width);
  if (!scale) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  for (size_t i = 0; i < count; ++i) scale[p->columns[i]] = weights[i];
  state->scale = scale;
  return NULL;
}

static kp_status* make_tree(const kp_node* node, kp_arena* arena, tfidf* state, pool* p) {
  size_t start_count;
  const int64_t* starts = kp_node_attr_ints(node, "ngram_counts", &start_count);
  KP_PASS(kp_lookup_init(&state->elements, arena, p->count, p->texts != NULL));
  KP_PASS(kp_lookup_init(&state->edges, arena, p->count, false));
  p->node_columns = kp_arena_new_array(arena, uint32_t, p->count + 1);
  if (!p->node_columns) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  memset(p->node_columns, 0xFF, (p->count + 1) * sizeof *p->node_columns);
  state->columns = p->node_columns;
  return add_grams(state, p, starts, start_count);
}

static kp_status* tfidf_prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  tfidf* state = kp_arena_new(prepare->arena, tfidf);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  KP_PASS(read_sizes(node, state));
  const kp_attr *texts = kp_node_attr(node, "pool_strings"),
                *numbers = kp_node_attr(node, "pool_int64s");
  pool p = {0};
  if (texts && texts->count)
    p = (pool){.texts = texts->strings, .count = texts->count};
  else if (numbers)
    p = (pool){.numbers = numbers->ints, .count = numbers->count};
  p.columns = kp_node_attr_ints(node, "ngram_indexes", &p.column_count);
  for (size_t i = 0; i < p.column_count; ++i) {
    if (p.columns[i] < 0 || p.columns[i] >= UINT32_MAX)
      return KP_ERROR(INVALID_MODEL, "attribute 'ngram_indexes' has %lld", (long long)p.columns[i]);
    state->width = kp_max_size(state->width, (size_t)p.columns[i] + 1);
  }
  KP_PASS(make_tree(node, prepare->arena, state, &p));
  return read_weights(node, prepare->arena, &p, state);
}

// --- running -----------------------------------------------------------------------------------------------------------------
typedef struct tfidf_job {
  const kp_op_run* run;
  uint32_t* elements;  // numbers of one row's elements, |length| for each worker
  size_t rows, length, tasks;
} tfidf_job;

// Counts n-grams whose elements are |stride| apart and that have at least |shortest| of them.
static void count_grams(const tfidf* state, const uint32_t* row, size_t length, size_t stride,
                        int64_t shortest, float* y) {
  const size_t reach = (size_t)(shortest - 1);
  if (reach && stride > (length - 1) / reach) return;
  for (size_t start = 0; start + stride * reach < length; ++start) {
    uint32_t node = 0;
    int64_t size = 1;
    for (size_t at = start; at < length && size <= state->longest; at += stride, ++size) {
      if (row[at] == KP_LOOKUP_NONE) break;
      node = kp_lookup_number(&state->edges, (int64_t)((uint64_t)node << 32 | row[at]));
      if (node == KP_LOOKUP_NONE) break;
      if (size >= shortest && state->columns[node] != KP_LOOKUP_NONE) ++y[state->columns[node]];
    }
  }
}

static void weigh(const tfidf* state, float* y) {
  for (size_t i = 0; i < state->width; ++i) {
    if (state->count_once) y[i] = y[i] > 0;
    if (state->scale) y[i] *= state->scale[i];
  }
}

static void one_row(const tfidf_job* job, size_t r, uint32_t* row) {
  const tfidf* state = job->run->state;
  const kapell_value* x = job->run->inputs[0];
  float* y = (float*)job->run->outputs[0]->data + r * state->width;
  for (size_t i = 0; i < job->length; ++i)
    row[i] = x->type == KAPELL_STRING
                 ? kp_lookup_text(&state->elements, kp_value_string(x, r * job->length + i))
                 : kp_lookup_number(&state->elements, kp_int_at(x, r * job->length + i));
  memset(y, 0, state->width * sizeof *y);
  int64_t shortest = state->shortest;
  for (size_t skip = 0; job->length && (int64_t)skip <= state->skips && skip < job->length;
       ++skip) {
    if (kp_cancelled(job->run)) return;
    count_grams(state, row, job->length, skip + 1, shortest, y);
    if (shortest == 1 && ++shortest > state->longest) break;  // single elements skip nothing
  }
  weigh(state, y);
}

static void tfidf_task(void* arg, size_t task, int worker) {
  const tfidf_job* job = arg;
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  for (size_t r = first; r < last && !kp_cancelled(job->run); ++r)
    one_row(job, r, job->elements + (size_t)worker * job->length);
}

static kp_status* tfidf_plan(kp_op_plan* plan) {
  const kapell_value* x = plan->inputs[0];
  const size_t length = x->rank ? (size_t)x->dims[x->rank - 1] : 1;
  plan->scratch_bytes = length * (size_t)plan->width * sizeof(uint32_t);
  return NULL;
}

static kp_status* tfidf_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const tfidf* state = run->state;
  tfidf_job job = {.run = run,
                   .elements = run->scratch,
                   .rows = x->rank > 1 ? (size_t)x->dims[0] : 1,
                   .length = x->rank ? (size_t)x->dims[x->rank - 1] : 1};
  if (state->elements.texts ? x->type != KAPELL_STRING : x->type == KAPELL_STRING)
    return KP_ERROR(RUN_FAILED, "the input's type is not that of the pool");
  const int threads = kp_op_width(run->width, job.rows * (job.length * 50 + state->width));
  job.tasks = kp_min_size(job.rows, (size_t)threads);
  kp_parallel_for(threads, job.tasks, tfidf_task, &job);
  return NULL;
}

static kp_reason tfidf_supports(const kp_op_query* query) {
  const kp_attr *texts = kp_node_attr(query->node, "pool_strings"),
                *numbers = kp_node_attr(query->node, "pool_int64s");
  const kapell_type x = kp_query_type(query, 0);
  const bool strings = texts && texts->count;
  KP_REQUIRE(query, !strings || !numbers || !numbers->count, "both kinds of pools are given");
  KP_REQUIRE(query, x == KAPELL_UNDEFINED || (x == KAPELL_STRING) == strings,
             "the input's type is not that of the pool");
  return KP_SUPPORTED;
}

static const kp_op_def ops[] = {
    // spec: ONNX operator TfIdfVectorizer-9
    {.name = "TfIdfVectorizer",
     .since = 9,
     .types = KP_M(STRING) | KP_M(INT32) | KP_M(INT64),
     .supports = tfidf_supports,
     .prepare = tfidf_prepare,
     .plan = tfidf_plan,
     .run = tfidf_run},
};
KP_OP_TABLE(tfidf);
