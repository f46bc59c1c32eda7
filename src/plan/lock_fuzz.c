// Fuzzes the reader of placement locks, and the comparison with a placement.
#include "plan/lock.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const kapell_refusal refusal = {"MockExecutionProvider", "no kernel", "provider"};
  static const kapell_placed_node nodes[] = {
      {"a", "Neg", "", "", "MockExecutionProvider", "run", 0, 0, NULL, 0, NULL, NULL, SIZE_MAX},
      {"b", "Abs", "", "l/body", "CPUExecutionProvider", "run", 1, 0, &refusal, 1, NULL, NULL,
       SIZE_MAX},
      {"", "Add", "", "", "MockExecutionProvider", "run", 2, 0, NULL, 0, NULL, NULL, SIZE_MAX},
      {"s", "Shape", "", "", NULL, "folded", -1, 0, NULL, 0, NULL, NULL, SIZE_MAX},
  };
  static const kapell_placed_copy copy = {"v", "", "host", "Mock:0", 24, true, NULL, "a"};
  static const kapell_placed_provider providers[] = {
      {.name = "MockExecutionProvider", .asked = "Mock", .available = true, .in_use = true},
      {.name = "CPUExecutionProvider", .asked = "CPU", .available = true, .in_use = true},
  };
  const kapell_placement placement = {.providers = providers,
                                      .provider_count = 2,
                                      .nodes = nodes,
                                      .node_count = 4,
                                      .list = "Mock,CPU",
                                      .copy_list = &copy,
                                      .copy_list_count = 1};
  kp_strbuf diff = {0};
  kp_status* status = kp_lock_check(&placement, (kp_str){(const char*)data, size}, &diff);
  kp_status_free(status);
  kp_strbuf_free(&diff);
  return 0;
}
