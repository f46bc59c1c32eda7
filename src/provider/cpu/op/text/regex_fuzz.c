// Fuzz target: the first line is a regular expression, the rest a text. Whatever compiles matches without a fault, says the same twice, and
// agrees with itself: in a group, as one of two equal alternatives, and by its longest match.
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "provider/cpu/op/text/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// 1: matches, 0: does not, -1: is no regular expression.
static int match(const char* before, kp_str pattern, const char* behind, kp_str text) {
  kp_strbuf whole = {0};
  kp_strbuf_puts(&whole, before);
  kp_strbuf_append(&whole, pattern.data, pattern.length);
  kp_strbuf_puts(&whole, behind);
  kp_arena arena = {0};
  kp_regex* regex;
  int result = -1;
  kp_status* status = kp_regex_compile((kp_str){whole.data, whole.length}, &arena, &regex);
  if (!status) {
    void* scratch = kp_alloc(kp_regex_scratch(regex));
    kp_regex_scratch_init(regex, scratch);
    result = kp_regex_full_match(regex, text, scratch, NULL);
    const size_t end = kp_regex_longest_match(regex, text, 0, scratch, NULL);
    if (result != (end == text.length)) abort();
    kp_free(scratch);
  }
  kp_status_free(status);
  kp_arena_free(&arena);
  kp_strbuf_free(&whole);
  return result;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 512) return 0;  // long repetitions of long texts only take time
  const char* bytes = (const char*)data;
  const char* end = size ? memchr(bytes, '\n', size) : NULL;
  const kp_str pattern = {bytes, end ? (size_t)(end - bytes) : size};
  const kp_str text = {end ? end + 1 : "", end ? size - pattern.length - 1 : 0};
  const int plain = match("", pattern, "", text);
  if (plain < 0 || memmem(pattern.data, pattern.length, "\\Q", 2)) return 0;
  const int grouped = match("(?:", pattern, ")", text),
            either = match("(", pattern, "|[^\\x{0}-\\x{10FFFF}])", text);
  // Deeper nesting or a larger program may be too much.
  if ((grouped >= 0 && grouped != plain) || (either >= 0 && either != plain)) abort();
  return 0;
}
