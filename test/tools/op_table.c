// Prints the CPU provider's table of operators, one row a line, for docs/operators.md and the tests of coverage:
//   DOMAIN (- is ai.onnx) TAB NAME TAB SINCE TAB TYPES (hexadecimal mask, 0 = all) TAB FLAGS TAB KERNELS (- = generic loops)
#include <inttypes.h>
#include <stdio.h>

#include "provider/cpu/op.h"

int main(void) {
  for (size_t i = 0; i < kp_op_count(); ++i) {
    const kp_op_def* op = kp_op_at(i);
    printf("%s\t%s\t%d\t%" PRIx64 "\t%u\t%s\n", op->domain && *op->domain ? op->domain : "-",
           op->name, (int)op->since, op->types, op->flags, op->kernels ? op->kernels : "-");
  }
  return 0;
}
