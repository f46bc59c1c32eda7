// Operators on strings: StringConcat, StringSplit, StringNormalizer, RegexFullMatch. Texts may hold any byte, NUL included; where characters
// matter they are UTF-8, and a byte that is none stays as it is.
#include "base/unicode.h"
#include "provider/cpu/op/copy.h"
#include "provider/cpu/op/text/regex.h"

// --- StringConcat ------------------------------------------------------------------------------------------------------------
// Strides of |input| against the dims of |output|, 0 where it is repeated.
static void broadcast(const kapell_value* input, const kapell_value* output, int64_t* strides) {
  int64_t stride = 1;
  for (int32_t d = output->rank; d-- > 0;) {
    const int32_t own = d - (output->rank - input->rank);
    const int64_t dim = own >= 0 ? input->dims[own] : 1;
    strides[d] = dim == 1 ? 0 : stride;
    stride *= dim;
  }
}

static kp_status* join(kapell_value* to, size_t at, kp_str a, kp_str b) {
  size_t length;
  if (!kp_add_size(a.length, b.length, &length))
    return KP_ERROR(LIMIT, "strings of %zu and %zu bytes", a.length, b.length);
  char* bytes;
  KP_PASS(kp_value_string_room(to, at, length, &bytes));
  if (a.length) memcpy(bytes, a.data, a.length);
  if (b.length) memcpy(bytes + a.length, b.data, b.length);
  return NULL;
}

static kp_status* concat_run(const kp_op_run* run) {
  const kapell_value *a = run->inputs[0], *b = run->inputs[1];
  kapell_value* y = run->outputs[0];
  int64_t a_strides[KP_MAX_RANK], b_strides[KP_MAX_RANK];
  broadcast(a, y, a_strides);
  broadcast(b, y, b_strides);
  const size_t count = kp_value_count(y);
  for (size_t i = 0; i < count; ++i) {
    size_t rest = i, from_a = 0, from_b = 0;
    for (int32_t d = y->rank; d-- > 0; rest /= (size_t)y->dims[d]) {
      const size_t at = rest % (size_t)y->dims[d];
      from_a += at * (size_t)a_strides[d];
      from_b += at * (size_t)b_strides[d];
    }
    KP_PASS(join(y, i, kp_value_string(a, from_a), kp_value_string(b, from_b)));
  }
  return NULL;
}

// --- StringSplit -------------------------------------------------------------------------------------------------------------
// Where a text is cut, as Python's str.split does it.
typedef struct cutter {
  kp_str delimiter;  // empty: at white space
  int64_t most;      // cuts; negative: any number
} cutter;

static size_t skip_space(kp_str text, size_t at, bool space) {
  while (at < text.length) {
    uint32_t code;
    const size_t bytes = kp_utf8_decode(text.data + at, text.length - at, &code);
    if (kp_unicode_space(code) != space) break;
    at += bytes;
  }
  return at;
}

static size_t find(kp_str text, size_t at, kp_str what) {
  for (; what.length <= text.length - at; ++at) {
    const char* found = memchr(text.data + at, what.data[0], text.length - at - what.length + 1);
    if (!found) break;
    at = (size_t)(found - text.data);
    if (memcmp(found, what.data, what.length) == 0) return at;
  }
  return text.length;
}

// The part that begins at *at, *made cuts having been made; moves *at behind it. False: there is none.
static bool next_part(const cutter* c, kp_str text, size_t* at, int64_t* made, kp_str* out_part) {
  const bool whole = c->most >= 0 && *made >= c->most;
  const bool space = c->delimiter.length == 0;
  if (space) *at = skip_space(text, *at, true);
  if (space ? *at >= text.length : *at > text.length) return false;
  size_t end = text.length;
  if (!whole) end = space ? skip_space(text, *at, false) : find(text, *at, c->delimiter);
  *out_part = (kp_str){text.data + *at, end - *at};
  ++*made;
  // Past the text's end where nothing follows.
  *at = end + (space ? 0 : end < text.length ? c->delimiter.length : 1);
  return true;
}

static int64_t count_parts(const cutter* c, kp_str text) {
  size_t at = 0;
  int64_t made = 0;
  kp_str part;
  while (next_part(c, text, &at, &made, &part)) continue;
  return made;
}

