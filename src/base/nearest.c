// Optimal string alignment distance over three rows of a table that fits the stack: names are short and this is for messages.
#include "base/nearest.h"

#include "base/size.h"

static unsigned char lower(char c) {
  return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

size_t kp_str_distance(kp_str a, kp_str b) {
  const size_t m = kp_min_size(a.length, KP_NEAREST_LENGTH),
               n = kp_min_size(b.length, KP_NEAREST_LENGTH);
  size_t rows[3][KP_NEAREST_LENGTH + 1];
  size_t *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= n; ++j) last[j] = j;
  for (size_t i = 1; i <= m; ++i) {
    row[0] = i;
    for (size_t j = 1; j <= n; ++j) {
      const unsigned char x = lower(a.data[i - 1]), y = lower(b.data[j - 1]);
      size_t best = kp_min_size(kp_min_size(last[j], row[j - 1]) + 1, last[j - 1] + (x != y));
      if (i > 1 && j > 1 && x == lower(b.data[j - 2]) && y == lower(a.data[i - 2]))
        best = kp_min_size(best, before[j - 2] + 1);
      row[j] = best;
    }
    size_t* const free_row = before;
    before = last;
    last = row;
    row = free_row;
  }
  return last[n] + (a.length - m) + (b.length - n);
}

void kp_nearest_offer(kp_nearest* nearest, const char* candidate) {
  const kp_str text = kp_str_of(candidate);
  const size_t distance = kp_str_distance(nearest->name, text);
  const size_t limit = kp_max_size(nearest->name.length, text.length) / 3;
  if (distance > limit || distance >= nearest->distance) return;
  nearest->distance = distance;
  nearest->best = candidate;
}
