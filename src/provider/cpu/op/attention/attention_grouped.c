// GroupQueryAttention of com.microsoft: a decoder's attention with rotation and cache in one node.
//
//   inputs   query (or query, key and value packed side by side), key, value, past_key, past_value, seqlens_k (keys after this step,
//            less one), total_sequence_length, cos_cache, sin_cache, position_ids, attention_bias, head_sink, k_scale, v_scale,
//            q_norm_weight, k_norm_weight, query_seqlens
//   outputs  output, present_key, present_value, output_qk
// The cache is [batch, kv_num_heads, room, head size]; past and present may be the same memory, then only the new rows are written.
#include <math.h>

#include "provider/cpu/op/attention/attention_cache.h"

enum {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kLengths,
  kTotal,
  kCos,
  kSin,
  kPositions,
  kBias,
  kSink,
  kKeyScale,
  kValueScale,
  kQueryNorm,
  kKeyNorm,
  kQueryLengths
};

typedef struct grouped_state {
  const kp_attention_ops* ops;
  int64_t heads, kv_heads, window;
  float scale, softcap, q_epsilon, k_epsilon;
  bool causal, rotary, interleaved, smooth;
  bool sliding;  // the cache holds the last positions only
  int64_t qk_output;
} grouped_state;

typedef struct grouped_params {
  kp_attend attend;
  kp_heads q, k, v, past;        // as they come
  kp_heads store;                // the cache where it is coded: rows of bytes
  bool coded;                    // in 8 or 4 bits
  size_t wide_k, wide_v, fresh;  // floats of a coded cache, and of the new rows
  size_t capacity;      // of a sliding cache; past and new rows lie in the scratch together
  size_t before, bias;  // positions before the new ones; the bias for that cache
  bool packed, moved;   // query is worked on before the attention
  size_t starts, counts, positions, spans, sinks, norms, query, spare;  // offsets in the scratch
  size_t keys, values;  // of caches that are no output
  size_t engine;
  size_t table, angles;  // positions and angles of the cosines
} grouped_params;

static bool has_input(const kp_node* node, uint32_t index) {
  return index < node->input_count && node->inputs[index] != KP_NONE;
}

static kp_reason grouped_supports(const kp_op_query* query) {
  const kp_node* node = query->node;
  const int64_t qk = kp_node_attr_i(node, "qk_output", 0);
  const kapell_type cache = kp_query_type(query, kPastKey), own = kp_query_type(query, kQuery);
  const bool plain = cache == KAPELL_UNDEFINED || cache == own;
  KP_REQUIRE(query, plain || has_input(node, kKeyScale) == has_input(node, kValueScale),
             "k_scale and v_scale go together");
  KP_REQUIRE(query, plain || has_input(node, kKeyScale), "a cache of another type needs scales");
  KP_REQUIRE(
      query,
      plain || (cache == KAPELL_UINT8) == (kp_node_attr_i(node, "kv_cache_bit_width", 8) == 4),
      "kv_cache_bit_width %lld of a cache of %s; 4 goes with uint8",
      (long long)kp_node_attr_i(node, "kv_cache_bit_width", 8), kp_type_name(cache));
  KP_REQUIRE(query,
             plain || cache == KAPELL_INT8 || cache == KAPELL_UINT8 || cache == KAPELL_FLOAT8E4M3FN,
             "a cache of %s beside a query of %s", kp_type_name(cache), kp_type_name(own));
  KP_REQUIRE(query,
             kp_node_attr_i(node, "sliding_window_cache", 0) == 0 ||
                 (kp_node_attr_i(node, "local_window_size", -1) > 0 && qk == 0),
             "sliding_window_cache needs local_window_size, and gives no scores: their columns are "
             "positions that the cache has let go");
  KP_REQUIRE(query, qk >= 0 && qk <= 2, "qk_output %lld; expected 0 to 2", (long long)qk);
  return KP_SUPPORTED;
}

