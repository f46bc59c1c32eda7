// Tokenizer of com.microsoft, which exporters of text pipelines write: cuts texts at separators (regular expressions, one after the other),
// or into the longest matches of an expression, or into characters. Each text is read twice: to count, then to write.
#include "base/unicode.h"
#include "provider/cpu/op/help.h"
#include "provider/cpu/op/text/regex.h"

#define MAX_SEPARATORS 200  // cut_by_separators calls itself once for each

typedef struct tokenizer {
  kp_regex** separators;
  size_t separator_count;
  kp_regex* token;  // NULL: separators, or characters where there are none of those
  int64_t shortest;
  bool mark;
} tokenizer;

static kp_reason tokenizer_supports(const kp_op_query* query) {
  const kp_attr* separators = kp_node_attr(query->node, "separators");
  const bool has_token = kp_node_attr_s(query->node, "tokenexp", "").length > 0;
  KP_REQUIRE(query, has_token != (separators && separators->count > 0),
             "one of tokenexp and separators has to be given");
  return KP_SUPPORTED;
}

static kp_status* compile_separators(kp_op_prepare* prepare, tokenizer* state) {
  const kp_attr* list = kp_node_attr(prepare->node, "separators");
  if (list->count == 1 && list->strings[0].length == 0) return NULL;  // characters
  if (list->count > MAX_SEPARATORS) return KP_ERROR(LIMIT, "%zu separators", list->count);
  state->separators = kp_arena_new_array(prepare->arena, kp_regex*, list->count);
  if (!state->separators) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  for (size_t i = 0; i < list->count; ++i) {
    if (list->strings[i].length == 0) return KP_ERROR(INVALID_MODEL, "separator %zu is empty", i);
    KP_PASS(kp_regex_compile(list->strings[i], prepare->arena, &state->separators[i]));
  }
  state->separator_count = list->count;
  return NULL;
}

static kp_status* tokenizer_prepare(kp_op_prepare* prepare) {
  tokenizer* state = kp_arena_new(prepare->arena, tokenizer);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  prepare->state = state;
  state->shortest = kp_node_attr_i(prepare->node, "mincharnum", 1);
  state->mark = kp_node_attr_i(prepare->node, "mark", 0) != 0;
  const kp_str token = kp_node_attr_s(prepare->node, "tokenexp", "");
  if (token.length) return kp_regex_compile(token, prepare->arena, &state->token);
  return compile_separators(prepare, state);
}

// Bytes of scratch for the largest of the expressions.
static size_t scratch_of(const tokenizer* state) {
  size_t bytes = state->token ? kp_regex_scratch(state->token) : 0;
  for (size_t i = 0; i < state->separator_count; ++i)
    bytes = kp_max_size(bytes, kp_regex_scratch(state->separators[i]));
  return bytes;
}

static kp_status* tokenizer_plan(kp_op_plan* plan) {
  plan->scratch_bytes = scratch_of(plan->state);
  return NULL;
}

// --- one text ----------------------------------------------------------------------------------------------------------------
typedef struct cut {
  const kp_op_run* run;
  const tokenizer* state;
  kapell_value* y;  // NULL: tokens are counted alone
  size_t at;        // element of |y| for the next token
  size_t count;
} cut;

static kp_status* give_token(cut* c, kp_str token) {
  int64_t characters = 0;
  for (size_t i = 0; i < token.length && characters < c->state->shortest; ++characters) {
    uint32_t code;
    i += kp_utf8_decode(token.data + i, token.length - i, &code);
  }
  if (characters < c->state->shortest || token.length == 0) return NULL;
  ++c->count;
  return c->y ? kp_value_set_string(c->y, c->at++, token) : NULL;
}

static size_t next_char(kp_str text, size_t at) {
  uint32_t code;
  return at + kp_utf8_decode(text.data + at, text.length - at, &code);
}

