// Regular expressions in RE2's syntax, for RegexFullMatch (does a whole text match?) and Tokenizer (where does
// it?). A match takes time linear in the text, whatever the pattern.
//
// A pattern becomes a program for a nondeterministic automaton, whose states are all followed at once (Thompson 1968). Texts are UTF-8;
// a byte that is no part of well-formed UTF-8 matches \C alone. What the syntax allows:
//   x xy x|y (x) (?:x) (?P<n>x) (?<n>x) (?flags) (?flags:x), flags i m s U    * + ? {n} {n,} {n,m}, each also with ? behind
//   . [a-z] [^x] [[:alpha:]] \d \s \w \D \S \W \pL \p{Greek} \P \p{^Lu} \C      ^ $ \A \z \b \B
//   \a \f \n \r \t \v \123 \x7F \x{10FFFF} \Q...\E and any punctuation behind a backslash
// \d, \s, \w, \b and [[:...:]] are about ASCII. Limits: a count is at most 1000, counts within counts multiply to at most 1000, groups
// nest 1000 deep, a program has at most KP_REGEX_MAX_STEPS steps.
#ifndef KP_PROVIDER_CPU_OP_REGEX_H_
#define KP_PROVIDER_CPU_OP_REGEX_H_

#include "base/arena.h"
#include "base/cancel.h"
#include "base/status.h"
#include "base/str.h"

#define KP_REGEX_MAX_STEPS 100000

typedef struct kp_regex kp_regex;

// Compiles |pattern| into |arena|. Errors: INVALID_MODEL, with the place in the pattern and what is wrong; LIMIT; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_regex_compile(kp_str pattern, kp_arena* arena, kp_regex** out_regex);
// Bytes of scratch that one thread needs (aligned to 4), and what must be done to it before the first match.
size_t kp_regex_scratch(const kp_regex* regex);
void kp_regex_scratch_init(const kp_regex* regex, void* scratch);
// Where the longest match that begins at |from| ends, or KP_REGEX_NO_MATCH. Anchors see the whole text. |cancel| (may be NULL) ends a long
// search early, without a match.
#define KP_REGEX_NO_MATCH SIZE_MAX
size_t kp_regex_longest_match(const kp_regex* regex, kp_str text, size_t from, void* scratch,
                              const volatile int* cancel);
// True if all of |text| matches. |cancel| (may be NULL) ends a long match early, with false.
bool kp_regex_full_match(const kp_regex* regex, kp_str text, void* scratch,
                         const volatile int* cancel);

#endif  // KP_PROVIDER_CPU_OP_REGEX_H_
