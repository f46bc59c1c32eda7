// One conformance suite for every provider (providers.inl): what it computes (cases.inl), and how it behaves (below), on the bare contract of
// provider.h. A provider's notes say what it does not support, for ever, and what is expected to fail; a surprise pass fails.
//
// The checks return words instead of using cmocka's asserts, so that an expected failure can be told from a pass.
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/size.h"
#include "provider/hosted.h"
#include "support/model_text.h"
#include "support/provider_rig.h"

typedef enum cts_note_kind {
  CTS_END,
  CTS_UNSUPPORTED,
  CTS_SUPPORTED,
  CTS_EXPECTED_FAILURE
} cts_note_kind;

typedef struct cts_note {
  cts_note_kind kind;
  const char* name;  // of a case or behaviour
  const char* why;
} cts_note;

typedef struct cts_provider {
  const char* name;
  const kp_provider_type* type;  // NULL: of the library, and looked up when that is registered
  const char* hosted;            // then the name that the library gives it
  const char* options;
  const cts_note* notes;
} cts_provider;

extern const kp_provider_type kp_provider_cpu, kp_mock_type, kp_mock2_type, kp_mock3_type,
    kp_null_type;
static cts_provider providers[] = {
#include "cts/providers.inl"
};

typedef struct cts_case {
  const char* name;
  const char* model;
  const char* const* inputs;
  const char* const* outputs;
} cts_case;

static const cts_case cases[] = {
#define CTS_CASE(name, model, inputs, outputs) {#name, model, inputs, outputs},
#include "cts/cases.inl"
};

// --- words ------------------------------------------------------------------------------------------------------------------------
// What went wrong, or NULL. |status| is freed. The text stays until the next call on this thread.
static const char* words_of(const char* what, kp_status* status) {
  static _Thread_local char text[2048];
  if (!status) return NULL;
  snprintf(text, sizeof text, "%s: %s", what, kp_status_text(status));
  kp_status_free(status);
  return text;
}
#define CHECK(what, status)                            \
  do {                                                 \
    const char* check_words_ = words_of(what, status); \
    if (check_words_) return check_words_;             \
  } while (0)
#define REQUIRE(condition)                          \
  do {                                              \
    if (!(condition)) return "not so: " #condition; \
  } while (0)

// --- cases ------------------------------------------------------------------------------------------------------------------------
static double element_of(const kapell_value* value, size_t index) {
  const char* data = value->data;
  float f;
  int64_t i;
  switch (value->type) {
    case KAPELL_FLOAT:
      return memcpy(&f, data + index * sizeof f, sizeof f), f;
    case KAPELL_INT64:
      return memcpy(&i, data + index * sizeof i, sizeof i), (double)i;
    default:
      return data[index];
  }
}

static const char* compare(const kapell_value* got, const kapell_value* wanted) {
  static char text[256];
  kp_strbuf types[2] = {{0}, {0}};
  kp_value_describe(got, &types[0]);
  kp_value_describe(wanted, &types[1]);
  const bool same = strcmp(types[0].data, types[1].data) == 0;
  snprintf(text, sizeof text, "%s instead of %s", types[0].data, types[1].data);
  kp_strbuf_free(&types[0]);
  kp_strbuf_free(&types[1]);
  if (!same) return text;
  if (wanted->type == KAPELL_STRING) return kp_value_equal(got, wanted) ? NULL : "other strings";
  double largest = 0;
  for (size_t i = 0; i < kp_value_count(wanted); ++i)
    largest = fmax(largest, fabs(element_of(wanted, i)));
  for (size_t i = 0; i < kp_value_count(wanted); ++i) {
    const double a = element_of(got, i), b = element_of(wanted, i);
    if (fabs(a - b) <= 1e-5 * largest) continue;
    snprintf(text, sizeof text, "element %zu is %g instead of %g", i, a, b);
    return text;
  }
  return NULL;
}

static const char* compare_all(kapell_value* const* outputs, const char* const* wanted) {
  const char* words = NULL;
  for (size_t o = 0; wanted[o] && !words; ++o) {
    kapell_value* value = kp_test_value(wanted[o]);
    words = outputs[o] ? compare(outputs[o], value) : "an output is missing";
    kp_value_release(value);
  }
  return words;
}

