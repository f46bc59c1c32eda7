// The bench's report as a page that stands alone: the page of page.inl around the JSON of print.c.
#include "cli/bench/page.inl"
#include "cli/bench/bench.h"

void bench_write_html(const bench_report* report, FILE* out) {
  fputs(PAGE_BEFORE, out);
  bench_write_json(report, out);
  fputs(PAGE_AFTER, out);
}
