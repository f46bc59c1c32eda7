// Compiles regular expressions; see regex.h. Neighbours: regex_class.c, regex_match.c.
//
// One pass over the pattern writes the program. Distances in it are relative, so what a repetition or an alternative stands before is moved
// by a step, and a counted repetition copies its piece. No recursion: open groups are a list.
#include "provider/cpu/op/text/regex.h"

#include "base/alloc.h"
#include "base/size.h"
#include "base/unicode.h"
#include "provider/cpu/op/text/regex_program.h"

#define MAX_COUNT 1000
#define MAX_DEPTH 1000
#define NO_JUMP (-1)

enum { IGNORE_CASE = 1, MULTI_LINE = 2, DOT_ALL = 4, UNGREEDY = 8 };

typedef struct group {
  size_t start;     // first step of the whole group
  size_t branch;    // first step of the alternative that is being read
  int32_t jumps;    // last of the jumps to the end, each naming the one before in |arg|
  uint32_t flags;   // to go back to behind the group
  uint32_t weight;  // the largest weight of its atoms
  size_t opened_at;
} group;

typedef struct parser {
  kp_str pattern;
  size_t at;
  uint32_t flags;
  kp_regex_step* steps;
  size_t step_count, step_capacity;
  kp_regex_class* classes;
  size_t class_count, class_capacity;
  kp_regex_set ranges;          // of all classes, one after the other
  group groups[MAX_DEPTH + 1];  // [0] is the whole pattern
  size_t depth;
  bool has_atom;    // the last thing read can be repeated
  bool repeated;    // it is a repetition
  size_t atom;      // its first step
  uint32_t weight;  // product of the counts within it
  kp_regex_folds folds;
} parser;

static kp_status* wrong(const parser* p, size_t at, const char* what) {
  return KP_ERROR(INVALID_MODEL, "regular expression \"%.*s\": %s at byte %zu",
                  KP_STR_ARG(p->pattern), what, at);
}

// --- steps -------------------------------------------------------------------------------------------------------------------
static kp_status* reserve(parser* p, size_t more) {
  const size_t wanted = p->step_count + more;
  if (wanted > KP_REGEX_MAX_STEPS)
    return KP_ERROR(LIMIT, "regular expression \"%.*s\" needs more than %d steps",
                    KP_STR_ARG(p->pattern), KP_REGEX_MAX_STEPS);
  if (wanted <= p->step_capacity) return NULL;
  const size_t capacity = kp_max_size(wanted, p->step_capacity * 2 + 64);
  kp_regex_step* steps = kp_realloc_array(p->steps, capacity, sizeof *steps);
  if (!steps) return KP_ERROR(OUT_OF_MEMORY, "a regular expression");
  p->steps = steps;
  p->step_capacity = capacity;
  return NULL;
}

static kp_status* append(parser* p, kp_regex_op op, int32_t arg) {
  KP_PASS(reserve(p, 1));
  p->steps[p->step_count++] = (kp_regex_step){op, arg};
  return NULL;
}

// Puts a step in front of those from |at| on.
static kp_status* insert(parser* p, size_t at, kp_regex_op op, int32_t arg) {
  KP_PASS(reserve(p, 1));
  memmove(p->steps + at + 1, p->steps + at, (p->step_count - at) * sizeof *p->steps);
  p->steps[at] = (kp_regex_step){op, arg};
  ++p->step_count;
  return NULL;
}

static int32_t distance(size_t from, size_t to) { return (int32_t)to - (int32_t)from; }

static void set_atom(parser* p, size_t first, uint32_t weight) {
  p->has_atom = true;
  p->repeated = false;
  p->atom = first;
  p->weight = weight;
  group* open = &p->groups[p->depth];
  if (weight > open->weight) open->weight = weight;
}

static kp_status* add_atom(parser* p, kp_regex_op op, int32_t arg) {
  KP_PASS(append(p, op, arg));
  set_atom(p, p->step_count - 1, 1);
  return NULL;
}

// --- classes -----------------------------------------------------------------------------------------------------------------
static void set_bits(kp_regex_class* set, kp_regex_range range) {
  for (uint32_t c = range.first; c <= range.last && c < 128; ++c)
    set->ascii[c >> 6] |= UINT64_C(1) << (c & 63);
}