// Inputs of a run, of at most four.
typedef struct inputs {
  kapell_value* values[5];
} inputs;
static inputs make_inputs(const char* const* texts) {
  inputs made = {{NULL}};
  for (size_t i = 0; texts[i]; ++i) made.values[i] = kp_test_value(texts[i]);
  return made;
}
static void free_inputs(inputs* given) {
  for (size_t i = 0; i < KP_COUNT_OF(given->values); ++i) kp_value_release(given->values[i]);
}

static const char* run_case_open(kp_rig* rig, const cts_case* c) {
  CHECK("compile", kp_rig_compile(rig, NULL));
  inputs given = make_inputs(c->inputs);
  kp_rig_run run = {.inputs = given.values};
  const char* words = NULL;
  for (int again = 0; again < 2 && !words; ++again) {
    words = words_of("run", kp_rig_run_once(rig, &run));
    if (!words) words = compare_all(run.outputs, c->outputs);
  }
  kp_rig_run_free(&run);
  free_inputs(&given);
  return words;
}

// Every node has a claim or a refusal with words.
static const char* check_refusals(const kp_rig* rig) {
  const kp_claims* claims = &rig->claims;
  for (kp_node_id id = 0; id < rig->model->graph->node_count; ++id) {
    if (claims->claim_of[id] != KP_NONE || !claims->offered[id]) continue;
    REQUIRE(claims->refusal_of[id] != KP_NONE);
    const kp_refusal* refusal = &claims->refusals[claims->refusal_of[id]];
    REQUIRE(refusal->source != KP_SOURCE_NONE);
    REQUIRE(strlen(refusal->words) > 5);
  }
  return NULL;
}

static const char* run_case(const cts_provider* p, const cts_case* c, bool unsupported) {
  kp_rig rig;
  const char* words = words_of("open", kp_rig_open(&rig, p->type, p->options, c->model));
  if (!words) words = words_of("capability", kp_rig_claim(&rig, NULL));
  if (!words) words = check_refusals(&rig);
  if (!words && unsupported && kp_rig_claimed_all(&rig))
    words = "it is listed as not supported, and was claimed";
  if (!words && !unsupported && !kp_rig_claimed_all(&rig))
    words = rig.claims.refusal_count ? rig.claims.refusals[0].words : "not claimed";
  static char kept[2048];
  if (!words && !unsupported) words = run_case_open(&rig, c);
  if (words) snprintf(kept, sizeof kept, "%s", words);
  kp_rig_close(&rig);
  return words ? kept : NULL;
}

// --- behaviours: on models of Neg alone, which every provider has -------------------------------------------------------------------
#define NEG_CHAIN "in x float[N] a = Neg(x) b = Neg(a) y = Neg(b) out y float[N]"

static const char* probe_finds_it(const cts_provider* p) {
  kp_arena arena = {0};
  kp_probe probe = {.type = p->type, .arena = &arena};
  const char* words = words_of("probe", p->type->probe(NULL, &probe));
  const bool good =
      probe.available && probe.device_count > 0 && probe.devices[0].name && !probe.reason;
  kp_arena_free(&arena);
  return words ? words : good ? NULL : "not available, or without devices";
}

static const char* options_are_checked(const cts_provider* p) {
  kp_arena arena = {0};
  const char** texts;
  const char* words = NULL;
  const kp_option unknown = {"no_such_option", "1"};
  kp_status* status = kp_options_check(p->type->short_name, p->type->options, p->type->option_count,
                                       &unknown, 1, &arena, &texts);
  if (kp_status_code(status) != KAPELL_BAD_PROVIDER_LIST) words = "an unknown option is taken";
  kp_status_free(status);
  for (size_t i = 0; i < p->type->option_count && !words; ++i) {  // each default is a good value
    const kp_option option = {p->type->options[i].key, p->type->options[i].default_text};
    if (!option.value) continue;
    words =
        words_of(option.key, kp_options_check(p->type->short_name, p->type->options,
                                              p->type->option_count, &option, 1, &arena, &texts));
  }
  kp_arena_free(&arena);
  return words;
}