// The first match that is not empty from |at| on: [*begin, *end); false: there is none.
static bool find_match(const cut* c, const kp_regex* regex, kp_str text, size_t at, size_t* begin,
                       size_t* end) {
  for (; at < text.length && !kp_cancelled(c->run); at = next_char(text, at)) {
    *begin = at;
    *end = kp_regex_longest_match(regex, text, at, c->run->scratch, c->run->cancel);
    if (*end != KP_REGEX_NO_MATCH && *end > at) return true;
  }
  return false;
}

static kp_status* cut_by_token(cut* c, kp_str text) {
  size_t begin, end;
  kp_regex_scratch_init(c->state->token, c->run->scratch);
  for (size_t at = 0; find_match(c, c->state->token, text, at, &begin, &end); at = end)
    KP_PASS(give_token(c, (kp_str){text.data + begin, end - begin}));
  return NULL;
}

// By the separators from |index| on: what lies between matches of one is cut by the next. As deep as there are separators.
static kp_status* cut_by_separators(cut* c, kp_str text, size_t index) {
  if (index == c->state->separator_count) return give_token(c, text);
  const kp_regex* regex = c->state->separators[index];
  size_t at = 0, begin = 0, end = 0;
  for (bool more = true; more;) {
    kp_regex_scratch_init(regex, c->run->scratch);
    more = find_match(c, regex, text, at, &begin, &end);
    if (!more) begin = text.length;
    if (begin > at) KP_PASS(cut_by_separators(c, (kp_str){text.data + at, begin - at}, index + 1));
    at = end;
  }
  return NULL;
}

static kp_status* cut_text(cut* c, kp_str text) {
  if (c->state->token) return cut_by_token(c, text);
  if (c->state->separator_count) return cut_by_separators(c, text, 0);
  for (size_t at = 0, end; at < text.length; at = end) {
    end = next_char(text, at);
    KP_PASS(give_token(c, (kp_str){text.data + at, end - at}));
  }
  return NULL;
}

// --- all texts ---------------------------------------------------------------------------------------------------------------
// A row of |width| elements: a mark, the tokens, a mark, padding.
static kp_status* write_row(cut* c, kp_str text, size_t row, size_t width) {
  const kp_str pad = kp_node_attr_s(c->run->node, "pad_value", "");
  c->at = row * width;
  if (c->state->mark) KP_PASS(kp_value_set_string(c->y, c->at++, (kp_str){"\x02", 1}));
  KP_PASS(cut_text(c, text));
  if (c->state->mark) KP_PASS(kp_value_set_string(c->y, c->at++, (kp_str){"\x03", 1}));
  while (c->at < (row + 1) * width) KP_PASS(kp_value_set_string(c->y, c->at++, pad));
  return NULL;
}

static kp_status* tokenizer_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const size_t count = kp_value_count(x);
  cut c = {.run = run, .state = run->state};
  int64_t dims[3] = {0}, longest = 0;
  for (int32_t d = 0; d < x->rank; ++d) dims[d] = x->dims[d];
  for (size_t i = 0; i < count; ++i, c.count = 0) {
    KP_PASS(cut_text(&c, kp_value_string(x, i)));
    longest = kp_max_i64(longest, (int64_t)c.count);
  }
  dims[x->rank] = longest && c.state->mark ? longest + 2 : longest;
  if (!count) dims[x->rank - 1] = 0;
  KP_PASS(kp_op_output(run, 0, KAPELL_STRING, dims, count ? x->rank + 1 : x->rank, &c.y));
  for (size_t i = 0; longest && i < count && !kp_cancelled(run); ++i)
    KP_PASS(write_row(&c, kp_value_string(x, i), i, (size_t)dims[x->rank]));
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: com.microsoft operator Tokenizer-1
    {.domain = "com.microsoft",
     .name = "Tokenizer",
     .since = 1,
     .types = KP_M(STRING),
     .supports = tokenizer_supports,
     .prepare = tokenizer_prepare,
     .plan = tokenizer_plan,
     .run = tokenizer_run},
};
KP_OP_TABLE(tokenizer);
