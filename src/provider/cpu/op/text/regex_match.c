// Runs the program of a regular expression; see regex.h.
//
// All states that a prefix of the text can lead to are kept as a list, with a mark for each step so that none is in it twice. A character
// of n bytes leads from the list at its first byte to the one n bytes further, so five lists in turn are enough, and \C, which takes a
// byte out of a character, needs nothing of its own.
#include "base/unicode.h"
#include "provider/cpu/op/text/regex_program.h"

#define LISTS 5

typedef struct run_state {
  const kp_regex* regex;
  kp_str text;
  uint32_t* lists;  // LISTS of |step_count| steps
  uint32_t* marks;  // the same: the age of the list at which a step was put on it
  uint32_t* ages;   // LISTS; a list that is emptied grows older
  uint32_t counts[LISTS];
} run_state;

// Scratch: ages, then lists, then marks.
size_t kp_regex_scratch(const kp_regex* regex) {
  return LISTS * (1 + 2 * regex->step_count) * sizeof(uint32_t);
}

void kp_regex_scratch_init(const kp_regex* regex, void* scratch) {
  memset(scratch, 0, kp_regex_scratch(regex));
}

static void empty_list(run_state* state, size_t list) {
  state->counts[list] = 0;
  if (++state->ages[list] != 0) return;
  memset(state->marks + list * state->regex->step_count, 0,
         state->regex->step_count * sizeof *state->marks);
  state->ages[list] = 1;
}

static inline void add(run_state* state, size_t position, uint32_t step) {
  const size_t list = position % LISTS;
  uint32_t* mark = &state->marks[list * state->regex->step_count + step];
  if (*mark == state->ages[list]) return;
  *mark = state->ages[list];
  state->lists[list * state->regex->step_count + state->counts[list]++] = step;
}

static bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(kp_regex_op op, kp_str text, size_t position) {
  const bool first = position == 0, last = position == text.length;
  switch (op) {
    case KP_REGEX_BEGIN_TEXT:
      return first;
    case KP_REGEX_END_TEXT:
      return last;
    case KP_REGEX_BEGIN_LINE:
      return first || text.data[position - 1] == '\n';
    case KP_REGEX_END_LINE:
      return last || text.data[position] == '\n';
    default: {
      const bool before = !first && is_word(text.data[position - 1]);
      const bool behind = !last && is_word(text.data[position]);
      return (before != behind) == (op == KP_REGEX_WORD);
    }
  }
}

static bool class_has(const kp_regex* regex, const kp_regex_class* set, uint32_t code) {
  if (code < 128) return set->ascii[code >> 6] >> (code & 63) & 1;
  const kp_regex_range* ranges = regex->ranges + set->first;
  size_t low = 0, high = set->count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (ranges[middle].last < code)
      low = middle + 1;
    else
      high = middle;
  }
  return low < set->count && ranges[low].first <= code;
}

// Follows every state at |position|; the list grows meanwhile. True if one of them accepts.
static bool step_all(run_state* state, size_t position) {
  const size_t list = position % LISTS, left = state->text.length - position;
  const uint32_t* steps = state->lists + list * state->regex->step_count;
  uint32_t code = KP_UNICODE_NONE;
  bool accepts = false;
  const size_t bytes = left ? kp_utf8_decode(state->text.data + position, left, &code) : 0;
  for (uint32_t i = 0; i < state->counts[list]; ++i) {
    const uint32_t at = steps[i];
    const kp_regex_step step = state->regex->steps[at];
    switch (step.op) {
      case KP_REGEX_CHAR:
        if (code == (uint32_t)step.arg) add(state, position + bytes, at + 1);
        break;
      case KP_REGEX_CLASS:
        if (code != KP_UNICODE_NONE &&
            class_has(state->regex, &state->regex->classes[step.arg], code))
          add(state, position + bytes, at + 1);
        break;
      case KP_REGEX_BYTE:
        if (left) add(state, position + 1, at + 1);
        break;
      case KP_REGEX_SPLIT:
        add(state, position, at + 1);
        add(state, position, (uint32_t)((int32_t)at + step.arg));
        break;
      case KP_REGEX_JUMP:
        add(state, position, (uint32_t)((int32_t)at + step.arg));
        break;
      case KP_REGEX_MATCH:
        accepts = true;
        break;
      default:
        if (holds(step.op, state->text, position)) add(state, position, at + 1);
    }
  }
  empty_list(state, list);
  return accepts;
}

static bool any_state(const run_state* state) {
  uint32_t sum = 0;
  for (size_t i = 0; i < LISTS; ++i) sum += state->counts[i];
  return sum != 0;
}

size_t kp_regex_longest_match(const kp_regex* regex, kp_str text, size_t from, void* scratch,
                              const volatile int* cancel) {
  run_state state = {.regex = regex, .text = text, .ages = scratch};
  state.lists = state.ages + LISTS;
  state.marks = state.lists + LISTS * regex->step_count;
  for (size_t list = 0; list < LISTS; ++list) empty_list(&state, list);
  add(&state, from, 0);
  size_t end = KP_REGEX_NO_MATCH;
  for (size_t position = from; position <= text.length; ++position) {
    if (state.counts[position % LISTS] && step_all(&state, position)) end = position;
    if (!any_state(&state)) break;
    if (position % 4096 == 0 && kp_is_cancelled(cancel)) return KP_REGEX_NO_MATCH;
  }
  return end;
}

bool kp_regex_full_match(const kp_regex* regex, kp_str text, void* scratch,
                         const volatile int* cancel) {
  return kp_regex_longest_match(regex, text, 0, scratch, cancel) == text.length;
}