static const char* claims_only_what_is_offered(const cts_provider* p) {
  kp_rig rig;
  const bool offered[] = {true, false, true};
  const char* words = words_of("open", kp_rig_open(&rig, p->type, p->options, NEG_CHAIN));
  for (int again = 0; again < 2 && !words; ++again) {  // no side effects: the same answer twice
    words = words_of("capability", kp_rig_claim(&rig, offered));
    if (!words && (rig.claims.claimed_node_count != 2 || rig.claims.claim_of[1] != KP_NONE))
      words = "not exactly the nodes offered are claimed";
  }
  if (!words) words = words_of("capability", kp_rig_claim(&rig, NULL));
  if (!words && rig.claims.claimed_node_count != 3) words = "asked about all, it claims less";
  kp_rig_close(&rig);
  return words;
}

static const char* unknown_operators_are_refused(const cts_provider* p) {
  kp_rig rig;
  const char* words = words_of(
      "open", kp_rig_open(&rig, p->type, p->options,
                          "in x float[2] y = com.microsoft.NoSuchOperator(x) out y float[2]"));
  if (!words) words = words_of("capability", kp_rig_claim(&rig, NULL));
  if (!words && rig.claims.claimed_node_count) words = "claimed";
  if (!words) words = check_refusals(&rig);
  kp_rig_close(&rig);
  return words;
}

// Opens, claims and compiles NEG_CHAIN.
static const char* open_chain(kp_rig* rig, const cts_provider* p) {
  CHECK("open", kp_rig_open(rig, p->type, p->options, NEG_CHAIN));
  CHECK("capability", kp_rig_claim(rig, NULL));
  REQUIRE(kp_rig_claimed_all(rig));
  CHECK("compile", kp_rig_compile(rig, NULL));
  return NULL;
}

static const char* run_chain(kp_rig* rig, kp_rig_run* run, int64_t count, float first) {
  kapell_value* x = NULL;
  CHECK("input", kp_value_create_tensor(KAPELL_FLOAT, &count, 1, &x));
  for (int64_t i = 0; i < count; ++i) ((float*)x->data)[i] = first + (float)i;
  run->inputs = &x;
  const char* words = words_of("run", kp_rig_run_once(rig, run));
  if (!words && (run->outputs[0]->rank != 1 || run->outputs[0]->dims[0] != count))
    words = "a wrong shape";
  for (int64_t i = 0; i < count && !words; ++i)
    if (((float*)run->outputs[0]->data)[i] != -(first + (float)i)) words = "a wrong number";
  kp_value_release(x);
  return words;
}

static const char* shapes_change(const cts_provider* p) {
  static const int64_t counts[] = {2, 5, 0, 1, 1000, 5};
  kp_rig rig;
  kp_rig_run run = {0};
  const char* words = open_chain(&rig, p);
  for (size_t i = 0; i < KP_COUNT_OF(counts) && !words; ++i)
    words = run_chain(&rig, &run, counts[i], (float)i);
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  return words;
}

static const char* values_of_element_alignment(const cts_provider* p) {
  kp_rig rig;
  kp_rig_run run = {.misaligned = true};
  const char* words = open_chain(&rig, p);
  if (!words) words = run_chain(&rig, &run, 100, 1);
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  return words;
}

typedef struct worker {
  kp_rig* rig;
  int number;
  const char* words;
} worker;

static void* work(void* user) {
  worker* w = user;
  kp_rig_run run = {0};
  for (int i = 0; i < 20 && !w->words; ++i)
    w->words = run_chain(w->rig, &run, 1 + (w->number + i) % 7, (float)(w->number * 100 + i));
  kp_rig_run_free(&run);
  if (w->words) w->words = "a run among others failed";
  return NULL;
}

static const char* many_runs_at_once(const cts_provider* p) {
  kp_rig rig;
  const char* words = open_chain(&rig, p);
  if (words || rig.provider->max_concurrent_runs == 1) return kp_rig_close(&rig), words;
  pthread_t threads[4];
  worker workers[4];
  for (int i = 0; i < 4; ++i) {
    workers[i] = (worker){&rig, i, NULL};
    if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) abort();
  }
  for (int i = 0; i < 4; ++i) {
    pthread_join(threads[i], NULL);
    if (workers[i].words) words = workers[i].words;
  }
  kp_rig_close(&rig);
  return words;
}

