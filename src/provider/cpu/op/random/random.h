// Random numbers for operators: Philox 4x32-10, a counter-based generator. docs/random.md says what a user may rely on.
//
// A block of four 32-bit words is a pure function of key and counter, so that every element of a result has a place of its own in the
// stream, whatever the number of threads. Key: the node's seed, or the process's entropy and a number of the node's own.
// Counter: the block's index, then how many runs the node has had before. Source: Salmon et al. 2011, "Parallel random numbers:
// as easy as 1, 2, 3".
#ifndef KP_PROVIDER_CPU_OP_RANDOM_H_
#define KP_PROVIDER_CPU_OP_RANDOM_H_

#include "provider/cpu/op/help.h"

// Of a prepared node; its only part that changes is the number of runs.
typedef struct kp_random kp_random;

// The stream of one run.
typedef struct kp_draws {
  uint32_t key[2], run[2];
} kp_draws;

// Reads attribute "seed" (a float, or an integer). Unseeded nodes get streams that no other node of the process has.
KP_MUST_USE kp_status* kp_random_create(kp_op_prepare* prepare, kp_random** out_random);
// The stream of the run that begins. Threads: any number of runs at once; each gets another.
kp_draws kp_random_begin(const kp_random* random);
// Philox 4x32-10.
void kp_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
// Block |index| of a stream.
void kp_draw_block(const kp_draws* draws, uint64_t index, uint32_t out[4]);
// Two words as a multiple of 2^-53 in [0, 1).
static inline double kp_words_unit(const uint32_t words[2]) {
  return (double)((uint64_t)(words[0] >> 5) << 26 | words[1] >> 6) * 0x1p-53;
}
// Number |index| of a stream as a multiple of 2^-53 in [0, 1); two to a block.
double kp_draw_unit(const kp_draws* draws, uint64_t index);

#endif  // KP_PROVIDER_CPU_OP_RANDOM_H_
