// What the fuzz targets of sessions share: narrow limits, inputs by their declared types, runs, comparisons of results.
#ifndef KP_TEST_SUPPORT_FUZZ_SESSION_H_
#define KP_TEST_SUPPORT_FUZZ_SESSION_H_

#include "kapell/kapell.h"

#define KP_FUZZ_VALUES 64

typedef struct kp_fuzz_run {
  kapell_session* session;  // NULL: the model was refused
  kapell_code code;         // of opening, or of the run
  kapell_value* outputs[KP_FUZZ_VALUES];
  size_t count;
} kp_fuzz_run;

// Takes |status| and gives its code; ends the program if it blames Kapell itself or has no words.
kapell_code kp_fuzz_finish(kapell_status* status);

// Untrusted, on one thread, with limits that a fuzzer can bear; |providers| and |settings| (up to 4, ended by a key of NULL) may be NULL.
kapell_options kp_fuzz_options(const char* providers, const kapell_provider_option* settings);

// Opens the model into |run|. Then kp_fuzz_close in every case.
void kp_fuzz_open(kp_fuzz_run* run, const void* bytes, size_t size, const kapell_options* options);
// Runs on inputs made by their declared types: small whole numbers, so that sums and products are exact in any order. A symbolic
// dimension has a size of its own that follows from its name and |seed|. LIMIT where an input cannot be made.
void kp_fuzz_again(kp_fuzz_run* run, unsigned seed);
void kp_fuzz_drop(kp_fuzz_run* run);  // the outputs
void kp_fuzz_close(kp_fuzz_run* run);

// Do two values have the same kind, type and shape, elements included?
bool kp_fuzz_same_shape(const kapell_value* a, const kapell_value* b);
// And the same elements, each NaN like any other?
bool kp_fuzz_same(const kapell_value* a, const kapell_value* b);
// Do tensors of the same shape agree within |tolerance|? An element that is not finite on either side is let be.
bool kp_fuzz_near(const kapell_value* a, const kapell_value* b, double tolerance);
// The largest finite magnitude in |value|; 0 for other kinds than numeric tensors.
double kp_fuzz_largest(const kapell_value* value);

// Does the session's model have a node whose operator's name contains one of |words| (ended by NULL)?
bool kp_fuzz_has(const kapell_session* session, const char* const* words);

#endif  // KP_TEST_SUPPORT_FUZZ_SESSION_H_
