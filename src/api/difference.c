// How far two values are apart.
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kapell/kapell.h"

static bool same_form(const kapell_value* a, const kapell_value* b) {
  if (kapell_value_kind(a) != kapell_value_kind(b)) return false;
  if (kapell_value_kind(a) != KAPELL_KIND_TENSOR) {
    bool same = kapell_value_item_count(a) == kapell_value_item_count(b);
    for (size_t i = 0; same && i < kapell_value_item_count(a); ++i)
      same = same_form(kapell_value_item(a, i), kapell_value_item(b, i));
    return same;
  }
  bool same = kapell_tensor_rank(a) == kapell_tensor_rank(b) &&
              (kapell_value_type(a) == KAPELL_STRING) == (kapell_value_type(b) == KAPELL_STRING);
  for (int32_t d = 0; same && d < kapell_tensor_rank(a); ++d)
    same = kapell_tensor_dims(a)[d] == kapell_tensor_dims(b)[d];
  return same;
}

// Distance of element |i|: infinite between a NaN and a number, and between strings that differ.
static double distance(const kapell_value* a, const kapell_value* b, size_t i, double* out_size) {
  *out_size = 0;
  if (kapell_value_type(a) == KAPELL_STRING) {
    size_t n, m;
    const char *s = kapell_tensor_string(a, i, &n), *t = kapell_tensor_string(b, i, &m);
    return n == m && memcmp(s, t, n) == 0 ? 0 : INFINITY;
  }
  const double x = kapell_tensor_get_double(a, i), y = kapell_tensor_get_double(b, i);
  *out_size = fabs(y);
  if (x == y || (isnan(x) && isnan(y))) return 0;
  const double error = fabs(x - y);
  return isnan(error) ? INFINITY : error;
}

// The imaginary parts, which the getter does not see; 0 for other types.
static double imaginary(const kapell_value* a, const kapell_value* b, size_t i) {
  const kapell_type type = kapell_value_type(a);
  if (type != kapell_value_type(b)) return 0;
  double x = 0, y = 0;
  if (type == KAPELL_COMPLEX64) {
    x = (double)((const float*)kapell_tensor_const_data(a))[2 * i + 1];
    y = (double)((const float*)kapell_tensor_const_data(b))[2 * i + 1];
  } else if (type == KAPELL_COMPLEX128) {
    x = ((const double*)kapell_tensor_const_data(a))[2 * i + 1];
    y = ((const double*)kapell_tensor_const_data(b))[2 * i + 1];
  }
  if (x == y || (isnan(x) && isnan(y))) return 0;
  return isnan(x - y) ? INFINITY : fabs(x - y);
}

typedef struct sums {
  double errors, expected;  // squares
} sums;

static void add(const kapell_value* a, const kapell_value* b, double atol, double rtol,
                kapell_difference* d, sums* s) {
  if (kapell_value_kind(a) != KAPELL_KIND_TENSOR) {
    for (size_t i = 0; i < kapell_value_item_count(a); ++i)
      add(kapell_value_item(a, i), kapell_value_item(b, i), atol, rtol, d, s);
    return;
  }
  for (size_t i = 0; i < kapell_tensor_count(a); ++i, ++d->count) {
    double size;
    const double error = fmax(distance(a, b, i, &size), imaginary(a, b, i));
    if (isfinite(size)) s->expected += size * size;
    if (error == 0) continue;
    if (isfinite(error)) s->errors += error * error;
    // Of infinity only infinity is near, whatever the relative tolerance makes of it.
    if (!(error <= atol + rtol * size) || isinf(error)) ++d->wrong;
    if (error > d->most) {
      d->most = error;
      d->worst = d->count;
    }
  }
}

void kapell_value_difference(const kapell_value* value, const kapell_value* expected, double atol,
                             double rtol, kapell_difference* out_difference) {
  if (!out_difference) return;
  kapell_difference d = {.struct_size = out_difference->struct_size};
  sums s = {0};
  d.comparable = value && expected && same_form(value, expected);
  if (d.comparable) add(value, expected, atol, rtol, &d, &s);
  if (s.errors > 0) d.relative_rms = s.expected > 0 ? sqrt(s.errors / s.expected) : INFINITY;
  memcpy(out_difference, &d, kp_min_size(d.struct_size, sizeof(d)));
}