static kp_status* grouped_prepare(kp_op_prepare* prepare) {
  const kp_node* node = prepare->node;
  grouped_state* s = kp_arena_new(prepare->arena, grouped_state);
  if (!s) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = s;
  prepare->kernel = "attention_f32";
  s->ops = kp_attention_select(prepare->features);
  s->heads = kp_node_attr_i(node, "num_heads", 0);
  s->kv_heads = kp_node_attr_i(node, "kv_num_heads", 0);
  s->window = kp_node_attr_i(node, "local_window_size", -1);
  s->scale = kp_node_attr_f(node, "scale", 0);
  s->softcap = kp_node_attr_f(node, "softcap", 0);
  const float epsilon = kp_node_attr_f(node, "qk_norm_epsilon", 1e-6f);
  s->q_epsilon = kp_node_attr_f(node, "q_norm_epsilon", epsilon);
  s->k_epsilon = kp_node_attr_f(node, "k_norm_epsilon", epsilon);
  s->causal = kp_node_attr_i(node, "causal", 1) != 0;
  s->rotary = kp_node_attr_i(node, "do_rotary", 0) != 0;
  s->interleaved = kp_node_attr_i(node, "rotary_interleaved", 0) != 0;
  s->smooth = kp_node_attr_i(node, "smooth_softmax", 0) == 1;
  s->sliding = kp_node_attr_i(node, "sliding_window_cache", 0) != 0;
  s->qk_output = kp_node_attr_i(node, "qk_output", 0);
  return NULL;
}

// --- plan ---------------------------------------------------------------------------------------------------------------------
// Query, key and value as heads; packed, they are side by side in each row of the query.
static kp_status* read_heads(const kp_op_plan* plan, grouped_params* p) {
  const grouped_state* s = plan->state;
  const kapell_value *q = plan->inputs[kQuery], *k = kp_plan_input(plan, kKey),
                     *v = kp_plan_input(plan, kValue);
  p->packed = k == NULL;
  const int64_t parts = p->packed ? s->heads + 2 * s->kv_heads : s->heads;
  if (s->heads < 1 || s->kv_heads < 1 || s->heads % s->kv_heads || q->dims[2] % parts ||
      (k && (!v || k->dims[2] % s->kv_heads || v->dims[2] % s->kv_heads)))
    return KP_ERROR(INVALID_INPUT,
                    "query, key and value cannot be divided among %lld and %lld heads",
                    (long long)s->heads, (long long)s->kv_heads);
  p->q = kp_heads_packed(q->type, q->dims, (size_t)parts);
  if (p->packed) {
    p->k = p->v = p->q;
    p->q.heads = (size_t)s->heads;
    p->k.heads = p->v.heads = (size_t)s->kv_heads;
  } else {
    p->k = kp_heads_packed(k->type, k->dims, (size_t)s->kv_heads);
    p->v = kp_heads_packed(v->type, v->dims, (size_t)s->kv_heads);
  }
  if (p->q.width == p->k.width && p->q.length == p->k.length && p->q.batch == p->k.batch &&
      p->v.length == p->k.length && p->v.batch == p->k.batch)
    return NULL;
  return KP_ERROR(INVALID_INPUT, "query, key and value differ in batch, length or head size");
}

// Elements of a row of the cache, which may be coded.
static size_t row_size(grouped_params* p, const kapell_value* past) {
  p->coded = past->type != p->k.type;
  return p->coded ? kp_cache_row(past->type, p->k.width) : p->k.width;
}

// A coded cache is read as floats: it lies in the scratch once more.
static kp_status* plan_coded(const kp_op_plan* plan, grouped_params* p, size_t row, size_t* total) {
  kp_attend* a = &p->attend;
  const size_t scales = p->k.heads * p->k.width;
  for (uint32_t i = kKeyScale; i <= kValueScale; ++i) {
    const kapell_value* scale = kp_plan_input(plan, i);
    if (!scale || (kp_value_count(scale) != 1 && kp_value_count(scale) != scales))
      return KP_ERROR(INVALID_INPUT, "%s needs one number, or one for each of %zu channels",
                      i == kKeyScale ? "k_scale" : "v_scale", scales);
  }
  p->store = kp_heads_dense(p->past.type, a->k.batch, a->k.heads, a->k.length, row);
  a->k = kp_heads_dense(KAPELL_FLOAT, a->k.batch, a->k.heads, a->k.length, a->k.width);
  a->v = a->k;
  const size_t bytes = kp_heads_count(&p->store), fresh = kp_heads_count(&p->k);
  KP_PASS(kp_attend_room(total, bytes, 1, &p->keys));
  KP_PASS(kp_attend_room(total, bytes, 1, &p->values));
  KP_PASS(kp_attend_room(total, kp_heads_count(&a->k), sizeof(float), &p->wide_k));
  KP_PASS(kp_attend_room(total, kp_heads_count(&a->v), sizeof(float), &p->wide_v));
  return kp_attend_room(total, fresh, sizeof(float), &p->fresh);
}

