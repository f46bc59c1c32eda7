// Order statistics of run times. Medians with intervals from ranks: they hold for any distribution, and run times have long tails.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench/bench.h"

static int compare(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

// The value below which share |p| of the sorted times lie, between neighbours by their distance.
static double quantile(const double* sorted, size_t count, double p) {
  const double at = p * (double)(count - 1);
  const size_t low = (size_t)at;
  const size_t high = low + 1 < count ? low + 1 : low;
  return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

// Ranks of a 95 % interval of the median: those of a fair coin thrown |count| times.
static void median_interval(const double* sorted, size_t count, double* out_low, double* out_high) {
  const double half = 1.96 * sqrt((double)count) / 2;
  const double low = floor((double)count / 2 - half), high = ceil((double)count / 2 + half);
  *out_low = sorted[low < 0 ? 0 : (size_t)low];
  *out_high = sorted[high >= (double)count ? count - 1 : (size_t)high];
}

bench_stats bench_summarise(double* times, size_t count) {
  bench_stats s = {.count = count};
  if (!count) return s;
  qsort(times, count, sizeof(*times), compare);
  for (size_t i = 0; i < count; ++i) s.mean += times[i] / (double)count;
  s.best = times[0];
  s.p50 = quantile(times, count, 0.5);
  s.p90 = quantile(times, count, 0.9);
  s.p99 = quantile(times, count, 0.99);
  median_interval(times, count, &s.low, &s.high);
  return s;
}

bool bench_ratio(const double* a, const double* b, size_t count, double* out_ratio, double* out_low,
                 double* out_high) {
  double* ratios = count >= 6 ? malloc(count * sizeof(*ratios)) : NULL;
  if (!ratios) return false;
  for (size_t i = 0; i < count; ++i) ratios[i] = a[i] / b[i];
  const bench_stats s = bench_summarise(ratios, count);
  *out_ratio = s.p50;
  *out_low = s.low;
  *out_high = s.high;
  free(ratios);
  return true;
}