static const char* a_cancelled_run_ends(const cts_provider* p) {
  kp_rig rig;
  const volatile int cancel = 1;
  kapell_value* x = kp_test_value("float[4] fill 1");
  kp_rig_run run = {.inputs = &x, .cancel = &cancel};
  const char* words = open_chain(&rig, p);
  if (!words) {
    kp_status* status = kp_rig_run_once(&rig, &run);
    if (kp_status_code(status) != KAPELL_CANCELLED) words = "it did not end with CANCELLED";
    kp_status_free(status);
  }
  run.cancel = NULL;
  if (!words) words = run_chain(&rig, &run, 3, 1);  // and nothing is broken by it
  kp_value_release(x);
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  return words;
}

static const char* no_allocation_in_a_second_run(const cts_provider* p) {
  kp_rig rig;
  kp_rig_run run = {.keep_special = true};
  const char* words = open_chain(&rig, p);
  for (int i = 0; i < 2 && !words; ++i) words = run_chain(&rig, &run, 50, 1);
  if (!words && run.run_allocations) words = "its run function allocates";
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  return words;
}

static const char* runs_are_profiled(const cts_provider* p) {
  kp_rig rig;
  char any;
  kp_rig_run run = {.profile = (kp_profile*)&any};
  const uint64_t before = kp_rig_profile_events();
  const char* words = open_chain(&rig, p);
  if (!words) words = run_chain(&rig, &run, 5, 1);
  if (!words && kp_rig_profile_events() == before) words = "no event came";
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  return words;
}

// Each allocation of a provider's life fails in turn: a clean error, nothing lost.
static const char* failing_allocations(const cts_provider* p) {
  const char* words = NULL;
  bool failed = true;
  for (uint64_t nth = 1; nth < 3000 && failed && !words; nth += nth < 300 ? 1 : 7) {
    const int64_t live = kp_alloc_live();
    kapell_value* x = kp_test_value("float[4] fill 1");
    kp_rig rig;
    kp_rig_run run = {.inputs = &x};
    words = words_of("load", kp_rig_load(&rig, p->type, NEG_CHAIN));
    kp_alloc_fail_at(nth);
    kp_status* status = kp_rig_create(&rig, p->options);
    if (!status) status = kp_rig_claim(&rig, NULL);
    if (!status && kp_rig_claimed_all(&rig)) status = kp_rig_compile(&rig, NULL);
    if (!status && rig.compiled) status = kp_rig_run_once(&rig, &run);
    failed = kp_alloc_failed();
    kp_alloc_fail_at(0);
    if (status && kp_status_code(status) != KAPELL_OUT_OF_MEMORY)
      words = words_of("with an allocation that fails", status);
    else
      kp_status_free(status);
    kp_rig_run_free(&run);
    kp_rig_close(&rig);
    kp_value_release(x);
    if (!words && kp_alloc_live() != live) words = "memory was lost when an allocation failed";
  }
  return words;
}

static const struct {
  const char* name;
  const char* (*run)(const cts_provider* provider);
} behaviours[] = {
    {"probe_finds_it", probe_finds_it},
    {"options_are_checked", options_are_checked},
    {"claims_only_what_is_offered", claims_only_what_is_offered},
    {"unknown_operators_are_refused", unknown_operators_are_refused},
    {"shapes_change", shapes_change},
    {"values_of_element_alignment", values_of_element_alignment},
    {"many_runs_at_once", many_runs_at_once},
    {"a_cancelled_run_ends", a_cancelled_run_ends},
    {"no_allocation_in_a_second_run", no_allocation_in_a_second_run},
    {"runs_are_profiled", runs_are_profiled},
    {"failing_allocations", failing_allocations},
};

// --- the suite ------------------------------------------------------------------------------------------------------------------------
typedef struct item {
  const cts_provider* provider;
  const cts_case* c;  // or
  size_t behaviour;
  char name[128];
} item;

static cts_note_kind note_of(const cts_provider* p, const char* name, bool is_case) {
  cts_note_kind found = CTS_SUPPORTED;
  for (const cts_note* note = p->notes; note->kind != CTS_END; ++note) {
    if (is_case && strcmp(note->name, "*") == 0) found = note->kind;
    if (strcmp(note->name, name) == 0) return note->kind;
  }
  return found;
}

