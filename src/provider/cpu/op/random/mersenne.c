// MT19937: recurrence, tempering and seeding as published; mersenne.h says what for.
#include "provider/cpu/op/random/mersenne.h"

#include "provider/cpu/op/random/random.h"

#define MIDDLE 397
#define UPPER UINT32_C(0x80000000)
#define MATRIX UINT32_C(0x9908B0DF)

void kp_mersenne_seed(kp_mersenne* g, uint32_t seed) {
  g->words[0] = seed;
  for (uint32_t i = 1; i < KP_MERSENNE_WORDS; ++i)
    g->words[i] = UINT32_C(1812433253) * (g->words[i - 1] ^ g->words[i - 1] >> 30) + i;
  g->at = KP_MERSENNE_WORDS;
}

static void make_words(kp_mersenne* g) {
  for (int i = 0; i < KP_MERSENNE_WORDS; ++i) {
    const uint32_t next = g->words[(i + 1) % KP_MERSENNE_WORDS];
    const uint32_t both = (g->words[i] & UPPER) | (next & ~UPPER);
    g->words[i] = g->words[(i + MIDDLE) % KP_MERSENNE_WORDS] ^ both >> 1 ^ (both & 1 ? MATRIX : 0);
  }
  g->at = 0;
}

uint32_t kp_mersenne_word(kp_mersenne* g) {
  if (g->at == KP_MERSENNE_WORDS) make_words(g);
  uint32_t word = g->words[g->at++];
  word ^= word >> 11;
  word ^= word << 7 & UINT32_C(0x9D2C5680);
  word ^= word << 15 & UINT32_C(0xEFC60000);
  return word ^ word >> 18;
}

double kp_mersenne_unit(kp_mersenne* g) {
  const uint32_t first = kp_mersenne_word(g);
  return kp_words_unit((const uint32_t[]){first, kp_mersenne_word(g)});
}