// An atom of the sorted |set|.
static kp_status* add_class(parser* p, const kp_regex_set* set) {
  if (p->class_count == p->class_capacity) {
    const size_t capacity = p->class_capacity * 2 + 8;
    kp_regex_class* classes = kp_realloc_array(p->classes, capacity, sizeof *classes);
    if (!classes) return KP_ERROR(OUT_OF_MEMORY, "a regular expression");
    p->classes = classes;
    p->class_capacity = capacity;
  }
  kp_regex_class made = {.first = (uint32_t)p->ranges.count, .count = (uint32_t)set->count};
  for (size_t i = 0; i < set->count; ++i) {
    kp_regex_set_add(&p->ranges, set->ranges[i].first, set->ranges[i].last);
    set_bits(&made, set->ranges[i]);
  }
  if (set->failed || p->ranges.failed) return KP_ERROR(OUT_OF_MEMORY, "a regular expression");
  if (p->ranges.count > UINT32_MAX / 2)
    return KP_ERROR(LIMIT, "a regular expression with %zu ranges", p->ranges.count);
  p->classes[p->class_count] = made;
  return add_atom(p, KP_REGEX_CLASS, (int32_t)p->class_count++);
}

static kp_status* add_literal(parser* p, uint32_t code) {
  if (!(p->flags & IGNORE_CASE)) return add_atom(p, KP_REGEX_CHAR, (int32_t)code);
  kp_regex_set set = {0};
  kp_regex_set_add(&set, code, code);
  kp_regex_set_fold(&set, &p->folds);
  kp_status* status = add_class(p, &set);
  kp_free(set.ranges);
  return status;
}

static kp_status* add_any(parser* p) {
  kp_regex_set set = {0};
  if (!(p->flags & DOT_ALL)) kp_regex_set_add(&set, '\n', '\n');
  kp_regex_set_negate(&set);
  kp_status* status = add_class(p, &set);
  kp_free(set.ranges);
  return status;
}

// --- reading -----------------------------------------------------------------------------------------------------------------
static bool more(const parser* p) { return p->at < p->pattern.length; }

static bool next_is(const parser* p, const char* text) {
  const size_t length = strlen(text);
  return p->pattern.length - p->at >= length && memcmp(p->pattern.data + p->at, text, length) == 0;
}

static bool take(parser* p, const char* text) {
  if (!next_is(p, text)) return false;
  p->at += strlen(text);
  return true;
}

static kp_status* read_char(parser* p, uint32_t* out_code) {
  const size_t start = p->at;
  p->at += kp_utf8_decode(p->pattern.data + p->at, p->pattern.length - p->at, out_code);
  return *out_code == KP_UNICODE_NONE ? wrong(p, start, "no UTF-8") : NULL;
}

static int digit_of(char c, int base) {
  const int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : 99;
  return digit < base ? digit : -1;
}

// Up to |most| digits; the number stops growing past the last character. Returns how many there were.
static size_t read_digits(parser* p, int base, size_t most, uint32_t* out_number) {
  size_t count = 0;
  *out_number = 0;
  for (int digit; count < most && more(p) && (digit = digit_of(p->pattern.data[p->at], base)) >= 0;
       ++count, ++p->at)
    if (*out_number <= KP_UNICODE_LAST)
      *out_number = *out_number * (uint32_t)base + (uint32_t)digit;
  return count;
}

// Behind \x.
static kp_status* read_hex(parser* p, size_t start, uint32_t* out_code) {
  if (!take(p, "{"))
    return read_digits(p, 16, 2, out_code) == 2 ? NULL : wrong(p, start, "\\x without two digits");
  const size_t count = read_digits(p, 16, SIZE_MAX, out_code);
  if (count == 0 || !take(p, "}") || *out_code > KP_UNICODE_LAST)
    return wrong(p, start, "\\x{...} is no character");
  return NULL;
}