static void run_item(void** state) {
  const item* it = *state;
  const char* name = it->c ? it->c->name : behaviours[it->behaviour].name;
  const cts_note_kind note = note_of(it->provider, name, it->c != NULL);
  if (it->c) {
    const char* words = run_case(it->provider, it->c, note == CTS_UNSUPPORTED);
    if (note == CTS_EXPECTED_FAILURE && !words)
      fail_msg("%s passes: take it off the list of expected failures", it->name);
    if (note != CTS_EXPECTED_FAILURE && words) fail_msg("%s: %s", it->name, words);
    return;
  }
  const char* words = behaviours[it->behaviour].run(it->provider);
  if (note != CTS_SUPPORTED && !words)
    fail_msg("%s passes: take it off the provider's notes", it->name);
  if (note == CTS_SUPPORTED && words) fail_msg("%s: %s", it->name, words);
}

// Notes about cases that do not exist would hide a case that was renamed.
static void test_notes_name_what_exists(void** state) {
  (void)state;
  for (size_t p = 0; p < KP_COUNT_OF(providers); ++p) {
    for (const cts_note* note = providers[p].notes; note->kind != CTS_END; ++note) {
      bool found = strcmp(note->name, "*") == 0;
      for (size_t i = 0; i < KP_COUNT_OF(cases); ++i)
        found |= strcmp(note->name, cases[i].name) == 0;
      for (size_t i = 0; i < KP_COUNT_OF(behaviours); ++i)
        found |= strcmp(note->name, behaviours[i].name) == 0;
      if (!found)
        fail_msg("%s has a note on '%s', which does not exist", providers[p].name, note->name);
      if (note->kind != CTS_SUPPORTED) assert_non_null(note->why);
    }
  }
}

// The library that compiles and the one that has kernels, for the providers that are theirs.
static kp_status* host(void) {
  KP_PASS(kp_plugin_register("comp", KAPELL_BINARY_DIR "/test/plugins/libcompute.so", NULL, 0));
  KP_PASS(kp_plugin_register("kern", KAPELL_BINARY_DIR "/test/plugins/libkernels.so", NULL, 0));
  for (size_t p = 0; p < KP_COUNT_OF(providers); ++p) {
    if (!providers[p].hosted) continue;
    providers[p].type = kp_provider_find(providers[p].hosted);
    if (!providers[p].type) return KP_ERROR(NOT_FOUND, "no provider '%s'", providers[p].hosted);
  }
  return NULL;
}

static kp_status* end_hosting(void) {
  for (size_t p = 0; p < KP_COUNT_OF(providers); ++p)
    if (providers[p].hosted) kp_provider_unfind(providers[p].type);
  return kp_status_join(kp_plugin_unregister("comp"), kp_plugin_unregister("kern"));
}

int main(int argc, char** argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  enum {
    PER_PROVIDER = KP_COUNT_OF(cases) + KP_COUNT_OF(behaviours),
    COUNT = KP_COUNT_OF(providers) * PER_PROVIDER + 1
  };
  static item items[COUNT];
  static struct CMUnitTest tests[COUNT];
  size_t count = 0;
  for (size_t p = 0; p < KP_COUNT_OF(providers); ++p) {
    for (size_t i = 0; i < PER_PROVIDER; ++i, ++count) {
      item* it = &items[count];
      *it = (item){.provider = &providers[p]};
      if (i < KP_COUNT_OF(cases))
        it->c = &cases[i];
      else
        it->behaviour = i - KP_COUNT_OF(cases);
      snprintf(it->name, sizeof it->name, "%s: %s", providers[p].name,
               it->c ? it->c->name : behaviours[it->behaviour].name);
      tests[count] =
          (struct CMUnitTest){.name = it->name, .test_func = run_item, .initial_state = it};
    }
  }
  tests[count++] = (struct CMUnitTest){.name = "notes name what exists",
                                       .test_func = test_notes_name_what_exists};
  int width;
  kp_status_ignore(kp_pool_acquire(2, &width));
  kp_status* status = host();
  const int failed = status ? 1 : _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
  status = kp_status_join(status, end_hosting());
  if (status) fprintf(stderr, "%s\n", kp_status_text(status));
  kp_status_free(status);
  kp_pool_release();
  return failed;
}
