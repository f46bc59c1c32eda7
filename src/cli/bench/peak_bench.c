// The ceiling of this machine as one line of JSON, for bench/cpu.py: of one core, and of reading memory with 1 and 2 threads.
#include "cli/bench/bench.h"

int main(void) {
  printf("{\"gflops\": %.1f, \"gops8\": %.1f, \"read_gbs\": [%.1f, %.1f]}\n", bench_peak_gflops(),
         bench_peak_gops8(), bench_read_gbs(1), bench_read_gbs(2));
  return 0;
}
