// What does not run on a kernel: operators whose rows have none, family by family in the order of op/tables.inl. Part of
// `./dev bench kernel`, so that who reads the speed of kernels also sees what they do not cover.
#include <stdio.h>
#include <string.h>

#include "provider/cpu/op.h"

static bool listed_before(size_t index) {
  const kp_op_def* op = kp_op_at(index);
  for (size_t i = 0; i < index; ++i) {
    const kp_op_def* other = kp_op_at(i);
    if (strcmp(other->name, op->name) == 0 &&
        strcmp(other->domain ? other->domain : "", op->domain ? op->domain : "") == 0)
      return true;
  }
  return false;
}

int main(int argc, char** argv) {
  size_t column = 0, count = 0;
  printf("\nOperators on generic loops (no kernel of their own):\n");
  for (size_t i = 0; i < kp_op_count(); ++i) {
    const kp_op_def* op = kp_op_at(i);
    if (op->kernels || listed_before(i) || (argc > 1 && !strstr(op->name, argv[1]))) continue;
    char name[160];
    snprintf(name, sizeof(name), "%s%s%s", op->domain && *op->domain ? op->domain : "",
             op->domain && *op->domain ? "." : "", op->name);
    if (column + strlen(name) > 118) {
      printf("\n");
      column = 0;
    }
    column += (size_t)printf("%s%s", column ? " " : "  ", name);
    ++count;
  }
  printf("\n%zu operators.\n", count);
  return 0;
}