// The cache: that of the outputs, which may be the past's memory.
static kp_status* read_cache(const kp_op_plan* plan, grouped_params* p, size_t* total) {
  const grouped_state* s = plan->state;
  kp_attend* a = &p->attend;
  const kapell_value *past_k = kp_plan_input(plan, kPastKey),
                     *past_v = kp_plan_input(plan, kPastValue);
  const bool keep_k = !s->sliding && plan->node->output_count > 1 && kp_present(plan->outputs[1]),
             keep_v = !s->sliding && plan->node->output_count > 2 && kp_present(plan->outputs[2]);
  int64_t room = kp_plan_input(plan, kTotal) && plan->inputs[kTotal]->data
                     ? kp_int_at(plan->inputs[kTotal], 0)
                     : (int64_t)p->k.length;
  if (past_k) room = kp_max_i64(room, past_k->dims[2]);
  if (keep_k) room = plan->outputs[1]->dims[2];
  if (s->sliding) {
    if (!past_k || past_k->dims[2] < s->window)
      return KP_ERROR(INVALID_INPUT, "sliding_window_cache needs a past of %lld positions or more",
                      (long long)s->window);
    p->capacity = (size_t)past_k->dims[2];
    if (!kp_add_i64(past_k->dims[2], (int64_t)p->k.length, &room))
      return KP_ERROR(LIMIT, "%zu new positions", p->k.length);
  }
  room = kp_max_i64(room, 0);
  a->k = kp_heads_dense(p->k.type, p->k.batch, p->k.heads, (size_t)room, p->k.width);
  a->v = kp_heads_dense(p->v.type, p->v.batch, p->v.heads, (size_t)room, p->v.width);
  if (past_k) p->past = kp_heads_4d(past_k->type, past_k->dims, false);
  const size_t row = past_k ? row_size(p, past_k) : p->k.width;
  if ((past_k == NULL) != (past_v == NULL) ||
      (past_k &&
       (past_k->dims[0] != (int64_t)p->k.batch || past_k->dims[1] != (int64_t)p->k.heads ||
        past_k->dims[3] != (int64_t)row || past_v->dims[2] != past_k->dims[2] ||
        kp_value_count(past_v) != kp_value_count(past_k))))
    return KP_ERROR(INVALID_INPUT, "past_key and past_value do not fit key and value");
  if (p->coded) return plan_coded(plan, p, row, total);
  const size_t each = kp_type_bits(p->k.type) / 8;
  KP_PASS(kp_attend_room(total, keep_k ? 0 : kp_heads_count(&a->k), each, &p->keys));
  return kp_attend_room(total, keep_v ? 0 : kp_heads_count(&a->v), each, &p->values);
}

static kp_status* read_tables(const kp_op_plan* plan, grouped_params* p) {
  const grouped_state* s = plan->state;
  const kapell_value *cos = kp_plan_input(plan, kCos), *sin = kp_plan_input(plan, kSin),
                     *ids = kp_plan_input(plan, kPositions),
                     *q_norm = kp_plan_input(plan, kQueryNorm),
                     *k_norm = kp_plan_input(plan, kKeyNorm), *sink = kp_plan_input(plan, kSink),
                     *counts = kp_plan_input(plan, kQueryLengths);
  p->moved = s->rotary || q_norm;
  if ((q_norm == NULL) != (k_norm == NULL) ||
      (q_norm && (kp_value_count(q_norm) != p->q.width || kp_value_count(k_norm) != p->q.width)))
    return KP_ERROR(INVALID_INPUT, "q_norm_weight and k_norm_weight need %zu numbers each",
                    p->q.width);
  if (sink && kp_value_count(sink) != p->q.heads)
    return KP_ERROR(INVALID_INPUT, "head_sink needs %zu numbers", p->q.heads);
  if (kp_value_count(plan->inputs[kLengths]) != p->q.batch ||
      (counts && kp_value_count(counts) != p->q.batch))
    return KP_ERROR(INVALID_INPUT, "seqlens_k and query_seqlens need a number for each of %zu",
                    p->q.batch);
  if (!s->rotary) return NULL;
  if (!cos || !sin || cos->rank != 2 || sin->rank != 2 || cos->dims[1] != sin->dims[1] ||
      cos->dims[0] != sin->dims[0] || (size_t)cos->dims[1] * 2 > p->q.width)
    return KP_ERROR(INVALID_INPUT, "do_rotary needs cos_cache and sin_cache of at most %zu angles",
                    p->q.width / 2);
  p->table = (size_t)cos->dims[0];
  p->angles = (size_t)cos->dims[1];
  if (ids && kp_value_count(ids) != p->q.batch * p->q.length)
    return KP_ERROR(INVALID_INPUT, "position_ids needs a number for each token");
  return NULL;
}

