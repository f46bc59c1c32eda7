// Checks of statuses in cmocka tests.
#ifndef KP_TEST_SUPPORT_EXPECT_H_
#define KP_TEST_SUPPORT_EXPECT_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "kapell/kapell.h"

// Fails the test with the status's text unless it is NULL.
static inline void kp_test_must(kapell_status* status) {
  if (!status) return;
  print_error("%s\n", kapell_status_text(status));
  kapell_status_free(status);
  fail();
}

// Fails unless |text| has each of |words|, which are separated by '|'.
static inline void kp_test_words(const char* text, const char* words) {
  char* copy = strdup(words);
  if (!copy) abort();
  for (char *save = NULL, *word = strtok_r(copy, "|", &save); word;
       word = strtok_r(NULL, "|", &save))
    if (!text || !strstr(text, word))
      fail_msg("'%s' is not in: %s", word, text ? text : "(nothing)");
  free(copy);
}

// Fails unless |status| (freed) has this code and its whole text has each of |words|.
static inline void kp_test_expect(kapell_status* status, kapell_code code, const char* words) {
  if (!status) fail_msg("no error, where one with '%s' was expected", words);
  if (kapell_status_code(status) != code)
    fail_msg("not %s: %s", kapell_code_name(code), kapell_status_text(status));
  kp_test_words(kapell_status_text(status), words);
  kapell_status_free(status);
}

#endif  // KP_TEST_SUPPORT_EXPECT_H_