// The character that an escape stands for; |at| is behind the backslash.
static kp_status* read_escape(parser* p, uint32_t* out_code) {
  static const char controls[] = "a\af\fn\nr\rt\tv\v";
  const size_t start = p->at - 1;
  if (!more(p)) return wrong(p, start, "a backslash at the end");
  const char c = p->pattern.data[p->at];
  if (c >= '0' && c <= '7') {
    const size_t count = read_digits(p, 8, 3, out_code);
    return c != '0' && count == 1
               ? wrong(p, start, "a reference to a group, which RE2's syntax does not have,")
               : NULL;
  }
  ++p->at;
  if (c == 'x') return read_hex(p, start, out_code);
  for (size_t i = 0; i + 1 < sizeof controls; i += 2) {
    *out_code = (unsigned char)controls[i + 1];
    if (c == controls[i]) return NULL;
  }
  *out_code = (unsigned char)c;
  const bool plain = (unsigned char)c < 128 && digit_of(c, 10) < 0 && c != '_' &&
                     !((c | 32) >= 'a' && (c | 32) <= 'z');
  return plain ? NULL : wrong(p, start, "an unknown escape");
}

// Adds |part| to |to|, or all that is not in it; in either case folded.
static void merge(parser* p, kp_regex_set* part, bool negated, kp_regex_set* to) {
  if (p->flags & IGNORE_CASE)
    kp_regex_set_fold(part, &p->folds);
  else
    kp_regex_set_sort(part);
  if (negated) kp_regex_set_negate(part);
  for (size_t i = 0; i < part->count; ++i)
    kp_regex_set_add(to, part->ranges[i].first, part->ranges[i].last);
  to->failed = to->failed || part->failed;
  kp_free(part->ranges);
}

// Behind \p or \P.
static kp_status* read_property(parser* p, bool negated, kp_regex_set* to) {
  const size_t start = p->at - 2;
  kp_str name = {p->pattern.data + p->at, 1};
  if (take(p, "{")) {
    if (take(p, "^")) negated = !negated;
    const size_t first = p->at;
    while (more(p) && p->pattern.data[p->at] != '}') ++p->at;
    name = (kp_str){p->pattern.data + first, p->at - first};
    if (!take(p, "}")) return wrong(p, start, "\\p{ without }");
  } else if (more(p)) {
    ++p->at;
  } else {
    return wrong(p, start, "\\p without a name");
  }
  kp_regex_set part = {0};
  const bool known = name.length > 0 && kp_regex_set_add_unicode(&part, name);
  merge(p, &part, negated, to);
  return known ? NULL : wrong(p, start, "an unknown category or script");
}

// A class that stands for itself, \d and so on: true if there is one, which is added to |to|.
static kp_status* read_named(parser* p, kp_regex_set* to, bool* out_found) {
  *out_found = false;
  if (p->pattern.length - p->at < 2 || p->pattern.data[p->at] != '\\') return NULL;
  const char c = p->pattern.data[p->at + 1], small = (char)(c | 32);
  if (small != 'd' && small != 's' && small != 'w' && small != 'p') return NULL;
  *out_found = true;
  p->at += 2;
  if (small == 'p') return read_property(p, c == 'P', to);
  kp_regex_set part = {0};
  kp_regex_set_add_perl(&part, small);
  merge(p, &part, c != small, to);
  return NULL;
}

// [:name:] inside of brackets.
static kp_status* read_posix(parser* p, kp_regex_set* to, bool* out_found) {
  *out_found = false;
  if (!next_is(p, "[:")) return NULL;
  size_t end = p->at + 2;
  while (end + 1 < p->pattern.length && memcmp(p->pattern.data + end, ":]", 2) != 0) ++end;
  if (end + 1 >= p->pattern.length) return NULL;
  const size_t start = p->at;
  p->at += 2;
  const bool negated = take(p, "^");
  kp_regex_set part = {0};
  const bool known = kp_regex_set_add_posix(&part, (kp_str){p->pattern.data + p->at, end - p->at});
  p->at = end + 2;
  *out_found = true;
  merge(p, &part, negated, to);
  return known ? NULL : wrong(p, start, "an unknown class [:...:]");
}

static kp_status* read_class_char(parser* p, uint32_t* out_code) {
  return take(p, "\\") ? read_escape(p, out_code) : read_char(p, out_code);
}