static void set_options(const kp_op_plan* plan, grouped_params* p) {
  const grouped_state* s = plan->state;
  kp_attend* a = &p->attend;
  a->scale = s->scale != 0 ? s->scale : 1.0f / sqrtf((float)p->q.width);
  a->softcap = s->softcap;
  a->left = s->window > 0 ? (ptrdiff_t)(s->window - 1) : -1;
  a->right = s->causal ? 0 : -1;
  a->zero_hidden = true;
  a->scores = KP_SCORES_NONE;
  if (s->qk_output && plan->node->output_count > 3 && kp_present(plan->outputs[3])) {
    a->scores = s->qk_output == 1 ? KP_SCORES_MASKED : KP_SCORES_WEIGHTS;
    a->scores_zero = true;
    a->scores_type = plan->outputs[3]->type;
    a->scores_keys = kp_min_size((size_t)plan->outputs[3]->dims[3], a->k.length);
  }
}

static kp_status* plan_scratch(const kp_op_plan* plan, grouped_params* p, size_t* total) {
  const size_t batch = p->q.batch, tokens = batch * p->q.length;
  KP_PASS(kp_attend_room(total, batch, sizeof(int64_t), &p->starts));
  KP_PASS(kp_attend_room(total, batch, sizeof(int64_t), &p->counts));
  KP_PASS(kp_attend_room(total, batch, sizeof(int64_t), &p->before));
  KP_PASS(kp_attend_room(total, tokens, sizeof(int64_t), &p->positions));
  KP_PASS(kp_attend_room(total, batch, sizeof(kp_attention_span), &p->spans));
  KP_PASS(kp_attend_room(total, p->q.heads, sizeof(float), &p->sinks));
  KP_PASS(kp_attend_room(total, 2 * p->q.width, sizeof(float), &p->norms));
  KP_PASS(kp_attend_room(total, p->moved ? kp_heads_count(&p->q) : 0, sizeof(float), &p->query));
  return kp_attend_room(total, p->q.width * (size_t)plan->width, sizeof(float), &p->spare);
}

// The bias of a sliding cache is brought to the places that its keys have there.
static kp_status* plan_bias(grouped_params* p, const kapell_value* bias, size_t* total) {
  const size_t keys = p->attend.k.length,
               full[4] = {p->q.batch, p->q.heads, p->q.length, p->capacity ? SIZE_MAX : keys};
  kp_attend_mask* mask = &p->attend.masks[0];
  if (bias->rank != 4)
    return KP_ERROR(INVALID_INPUT, "attention_bias has rank %d", (int)bias->rank);
  KP_PASS(kp_attend_mask_of(bias, full, mask));
  if (!p->capacity) return NULL;
  const size_t heads = mask->head ? p->q.heads : 1, rows = p->q.batch * heads * p->q.length;
  *mask = (kp_attend_mask){.type = KAPELL_FLOAT,
                           .batch = heads * p->q.length * keys,
                           .head = mask->head ? p->q.length * keys : 0,
                           .row = keys,
                           .keys = keys};
  if (!kp_mul_size(rows, keys, &mask->count)) return KP_ERROR(LIMIT, "%zu rows of a bias", rows);
  return kp_attend_room(total, mask->count, sizeof(float), &p->bias);
}

static kp_status* grouped_plan(kp_op_plan* plan) {
  const grouped_state* s = plan->state;
  grouped_params* p = kp_arena_new(plan->arena, grouped_params);
  size_t total = 0;
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  kp_attend* a = &p->attend;
  KP_PASS(read_heads(plan, p));
  KP_PASS(read_cache(plan, p, &total));
  KP_PASS(read_tables(plan, p));
  KP_PASS(plan_scratch(plan, p, &total));
  a->q = p->q;
  if (p->moved)
    a->q = kp_heads_dense(KAPELL_FLOAT, p->q.batch, p->q.heads, p->q.length, p->q.width);
  a->y = kp_heads_packed(plan->outputs[0]->type, plan->outputs[0]->dims, p->q.heads);
  set_options(plan, p);
  const kapell_value* bias = kp_plan_input(plan, kBias);
  if (bias) KP_PASS(plan_bias(p, bias, &total));
  KP_PASS(kp_attend_plan(a, s->ops, plan->width));
  KP_PASS(kp_attend_room(&total, a->scratch_bytes, 1, &p->engine));
  plan->scratch_bytes = total;
  return NULL;
}

