// Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded and read as NumPy's RandomState is: what ONNX's own reference draws
// from where a Dropout has a seed. One word depends on those before, so a stream is drawn by one thread.
#ifndef KP_PROVIDER_CPU_OP_MERSENNE_H_
#define KP_PROVIDER_CPU_OP_MERSENNE_H_

#include <stdint.h>

#define KP_MERSENNE_WORDS 624

typedef struct kp_mersenne {
  uint32_t words[KP_MERSENNE_WORDS];
  int at;  // the next word; KP_MERSENNE_WORDS: make new ones first
} kp_mersenne;

void kp_mersenne_seed(kp_mersenne* generator, uint32_t seed);
uint32_t kp_mersenne_word(kp_mersenne* generator);
// Two words as a multiple of 2^-53 in [0, 1).
double kp_mersenne_unit(kp_mersenne* generator);

#endif  // KP_PROVIDER_CPU_OP_MERSENNE_H_