// One character or range inside of brackets.
static kp_status* read_range(parser* p, kp_regex_set* to) {
  const size_t start = p->at;
  uint32_t first, last;
  KP_PASS(read_class_char(p, &first));
  last = first;
  if (next_is(p, "-") && !next_is(p, "-]") && p->at + 1 < p->pattern.length) {
    ++p->at;
    KP_PASS(read_class_char(p, &last));
  }
  if (last < first) return wrong(p, start, "a range that ends before it begins");
  kp_regex_set part = {0};
  kp_regex_set_add(&part, first, last);
  merge(p, &part, false, to);
  return NULL;
}

static kp_status* read_members(parser* p, size_t start, kp_regex_set* set) {
  for (bool first = true; first || !next_is(p, "]"); first = false) {
    if (!more(p)) return wrong(p, start, "[ without ]");
    bool found;
    KP_PASS(read_posix(p, set, &found));
    if (!found) KP_PASS(read_named(p, set, &found));
    if (!found) KP_PASS(read_range(p, set));
  }
  ++p->at;
  return NULL;
}

// Behind [.
static kp_status* read_brackets(parser* p) {
  const size_t start = p->at - 1;
  const bool negated = take(p, "^");
  kp_regex_set set = {0};
  kp_status* status = read_members(p, start, &set);
  kp_regex_set_sort(&set);
  if (negated) kp_regex_set_negate(&set);
  if (!status) status = add_class(p, &set);
  kp_free(set.ranges);
  return status;
}

// --- repetitions -------------------------------------------------------------------------------------------------------------
static kp_status* copy_steps(parser* p, size_t from, size_t count) {
  if (!count) return NULL;  // an empty group; there may be no steps at all yet
  KP_PASS(reserve(p, count));
  memcpy(p->steps + p->step_count, p->steps + from, count * sizeof *p->steps);
  p->step_count += count;
  return NULL;
}

// The atom at least |least| times and at most |most| (negative: any number).
static kp_status* repeat_atom(parser* p, uint32_t least, int32_t most) {
  const size_t first = p->atom, length = p->step_count - first;
  if (most < 0 && least == 0) {
    KP_PASS(insert(p, first, KP_REGEX_SPLIT, (int32_t)length + 2));
    return append(p, KP_REGEX_JUMP, distance(p->step_count, first));
  }
  for (uint32_t i = 1; i < least; ++i) KP_PASS(copy_steps(p, first, length));
  if (most < 0) return append(p, KP_REGEX_SPLIT, distance(p->step_count, p->step_count - length));
  if (least == 0 && most == 0) p->step_count = first;
  const size_t optional = (size_t)most - least, start = least ? p->step_count : first;
  for (size_t i = 0; i < optional; ++i) {  // each can leave to the end of all
    const int32_t leave = (int32_t)((optional - i) * (length + 1));
    if (i == 0 && least == 0) {
      KP_PASS(insert(p, first, KP_REGEX_SPLIT, leave));
    } else {
      KP_PASS(append(p, KP_REGEX_SPLIT, leave));
      KP_PASS(copy_steps(p, least ? first : start + 1, length));
    }
  }
  return NULL;
}

static kp_status* add_repeat(parser* p, size_t start, uint32_t least, int32_t most) {
  take(p, "?");  // how greedy it is does not matter to whether all matches
  if (!p->has_atom)
    return wrong(p, start, p->repeated ? "a repetition of a repetition" : "nothing to repeat");
  const uint32_t count = kp_max_size(least, most < 0 ? 0 : (size_t)most) > 1
                             ? (uint32_t)kp_max_size(least, most < 0 ? 0 : (size_t)most)
                             : 1;
  const uint32_t weight = p->weight * count;
  if (weight > MAX_COUNT) return wrong(p, start, "counts that multiply to more than 1000");
  KP_PASS(repeat_atom(p, least, most));
  set_atom(p, p->atom, weight);
  p->has_atom = false;
  p->repeated = true;
  return NULL;
}