// --- run ----------------------------------------------------------------------------------------------------------------------
static void* scratch_at(const kp_op_run* run, size_t offset) {
  return (char*)run->scratch + offset;
}

// Positions that a sliding cache holds once there were |total|: it fills up, is cut to the window, and fills up again.
static int64_t resident(const kp_op_run* run, int64_t total) {
  const grouped_params* p = run->params;
  const grouped_state* s = run->state;
  const int64_t capacity = (int64_t)p->capacity;
  if (!capacity || total <= capacity) return total;
  return s->window + (total - capacity - 1) % (capacity - s->window + 1);
}

// Where the new tokens of each batch entry begin, and how many keys it has then.
static kp_status* read_lengths(const kp_op_run* run) {
  const grouped_params* p = run->params;
  const int64_t length = (int64_t)p->q.length, room = (int64_t)p->attend.k.length;
  int64_t *starts = scratch_at(run, p->starts), *counts = scratch_at(run, p->counts),
          *before = scratch_at(run, p->before);
  kp_attention_span* spans = scratch_at(run, p->spans);
  const kapell_value* valid = kp_run_input(run, kQueryLengths);
  const bool first = !valid && kp_int_at(run->inputs[kTotal], 0) == length;
  for (size_t b = 0; b < p->q.batch; ++b) {
    const int64_t keys = kp_int_at(run->inputs[kLengths], b) + 1;
    counts[b] = valid ? kp_int_at(valid, b) : length;
    before[b] = first ? 0 : keys - counts[b];
    if (first && p->capacity)
      counts[b] = kp_min_i64(keys, length);  // what pads a prompt is not kept
    if (keys < 0 || (keys > room && !p->capacity) || counts[b] < 0 || counts[b] > length ||
        before[b] < 0)
      return KP_ERROR(RUN_FAILED, "%lld keys, %lld of them new, in a cache of %lld",
                      (long long)keys, (long long)counts[b], (long long)room);
    starts[b] = resident(run, before[b]);
    if (starts[b] > room - counts[b] || (starts[b] > 0 && starts[b] > (int64_t)p->past.length))
      return KP_ERROR(RUN_FAILED, "%lld keys behind %lld in a cache of %lld whose past has %zu",
                      (long long)counts[b], (long long)starts[b], (long long)room, p->past.length);
    const int64_t seen = p->capacity ? starts[b] + counts[b] : keys;
    spans[b] = (kp_attention_span){(size_t)seen, (ptrdiff_t)starts[b]};
  }
  return NULL;
}

static kp_status* read_positions(const kp_op_run* run) {
  const grouped_params* p = run->params;
  const int64_t *before = scratch_at(run, p->before), *counts = scratch_at(run, p->counts);
  int64_t* positions = scratch_at(run, p->positions);
  const kapell_value* ids = kp_run_input(run, kPositions);
  for (size_t i = 0; p->angles && i < p->q.batch * p->q.length; ++i) {
    const size_t b = i / p->q.length, s = i % p->q.length;
    if ((int64_t)s >= counts[b]) continue;
    positions[i] = ids ? kp_int_at(ids, i) : before[b] + (int64_t)s;
    if (positions[i] < 0 || positions[i] >= (int64_t)p->table)
      return KP_ERROR(RUN_FAILED, "position %lld; cos_cache has %zu", (long long)positions[i],
                      p->table);
  }
  return NULL;
}

static const float* read_floats(const kp_op_run* run, uint32_t input, size_t offset) {
  const kapell_value* value = kp_run_input(run, input);
  float* floats = scratch_at(run, offset);
  if (!value) return NULL;
  for (size_t i = 0; i < kp_value_count(value); ++i) floats[i] = (float)kp_double_at(value, i);
  return floats;
}

