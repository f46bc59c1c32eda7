// The program that regex.c makes of a pattern, regex_class.c of a set of characters, and regex_match.c runs.
#ifndef KP_PROVIDER_CPU_OP_REGEX_PROGRAM_H_
#define KP_PROVIDER_CPU_OP_REGEX_PROGRAM_H_

#include "provider/cpu/op/text/regex.h"

typedef enum kp_regex_op {
  KP_REGEX_CHAR,   // the character |arg|
  KP_REGEX_CLASS,  // a character of class |arg|
  KP_REGEX_BYTE,   // any byte
  KP_REGEX_SPLIT,  // goes on with the next step and with the one |arg| steps away
  KP_REGEX_JUMP,   // goes on |arg| steps away
  KP_REGEX_BEGIN_TEXT,
  KP_REGEX_END_TEXT,
  KP_REGEX_BEGIN_LINE,
  KP_REGEX_END_LINE,
  KP_REGEX_WORD,      // a word begins or ends here
  KP_REGEX_NOT_WORD,  // none does
  KP_REGEX_MATCH,
} kp_regex_op;

// Distances are relative, so that a piece of a program can be moved and repeated.
typedef struct kp_regex_step {
  kp_regex_op op;
  int32_t arg;
} kp_regex_step;

typedef struct kp_regex_range {
  uint32_t first, last;
} kp_regex_range;

typedef struct kp_regex_class {
  uint64_t ascii[2];      // bits
  uint32_t first, count;  // of the ranges, which are sorted and do not touch
} kp_regex_class;

struct kp_regex {
  const kp_regex_step* steps;
  const kp_regex_class* classes;
  const kp_regex_range* ranges;
  size_t step_count;
};

// --- sets of characters (regex_class.c) ----------------------------------------------------------------------------------------
// A growing list of ranges. Out of memory is sticky: |failed|.
typedef struct kp_regex_set {
  kp_regex_range* ranges;  // kp_free
  size_t count, capacity;
  bool failed;
} kp_regex_set;

// Characters by what they fold to, sorted; made when a pattern first ignores case.
typedef struct kp_regex_folds {
  uint64_t* pairs;  // what it folds to << 32 | character; kp_free
  size_t count, capacity;
  bool failed;
} kp_regex_folds;

void kp_regex_set_add(kp_regex_set* set, uint32_t first, uint32_t last);
void kp_regex_set_sort(kp_regex_set* set);    // sorted, joined
void kp_regex_set_negate(kp_regex_set* set);  // of a sorted one
// Adds the characters that differ from those of |set| in case alone; sorts.
void kp_regex_set_fold(kp_regex_set* set, kp_regex_folds* folds);
// Adds a category or script; false if there is none of that name.
bool kp_regex_set_add_unicode(kp_regex_set* set, kp_str name);
// Adds [:name:] (of |name| alone); false if there is none.
bool kp_regex_set_add_posix(kp_regex_set* set, kp_str name);
// Adds what \d, \s, \w stand for.
void kp_regex_set_add_perl(kp_regex_set* set, char letter);

#endif  // KP_PROVIDER_CPU_OP_REGEX_PROGRAM_H_