static kp_status* split_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const cutter c = {kp_node_attr_s(run->node, "delimiter", ""),
                    kp_node_attr_i(run->node, "maxsplit", -1)};
  const size_t count = kp_value_count(x);
  int64_t dims[KP_MAX_RANK + 1], longest = 0;
  if (x->rank == KP_MAX_RANK) return KP_ERROR(LIMIT, "a tensor of rank %d", (int)x->rank + 1);
  for (size_t i = 0; i < count; ++i)
    longest = kp_max_i64(longest, count_parts(&c, kp_value_string(x, i)));
  for (int32_t d = 0; d < x->rank; ++d) dims[d] = x->dims[d];
  dims[x->rank] = longest;
  kapell_value *y = NULL, *z = NULL;
  if (kp_op_wants(run, 0)) KP_PASS(kp_op_output(run, 0, KAPELL_STRING, dims, x->rank + 1, &y));
  if (kp_op_wants(run, 1)) KP_PASS(kp_op_output(run, 1, KAPELL_INT64, x->dims, x->rank, &z));
  for (size_t i = 0; i < count; ++i) {
    const kp_str text = kp_value_string(x, i);
    size_t at = 0;
    int64_t made = 0;
    kp_str part;
    for (size_t to = i * (size_t)longest; next_part(&c, text, &at, &made, &part); ++to)
      if (y) KP_PASS(kp_value_set_string(y, to, part));
    if (z) ((int64_t*)z->data)[i] = made;
    for (int64_t k = made; y && k < longest; ++k)
      KP_PASS(kp_value_set_string(y, i * (size_t)longest + (size_t)k, (kp_str){"", 0}));
  }
  return NULL;
}

// --- StringNormalizer --------------------------------------------------------------------------------------------------------
typedef uint32_t (*case_fn)(uint32_t code);

// |text| with |change| applied to each character (NULL: as it is), as element |at| of |to|.
static kp_status* put_changed(kp_str text, case_fn change, kapell_value* to, size_t at) {
  if (!change) return kp_value_set_string(to, at, text);
  char *bytes = NULL, utf8[4];
  size_t length = 0;
  for (int writing = 0; writing < 2; ++writing) {  // the length first
    if (writing) KP_PASS(kp_value_string_room(to, at, length, &bytes));
    length = 0;
    for (size_t i = 0; i < text.length;) {
      uint32_t code;
      const size_t taken = kp_utf8_decode(text.data + i, text.length - i, &code);
      size_t given = 1;
      utf8[0] = text.data[i];
      if (code != KP_UNICODE_NONE) given = kp_utf8_encode(change(code), utf8);
      if (writing) memcpy(bytes + length, utf8, given);
      length += given;
      i += taken;
    }
  }
  return NULL;
}

// True if the texts are equal when case does not count.
static bool equal_in_lower(kp_str a, kp_str b) {
  size_t i = 0, k = 0;
  while (i < a.length && k < b.length) {
    uint32_t x, y;
    const char byte_a = a.data[i], byte_b = b.data[k];
    i += kp_utf8_decode(a.data + i, a.length - i, &x);
    k += kp_utf8_decode(b.data + k, b.length - k, &y);
    if (x == KP_UNICODE_NONE || y == KP_UNICODE_NONE ? x != y || byte_a != byte_b
                                                     : kp_unicode_lower(x) != kp_unicode_lower(y))
      return false;
  }
  return i == a.length && k == b.length;
}

static bool is_stop_word(const kp_attr* words, bool sensitive, kp_str text) {
  for (size_t i = 0; words && i < words->count; ++i)
    if (sensitive ? kp_str_equal(words->strings[i], text) : equal_in_lower(words->strings[i], text))
      return true;
  return false;
}

static const struct {
  const char* name;
  case_fn change;
} case_actions[] = {{"NONE", NULL}, {"LOWER", kp_unicode_lower}, {"UPPER", kp_unicode_upper}};