static const float* read_sinks(const kp_op_run* run) {
  const grouped_params* p = run->params;
  const grouped_state* s = run->state;
  float* zeros = scratch_at(run, p->sinks);
  if (kp_run_input(run, kSink)) return read_floats(run, kSink, p->sinks);
  if (!s->smooth) return NULL;
  memset(zeros, 0, p->q.heads * sizeof(float));
  return zeros;
}

// Head |first| of the packed query, or input |input|.
static const void* part_of(const kp_op_run* run, uint32_t input, size_t first) {
  const grouped_params* p = run->params;
  return p->packed ? kp_heads_at(&p->q, run->inputs[kQuery]->data, first)
                   : run->inputs[input]->data;
}

static kp_rows rows_of(const kp_op_run* run, const float* norm, float epsilon) {
  const grouped_params* p = run->params;
  const grouped_state* s = run->state;
  kp_rows rows = {.norm = norm, .epsilon = epsilon, .counts = scratch_at(run, p->counts)};
  rows.spare = scratch_at(run, p->spare);
  rows.positions = scratch_at(run, p->positions);
  if (!s->rotary) return rows;
  const kapell_value* cos = run->inputs[kCos];
  rows.rotary = (kp_rotary){cos->type, cos->data, run->inputs[kSin]->data,
                            p->angles, p->angles, s->interleaved};
  return rows;
}

// New keys (or values), worked on as |rows| says, behind the past.
static void place_plain(const kp_op_run* run, kp_rows* rows, const kapell_value* past,
                        const kp_heads* to, void* cache) {
  const grouped_params* p = run->params;
  const int64_t* starts = scratch_at(run, p->starts);
  kp_rows_begin(&p->past, past ? past->data : NULL, starts, to, cache, run->width);
  rows->to = *to;
  rows->target = cache;
  rows->starts = starts;
  kp_rows_run(rows, run->width);
}

// The same for a cache in few bits, which is then read as floats at |wide|.
static void place_coded(const kp_op_run* run, kp_rows* rows, const kapell_value* past,
                        const kapell_value* scale, void* cache, float* wide) {
  const grouped_params* p = run->params;
  const int64_t* starts = scratch_at(run, p->starts);
  const kp_cache_code code = {p->store.type, scale->data, kp_value_count(scale)};
  float* fresh = scratch_at(run, p->fresh);
  kp_rows_begin(&p->past, past->data, starts, &p->store, cache, run->width);
  rows->to = kp_heads_dense(KAPELL_FLOAT, p->k.batch, p->k.heads, p->k.length, p->k.width);
  rows->target = fresh;
  kp_rows_run(rows, run->width);
  kp_cache_encode(&code, &rows->to, fresh, starts, rows->counts, &p->store, cache);
  kp_cache_decode(&code, &p->store, cache, scratch_at(run, p->spans), &p->attend.k, wide,
                  run->width);
}

// New keys and values behind the past; where the attention is to read them.
static void place_cache(const kp_op_run* run, void** keys, void** values) {
  const grouped_params* p = run->params;
  const grouped_state* s = run->state;
  const kapell_value *past_k = kp_run_input(run, kPastKey), *past_v = kp_run_input(run, kPastValue);
  const float* k_norm = read_floats(run, kKeyNorm, p->norms + p->q.width * sizeof(float));
  kp_rows k = rows_of(run, k_norm, s->k_epsilon), v = {.counts = k.counts, .spare = k.spare};
  k.from = p->k;
  v.from = p->v;
  k.source = part_of(run, kKey, p->q.heads);
  v.source = part_of(run, kValue, p->q.heads + p->k.heads);
  if (!p->coded) {
    place_plain(run, &k, past_k, &p->attend.k, *keys);
    place_plain(run, &v, past_v, &p->attend.v, *values);
    return;
  }
  float *wide_k = scratch_at(run, p->wide_k), *wide_v = scratch_at(run, p->wide_v);
  place_coded(run, &k, past_k, run->inputs[kKeyScale], *keys, wide_k);
  place_coded(run, &v, past_v, run->inputs[kValueScale], *values, wide_v);
  *keys = wide_k;
  *values = wide_v;
}

