// Sessions over chains of providers, through the public API alone, for tests of what a user sees.
#ifndef KP_TEST_SUPPORT_CHAIN_RUN_H_
#define KP_TEST_SUPPORT_CHAIN_RUN_H_

#include "kapell/kapell.h"

#define KP_TEST_OUTPUTS 8

typedef struct kp_chain_run {
  kapell_session* session;
  kapell_value* inputs[KP_TEST_OUTPUTS];
  kapell_value* outputs[KP_TEST_OUTPUTS];  // of the last good run
  kapell_counters counters;                // of the last good run
} kp_chain_run;

// Opens the model of |text| (model_text.h, opset 17) on |providers| with |settings| ("Mock.ops=half Mock.atomic=1", may be NULL) and makes
// |inputs| (values in the same notation, NULL-terminated). |base| (may be NULL): further options. In every case kp_chain_close afterwards.
kapell_status* kp_chain_open(kp_chain_run* run, const char* text, const char* providers,
                             const char* settings, const char* const* inputs,
                             const kapell_options* base);
kapell_status* kp_chain_again(kp_chain_run* run, const kapell_run_options* options);
void kp_chain_close(kp_chain_run* run);

// NULL if the outputs agree within 1e-5 of the largest element of each (sequences element by element), else words.
const char* kp_chain_compare(const kp_chain_run* run, const kp_chain_run* wanted);

// Collects what is logged from WARNING on; the text since the last call, static.
void kp_test_log_begin(void);
const char* kp_test_log_end(void);

#endif  // KP_TEST_SUPPORT_CHAIN_RUN_H_
