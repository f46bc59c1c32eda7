// Tests of base/log.h: levels, the callback, long messages, the environment and concurrent use.
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

typedef struct record {
  int count;
  kapell_log_level level;
  char text[4096];
} record;

static void keep(void* user, kapell_log_level level, const char* message) {
  record* const r = user;
  ++r->count;
  r->level = level;
  snprintf(r->text, sizeof r->text, "%s", message);
}

static void test_levels(void** state) {
  (void)state;
  record r = {0};
  kp_log_set(keep, &r);
  kp_log_set_level(KAPELL_LOG_INFO);
  KP_LOG(DEBUG, "not %s", "seen");
  assert_int_equal(r.count, 0);
  KP_LOG(INFO, "seen %d", 1);
  assert_int_equal(r.count, 1);
  assert_int_equal(r.level, KAPELL_LOG_INFO);
  assert_string_equal(r.text, "seen 1");
  kp_log_set_level(KAPELL_LOG_OFF);
  KP_LOG(ERROR, "silent");
  kp_log(KAPELL_LOG_OFF, "no message has this level");
  assert_int_equal(r.count, 1);
  kp_log_set(NULL, NULL);
}

static void test_long_message(void** state) {
  (void)state;
  record r = {0};
  kp_log_set(keep, &r);
  kp_log_set_level(KAPELL_LOG_TRACE);
  KP_LOG(WARNING, "%*d", 3000, 7);
  assert_int_equal(strlen(r.text), 3000);
  kp_alloc_fail_at(1);
  KP_LOG(WARNING, "%*d", 3000, 7);
  assert_int_equal(strlen(r.text), 511);
  kp_log_set(NULL, NULL);
}

// Runs a child whose KAPELL_LOG is |text| and returns what it wrote to standard error.
static void run_child(const char* text, char* out, size_t out_size) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    setenv("KAPELL_LOG", text, 1);
    kp_log_set_level((kapell_log_level)-1);  // as before the first use
    KP_LOG(INFO, "an info");
    KP_LOG(WARNING, "a warning");
    _exit(0);
  }
  close(ends[1]);
  size_t used = 0;
  for (ssize_t n; (n = read(ends[0], out + used, out_size - 1 - used)) > 0;) used += (size_t)n;
  out[used] = 0;
  close(ends[0]);
  waitpid(child, NULL, 0);
}

static void test_environment(void** state) {
  (void)state;
  char text[512];
  run_child("Info", text, sizeof text);
  assert_string_equal(text, "kapell info: an info\nkapell warning: a warning\n");
  run_child("", text, sizeof text);
  assert_string_equal(text, "kapell warning: a warning\n");
  run_child("off", text, sizeof text);
  assert_string_equal(text, "");
  run_child("loud", text, sizeof text);
  assert_non_null(strstr(text, "KAPELL_LOG=loud is no level"));
  assert_non_null(strstr(text, "a warning"));
}

static _Atomic int heard;
static void count_one(void* user, kapell_log_level level, const char* message) {
  (void)user, (void)level, (void)message;
  ++heard;
}

static void* log_many(void* arg) {
  (void)arg;
  for (int i = 0; i < 500; ++i) KP_LOG(ERROR, "%d", i);
  return NULL;
}

static void test_threads(void** state) {
  (void)state;
  kp_log_set(count_one, NULL);
  kp_log_set_level(KAPELL_LOG_WARNING);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i)
    assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  assert_int_equal(heard, 2000);
  kp_log_set(NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_levels),
      cmocka_unit_test(test_long_message),
      cmocka_unit_test(test_environment),
      cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