// The query normalized and turned, or as it came.
static const void* place_query(const kp_op_run* run) {
  const grouped_params* p = run->params;
  const grouped_state* s = run->state;
  if (!p->moved) return run->inputs[kQuery]->data;
  kp_rows q = rows_of(run, read_floats(run, kQueryNorm, p->norms), s->q_epsilon);
  q.from = p->q;
  q.to = p->attend.q;
  q.source = run->inputs[kQuery]->data;
  q.target = scratch_at(run, p->query);
  if (kp_run_input(run,
                   kQueryLengths))  // what pads a sequence gives no matter what, but not chance
    memset(q.target, 0, kp_heads_count(&q.to) * sizeof(float));
  kp_rows_run(&q, run->width);
  return q.target;
}

// --- a sliding cache ------------------------------------------------------------------------------------------------------------
static const void* slide_bias(const kp_op_run* run, const kapell_value* bias) {
  const grouped_params* p = run->params;
  const kp_attend_mask* mask = &p->attend.masks[0];
  const int64_t *before = scratch_at(run, p->before), *starts = scratch_at(run, p->starts);
  const size_t heads = mask->head ? p->q.heads : 1, length = p->q.length,
               columns = (size_t)bias->dims[3];
  float* to = scratch_at(run, p->bias);
  for (size_t i = 0; i < mask->count; ++i) {
    const size_t row = i / mask->keys, s = row % length, h = row / length % heads,
                 b = row / length / heads;
    const int64_t column = before[b] - starts[b] + (int64_t)(i % mask->keys);
    const size_t from = (((bias->dims[0] == 1 ? 0 : b) * heads + h) * (size_t)bias->dims[2] +
                         (bias->dims[2] == 1 ? 0 : s)) *
                        columns;
    to[i] = column < (int64_t)columns ? (float)kp_double_at(bias, from + (size_t)column) : 0;
  }
  return to;
}

// The last positions of past and new ones together become the present.
static void slide(const kp_op_run* run, const char* joined, kapell_value* present) {
  const grouped_params* p = run->params;
  const int64_t *before = scratch_at(run, p->before), *counts = scratch_at(run, p->counts),
                *starts = scratch_at(run, p->starts);
  if (!present) return;
  const size_t bytes = (size_t)present->dims[3] * (kp_type_bits(present->type) / 8);
  const size_t heads = p->k.heads, room = p->attend.k.length, capacity = p->capacity;
  for (size_t i = 0; i < p->q.batch * heads; ++i) {
    const size_t b = i / heads;
    const size_t kept = (size_t)resident(run, before[b] + counts[b]),
                 first = (size_t)(starts[b] + counts[b]) - kept;
    char* to = (char*)present->data + i * capacity * bytes;
    memcpy(to, joined + (i * room + first) * bytes, kept * bytes);
    memset(to + kept * bytes, 0, (capacity - kept) * bytes);
  }
}

static kp_status* grouped_run(const kp_op_run* run) {
  const grouped_params* p = run->params;
  kapell_value *present_k = kp_run_result(run, 1), *present_v = kp_run_result(run, 2);
  const kapell_value *bias = kp_run_input(run, kBias), *scores = kp_run_result(run, 3);
  const bool own = p->capacity != 0;  // the cache that is read is no output
  void *keys = present_k && !own ? present_k->data : scratch_at(run, p->keys),
       *values = present_v && !own ? present_v->data : scratch_at(run, p->values);
  KP_PASS(read_lengths(run));
  KP_PASS(read_positions(run));
  const void* query = place_query(run);
  place_cache(run, &keys, &values);
  if (own) {
    slide(run, scratch_at(run, p->keys), present_k);
    slide(run, scratch_at(run, p->values), present_v);
  }
  const kp_attend_data data = {.q = query,
                               .k = keys,
                               .v = values,
                               .y = run->outputs[0]->data,
                               .masks = {!bias ? NULL
                                         : own ? slide_bias(run, bias)
                                               : bias->data},
                               .spans = scratch_at(run, p->spans),
                               .span = {.keys = p->attend.k.length},
                               .sinks = read_sinks(run),
                               .scores = scores ? scores->data : NULL};
  kp_attend_run(&p->attend, &data, run, scratch_at(run, p->engine));
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX Runtime, ContribOperators.md
    {.domain = "com.microsoft",
     .name = "GroupQueryAttention",
     .since = 1,
     .types = KP_M_REALS & ~KP_M(DOUBLE),
     .supports = grouped_supports,
     .prepare = grouped_prepare,
     .plan = grouped_plan,
     .run = grouped_run,
     .kernels = "f32, f16, bf16: attention",
     .aliases = {{1, kPastKey}, {2, kPastValue}}},
};
KP_OP_TABLE(attention_grouped);