// {n}, {n,}, {n,m}; anything else is text.
static kp_status* read_count(parser* p) {
  const size_t start = p->at;
  uint32_t least, most;
  bool open = false, valid = take(p, "{") && read_digits(p, 10, SIZE_MAX, &least) > 0;
  if (valid) {
    most = least;
    if (take(p, ",")) open = read_digits(p, 10, SIZE_MAX, &most) == 0;
    valid = take(p, "}");
  }
  if (!valid) {
    p->at = start + 1;
    return add_literal(p, '{');
  }
  if (least > MAX_COUNT || (!open && most > MAX_COUNT))
    return wrong(p, start, "a count of more than 1000");
  if (!open && most < least) return wrong(p, start, "a count that ends before it begins");
  return add_repeat(p, start, least, open ? -1 : (int32_t)most);
}

// --- groups ------------------------------------------------------------------------------------------------------------------
static kp_status* open_group(parser* p, size_t start, uint32_t flags) {
  if (p->depth == MAX_DEPTH) return wrong(p, start, "more than 1000 groups in one another");
  p->groups[++p->depth] = (group){.start = p->step_count,
                                  .branch = p->step_count,
                                  .jumps = NO_JUMP,
                                  .flags = p->flags,
                                  .weight = 1,
                                  .opened_at = start};
  p->flags = flags;
  p->has_atom = p->repeated = false;
  return NULL;
}

static kp_status* next_branch(parser* p) {
  group* open = &p->groups[p->depth];
  KP_PASS(insert(p, open->branch, KP_REGEX_SPLIT, distance(open->branch, p->step_count + 2)));
  KP_PASS(append(p, KP_REGEX_JUMP, open->jumps));
  open->jumps = (int32_t)p->step_count - 1;
  open->branch = p->step_count;
  p->has_atom = p->repeated = false;
  return NULL;
}

static void end_branches(parser* p) {
  int32_t jump = p->groups[p->depth].jumps;
  while (jump != NO_JUMP) {
    const int32_t before = p->steps[jump].arg;
    p->steps[jump].arg = distance((size_t)jump, p->step_count);
    jump = before;
  }
}

static kp_status* close_group(parser* p) {
  if (p->depth == 0) return wrong(p, p->at - 1, ") without (");
  end_branches(p);
  const group closed = p->groups[p->depth--];
  p->flags = closed.flags;
  set_atom(p, closed.start, closed.weight);
  return NULL;
}

// The name of a group, up to >.
static kp_status* read_name(parser* p, size_t start) {
  const size_t first = p->at;
  while (more(p) && p->pattern.data[p->at] != '>') {
    const char c = p->pattern.data[p->at++];
    if (digit_of(c, 10) < 0 && c != '_' && !((c | 32) >= 'a' && (c | 32) <= 'z'))
      return wrong(p, start, "a group's name with something but letters, digits and _");
  }
  return p->at > first && take(p, ">") ? NULL : wrong(p, start, "a group without a name");
}

// Behind (?: flags up to : or ).
static kp_status* read_flags(parser* p, size_t start) {
  static const char letters[] = "imsU";
  uint32_t flags = p->flags;
  bool off = false, any = false;
  for (;;) {
    if (!more(p)) return wrong(p, start, "( without )");
    const char c = p->pattern.data[p->at++];
    const char* letter = c ? strchr(letters, c) : NULL;
    if (letter) {
      const uint32_t bit = 1u << (letter - letters);
      flags = off ? flags & ~bit : flags | bit;
      any = true;
    } else if (c == '-' && !off) {
      off = true;
      any = false;
    } else if ((c == ':' || c == ')') && (any || !off)) {
      if (c == ':') return open_group(p, start, flags);
      p->flags = flags;
      p->has_atom = p->repeated = false;
      return NULL;
    } else {
      return wrong(p, start, "a group (? that RE2's syntax does not have");
    }
  }
}

static kp_status* read_group(parser* p, size_t start) {
  if (!take(p, "?")) return open_group(p, start, p->flags);
  const bool look_behind = next_is(p, "<=") || next_is(p, "<!");
  if (take(p, "P<") || (!look_behind && take(p, "<"))) {
    KP_PASS(read_name(p, start));
    return open_group(p, start, p->flags);
  }
  return read_flags(p, start);
}

// --- the whole ---------------------------------------------------------------------------------------------------------------
static kp_status* read_quoted(parser* p) {
  while (more(p) && !take(p, "\\E")) {
    uint32_t code;
    KP_PASS(read_char(p, &code));
    KP_PASS(add_literal(p, code));
  }
  return NULL;
}

