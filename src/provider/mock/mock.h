// What tests may see of the mock provider (README.md here): the counters of its devices, and who computes for it.
#ifndef KP_PROVIDER_MOCK_MOCK_H_
#define KP_PROVIDER_MOCK_MOCK_H_

#include "provider/provider.h"

// What all mock providers of this process did, and what of theirs is alive.
typedef struct kp_mock_totals {
  uint64_t copies_in, copies_out;  // between host and mock devices
  uint64_t bytes_in, bytes_out;
  uint64_t runs;                         // of partitions, failed ones included
  uint64_t nodes;                        // evaluated
  uint64_t virtual_ns;                   // cost on the virtual clock: launches, FLOPs, copies
  int64_t live_allocations, live_bytes;  // device memory handed out
  int64_t live_devices;                  // memory spaces mapped
  int64_t live_streams;
  uint64_t
      most_at_once;  // runs of one instance that were under way at the same time; the most of any instance so far
} kp_mock_totals;

// Threads: any; each number is exact, the set of them is not one moment's.
kp_mock_totals kp_mock_get_totals(void);

// Same type as kp_provider_type.evaluate.
typedef kp_status* (*kp_mock_evaluator)(const kp_graph* graph, const kp_node* node,
                                        kapell_value* const* inputs, kapell_value** outputs);
// Who computes single nodes; NULL (default): the first built-in provider that has |evaluate|, which is the CPU. For unit tests;
// no mock provider may be running.
void kp_mock_set_evaluator(kp_mock_evaluator evaluator);

#endif  // KP_PROVIDER_MOCK_MOCK_H_
