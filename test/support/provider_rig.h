// Plays plan/ and exec/ for one provider and one small model, on the bare contract of provider.h: claims are asked for, all nodes
// become one partition, values are copied to where the claim wants them, fences are waited for.
//
// A program that uses the rig gets its kp_run_output and kp_profile_add instead of exec's.
#ifndef KP_TEST_SUPPORT_PROVIDER_RIG_H_
#define KP_TEST_SUPPORT_PROVIDER_RIG_H_

#include "provider/claims.h"

typedef struct kp_rig {
  const kp_provider_type* type;
  kp_arena arena;  // options and claims
  kp_model* model;
  const char** option_texts;
  const kp_option* options;  // of a library's provider, as given
  size_t option_count;
  kp_provider* provider;
  kp_claims claims;
  kp_compiled* compiled;
  uint32_t input_count, output_count;  // of the partition
  uint32_t* inputs;                    // position among the model's inputs, by partition input
  uint32_t* outputs;                   // position among the model's outputs, by partition output
  const kp_memory** input_memory;      // by partition input
  const kp_memory** output_memory;
} kp_rig;

// Reads, builds and infers the model of |text| (model_text.h, opset 17), checks options ("a=1 b=2"), creates an instance.
// Errors: the provider's and the options'. In every case kp_rig_close afterwards.
// Open is load, then create.
KP_MUST_USE kp_status* kp_rig_load(kp_rig* rig, const kp_provider_type* type, const char* text);
KP_MUST_USE kp_status* kp_rig_create(kp_rig* rig, const char* options);
KP_MUST_USE kp_status* kp_rig_open(kp_rig* rig, const kp_provider_type* type, const char* options,
                                   const char* text);
void kp_rig_close(kp_rig* rig);

// Asks what the provider would run, over the nodes that |offered| marks (NULL = all). As plan/ does, offers no control
// flow to a provider without KP_PROVIDER_CONTROL.
KP_MUST_USE kp_status* kp_rig_claim(kp_rig* rig, const bool* offered);
bool kp_rig_claimed_all(const kp_rig* rig);
// Compiles all nodes as one partition; kp_rig_claimed_all must hold.
KP_MUST_USE kp_status* kp_rig_compile(kp_rig* rig, const volatile int* cancel);

typedef struct kp_rig_run {
  kapell_value* const* inputs;  // host values, in the model's order
  kapell_value* outputs[8];     // out: new host values, in the model's order
  int width;                    // 0 = 1
  bool misaligned;              // host inputs and outputs are aligned to one element and no more
  bool skip_wait;               // reads outputs without waiting for the fence
  bool
      keep_special;  // uses |special| of the last run when there is one, and leaves it for the next
  const volatile int* cancel;
  uint64_t deadline_ns;
  kp_profile* profile;
  // the rig's own
  kp_arena arena;  // of |special|
  kp_special* special;
  uint64_t run_allocations;  // out: allocations that the provider's run function made
} kp_rig_run;

// Specialises and runs. Threads: any, at once, each with a kp_rig_run of its own. On an error no output is left.
KP_MUST_USE kp_status* kp_rig_run_once(kp_rig* rig, kp_rig_run* run);
void kp_rig_run_free(kp_rig_run* run);  // outputs and arena

// Events that providers added in this process so far.
uint64_t kp_rig_profile_events(void);

#endif  // KP_TEST_SUPPORT_PROVIDER_RIG_H_