// |at| is at a backslash outside of brackets.
static kp_status* read_backslash(parser* p) {
  static const struct {
    const char* text;
    kp_regex_op op;
  } marks[] = {{"\\A", KP_REGEX_BEGIN_TEXT},
               {"\\z", KP_REGEX_END_TEXT},
               {"\\b", KP_REGEX_WORD},
               {"\\B", KP_REGEX_NOT_WORD},
               {"\\C", KP_REGEX_BYTE}};
  for (size_t i = 0; i < KP_COUNT_OF(marks); ++i)
    if (take(p, marks[i].text)) return add_atom(p, marks[i].op, 0);
  if (take(p, "\\Q")) return read_quoted(p);
  kp_regex_set set = {0};
  bool found;
  kp_status* status = read_named(p, &set, &found);
  kp_regex_set_sort(&set);
  if (!status && found) status = add_class(p, &set);
  kp_free(set.ranges);
  if (status || found) return status;
  uint32_t code;
  ++p->at;
  KP_PASS(read_escape(p, &code));
  return add_literal(p, code);
}

static kp_status* read_one(parser* p) {
  const size_t start = p->at;
  const bool lines = p->flags & MULTI_LINE;
  if (next_is(p, "\\")) return read_backslash(p);
  if (next_is(p, "{")) return read_count(p);
  uint32_t code;
  KP_PASS(read_char(p, &code));
  switch (code) {
    case '(':
      return read_group(p, start);
    case '|':
      return next_branch(p);
    case ')':
      return close_group(p);
    case '*':
      return add_repeat(p, start, 0, -1);
    case '+':
      return add_repeat(p, start, 1, -1);
    case '?':
      return add_repeat(p, start, 0, 1);
    case '.':
      return add_any(p);
    case '^':
      return add_atom(p, lines ? KP_REGEX_BEGIN_LINE : KP_REGEX_BEGIN_TEXT, 0);
    case '$':
      return add_atom(p, lines ? KP_REGEX_END_LINE : KP_REGEX_END_TEXT, 0);
    case '[':
      return read_brackets(p);
    default:
      return add_literal(p, code);
  }
}

static kp_status* read_all(parser* p) {
  p->groups[0] = (group){.jumps = NO_JUMP, .weight = 1};
  while (more(p)) KP_PASS(read_one(p));
  if (p->depth) return wrong(p, p->groups[p->depth].opened_at, "( without )");
  end_branches(p);
  return append(p, KP_REGEX_MATCH, 0);
}

static kp_status* finish(const parser* p, kp_arena* arena, kp_regex** out_regex) {
  kp_regex* regex = kp_arena_new(arena, kp_regex);
  if (!regex) return KP_ERROR(OUT_OF_MEMORY, "a regular expression");
  *regex = (kp_regex){.steps = kp_arena_memdup(arena, p->steps, p->step_count * sizeof *p->steps),
                      .step_count = p->step_count};
  kp_regex_range* ranges = kp_arena_new_array(arena, kp_regex_range, p->ranges.count + 1);
  kp_regex_class* classes = kp_arena_new_array(arena, kp_regex_class, p->class_count + 1);
  if (!regex->steps || !ranges || !classes) return KP_ERROR(OUT_OF_MEMORY, "a regular expression");
  for (size_t i = 0; i < p->ranges.count; ++i) ranges[i] = p->ranges.ranges[i];
  for (size_t i = 0; i < p->class_count; ++i) classes[i] = p->classes[i];
  regex->ranges = ranges;
  regex->classes = classes;
  *out_regex = regex;
  return NULL;
}

kp_status* kp_regex_compile(kp_str pattern, kp_arena* arena, kp_regex** out_regex) {
  *out_regex = NULL;
  parser* p = kp_alloc_zero(1, sizeof *p);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "a regular expression");
  p->pattern = pattern;
  kp_status* status = read_all(p);
  if (!status) status = finish(p, arena, out_regex);
  kp_free(p->steps);
  kp_free(p->classes);
  kp_free(p->ranges.ranges);
  kp_free(p->folds.pairs);
  kp_free(p);
  return status;
}