static kp_status* case_action_of(const kp_node* node, case_fn* out_change) {
  const kp_str action = kp_node_attr_s(node, "case_change_action", "NONE");
  for (size_t i = 0; i < KP_COUNT_OF(case_actions); ++i) {
    *out_change = case_actions[i].change;
    if (kp_str_is(action, case_actions[i].name)) return NULL;
  }
  return KP_ERROR(INVALID_MODEL, "case_change_action=%.*s is none of NONE, LOWER, UPPER",
                  KP_STR_ARG(action));
}

static kp_status* normalizer_prepare(kp_op_prepare* prepare) {
  case_fn change;
  return case_action_of(prepare->node, &change);
}

static kp_status* normalizer_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  const kp_attr* words = kp_node_attr(run->node, "stopwords");
  const bool sensitive = kp_node_attr_i(run->node, "is_case_sensitive", 0) != 0;
  case_fn change;
  KP_PASS(case_action_of(run->node, &change));
  const size_t count = kp_value_count(x);
  int64_t kept = 0;
  for (size_t i = 0; i < count; ++i) kept += !is_stop_word(words, sensitive, kp_value_string(x, i));
  int64_t dims[2] = {1, 1};
  dims[x->rank - 1] = kp_max_i64(kept, 1);
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, KAPELL_STRING, dims, x->rank, &y));
  if (!kept) return kp_value_set_string(y, 0, (kp_str){"", 0});
  for (size_t i = 0, at = 0; i < count; ++i) {
    const kp_str text = kp_value_string(x, i);
    if (!is_stop_word(words, sensitive, text)) KP_PASS(put_changed(text, change, y, at++));
  }
  return NULL;
}

// --- RegexFullMatch ----------------------------------------------------------------------------------------------------------
static kp_reason regex_supports(const kp_op_query* query) {
  KP_REQUIRE(query, kp_node_attr(query->node, "pattern"), "attribute 'pattern' is missing");
  return KP_SUPPORTED;
}

static kp_status* regex_prepare(kp_op_prepare* prepare) {
  kp_regex* regex;
  KP_PASS(kp_regex_compile(kp_node_attr_s(prepare->node, "pattern", ""), prepare->arena, &regex));
  prepare->state = regex;
  return NULL;
}

static kp_status* regex_plan(kp_op_plan* plan) {
  plan->scratch_bytes = kp_regex_scratch(plan->state) * (size_t)plan->width;
  return NULL;
}

typedef struct regex_job {
  const kp_op_run* run;
  size_t count, tasks;
} regex_job;

static void regex_task(void* arg, size_t task, int worker) {
  const regex_job* job = arg;
  const kp_op_run* run = job->run;
  const kp_regex* regex = run->state;
  char* scratch = (char*)run->scratch + kp_regex_scratch(regex) * (size_t)worker;
  uint8_t* y = run->outputs[0]->data;
  size_t first, last;
  kp_share(job->count, job->tasks, task, &first, &last);
  kp_regex_scratch_init(regex, scratch);
  for (size_t i = first; i < last && !kp_cancelled(run); ++i)
    y[i] = kp_regex_full_match(regex, kp_value_string(run->inputs[0], i), scratch, run->cancel);
}

static kp_status* regex_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  regex_job job = {.run = run, .count = kp_value_count(x)};
  size_t bytes = 0;
  for (size_t i = 0; i < job.count; ++i) bytes += kp_value_string(x, i).length;
  const int threads = kp_op_width(run->width, bytes * 30);
  job.tasks = kp_min_size(job.count, (size_t)threads);
  kp_parallel_for(threads, job.tasks, regex_task, &job);
  return NULL;
}

static const kp_op_def ops[] = {
    // spec: ONNX operators StringConcat-20, StringSplit-20, StringNormalizer-10, RegexFullMatch-20
    {.name = "StringConcat", .since = 20, .types = KP_M(STRING), .run = concat_run},
    {.name = "StringSplit", .since = 20, .types = KP_M(STRING), .run = split_run},
    {.name = "StringNormalizer",
     .since = 10,
     .types = KP_M(STRING),
     .prepare = normalizer_prepare,
     .run = normalizer_run},
    {.name = "RegexFullMatch",
     .since = 20,
     .types = KP_M(STRING),
     .supports = regex_supports,
     .prepare = regex_prepare,
     .plan = regex_plan,
     .run = regex_run},
};
KP_OP_TABLE(string);
