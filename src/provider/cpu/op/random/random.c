// Philox 4x32-10 and where streams begin; random.h has the contract.
#include "provider/cpu/op/random/random.h"

#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

struct kp_random {
  uint32_t key[2];
  uint64_t runs;  // atomic
};

// --- the generator -----------------------------------------------------------------------------------------------------------
void kp_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)b;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void kp_draw_block(const kp_draws* draws, uint64_t index, uint32_t out[4]) {
  const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), draws->run[0],
                               draws->run[1]};
  kp_philox(draws->key, counter, out);
}

double kp_draw_unit(const kp_draws* draws, uint64_t index) {
  uint32_t words[4];
  kp_draw_block(draws, index / 2, words);
  return kp_words_unit(words + index % 2 * 2);
}

// --- streams -----------------------------------------------------------------------------------------------------------------
// 64 bits that differ from process to process, asked for once; the clock where the system has none to give.
static uint64_t process_entropy(void) {
  static uint64_t entropy;  // atomic; 0 = not asked yet
  uint64_t made = __atomic_load_n(&entropy, __ATOMIC_RELAXED), none = 0;
  if (made) return made;
  if (getentropy(&made, sizeof made) != 0) made = kp_clock_ns() * UINT64_C(0x9E3779B97F4A7C15);
  made |= 1;
  if (__atomic_compare_exchange_n(&entropy, &none, made, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    return made;
  return none;  // another thread was first
}

// The seed as given; a float by its bits, so that each seed has a key of its own.
static bool seed_of(const kp_node* node, uint32_t key[2]) {
  const kp_attr* seed = kp_node_attr(node, "seed");
  if (!seed || (seed->type != KP_ONNX_ATTR_FLOAT && seed->type != KP_ONNX_ATTR_INT)) return false;
  if (seed->type == KP_ONNX_ATTR_FLOAT) {
    memcpy(&key[0], &seed->f, sizeof key[0]);
    key[1] = 0;
  } else {
    key[0] = (uint32_t)(uint64_t)seed->i;
    key[1] = (uint32_t)((uint64_t)seed->i >> 32);
  }
  return true;
}

kp_status* kp_random_create(kp_op_prepare* prepare, kp_random** out_random) {
  static uint64_t nodes;  // atomic: unseeded ones so far
  *out_random = NULL;
  kp_random* random = kp_arena_new(prepare->arena, kp_random);
  if (!random) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  random->runs = 0;
  if (!seed_of(prepare->node, random->key)) {
    const uint64_t number = __atomic_fetch_add(&nodes, 1, __ATOMIC_RELAXED);
    const uint64_t key = process_entropy() + number * UINT64_C(0x9E3779B97F4A7C15);
    random->key[0] = (uint32_t)key;
    random->key[1] = (uint32_t)(key >> 32);
  }
  *out_random = random;
  return NULL;
}

kp_draws kp_random_begin(const kp_random* random) {
  // The state of a compiled node is constant but for this counter.
  uint64_t* runs = &((kp_random*)(uintptr_t)random)->runs;
  const uint64_t run = __atomic_fetch_add(runs, 1, __ATOMIC_RELAXED);
  return (kp_draws){{random->key[0], random->key[1]}, {(uint32_t)run, (uint32_t)(run >> 32)}};
}
