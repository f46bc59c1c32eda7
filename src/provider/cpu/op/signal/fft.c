// Fourier transforms; fft.h has the contract.
//
// A pass of Stockham's algorithm with radix r reads r blocks that lie length / r apart and writes their transforms next to each
// other, so that the result comes out in order without a permutation. Source: Swarztrauber 1984 ("FFT algorithms for vector
// computers"), Bluestein 1970.
#include "provider/cpu/op/signal/fft.h"

#include <math.h>
#include <string.h>

#include "base/size.h"

#define PI 3.14159265358979323846
enum { kPrimeMax = 13 };

static kp_complex add(kp_complex a, kp_complex b) { return (kp_complex){a.re + b.re, a.im + b.im}; }
static kp_complex sub(kp_complex a, kp_complex b) { return (kp_complex){a.re - b.re, a.im - b.im}; }
static kp_complex mul(kp_complex a, kp_complex b) {
  return (kp_complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static kp_complex scale(double s, kp_complex a) { return (kp_complex){s * a.re, s * a.im}; }
static kp_complex turn(kp_complex a) { return (kp_complex){a.im, -a.re}; }  // times -i

// --- passes ------------------------------------------------------------------------------------------------------------------
// One pass: blocks of |stride| numbers, |groups| of them an input block apart; the roots of group p are powers of roots[p * stride].
typedef struct kp_fft_pass {
  const kp_fft* fft;
  size_t radix, groups, stride;
  const kp_complex* x;
  kp_complex* y;
} kp_fft_pass;

static void pass2(const kp_fft_pass* pass, size_t p) {
  const size_t s = pass->stride;
  const kp_complex *a = pass->x + p * s, *b = a + pass->groups * s, w = pass->fft->roots[p * s];
  kp_complex* y = pass->y + 2 * p * s;
  for (size_t q = 0; q < s; ++q) {
    y[q] = add(a[q], b[q]);
    y[q + s] = mul(w, sub(a[q], b[q]));
  }
}

static void pass3(const kp_fft_pass* pass, size_t p) {
  const size_t s = pass->stride, apart = pass->groups * s;
  const kp_complex *a = pass->x + p * s, *b = a + apart, *c = b + apart;
  const kp_complex w1 = pass->fft->roots[p * s], w2 = pass->fft->roots[2 * p * s];
  kp_complex* y = pass->y + 3 * p * s;
  for (size_t q = 0; q < s; ++q) {
    const kp_complex sum = add(b[q], c[q]);
    const kp_complex side = turn(scale(0.86602540378443864676, sub(b[q], c[q])));
    const kp_complex middle = sub(a[q], scale(0.5, sum));
    y[q] = add(a[q], sum);
    y[q + s] = mul(w1, add(middle, side));
    y[q + 2 * s] = mul(w2, sub(middle, side));
  }
}

static void pass4(const kp_fft_pass* pass, size_t p) {
  const size_t s = pass->stride, apart = pass->groups * s;
  const kp_complex *a = pass->x + p * s, *b = a + apart, *c = b + apart, *d = c + apart;
  const kp_complex *roots = pass->fft->roots, w1 = roots[p * s], w2 = roots[2 * p * s],
                   w3 = roots[3 * p * s];
  kp_complex* y = pass->y + 4 * p * s;
  for (size_t q = 0; q < s; ++q) {
    const kp_complex even = add(a[q], c[q]), even_less = sub(a[q], c[q]);
    const kp_complex odd = add(b[q], d[q]), odd_less = turn(sub(b[q], d[q]));
    y[q] = add(even, odd);
    y[q + s] = mul(w1, add(even_less, odd_less));
    y[q + 2 * s] = mul(w2, sub(even, odd));
    y[q + 3 * s] = mul(w3, sub(even_less, odd_less));
  }
}

// Any radix: the small transform by its definition.
static void pass_any(const kp_fft_pass* pass, size_t p) {
  const size_t s = pass->stride, r = pass->radix, apart = pass->groups * s;
  const kp_complex *x = pass->x + p * s, *roots = pass->fft->roots;
  const size_t circle = pass->fft->length / r;  // from one r-th root to the next
  kp_complex* y = pass->y + r * p * s;
  for (size_t q = 0; q < s; ++q) {
    for (size_t j = 0; j < r; ++j) {
      kp_complex sum = x[q];
      for (size_t k = 1; k < r; ++k)
        sum = add(sum, mul(x[q + k * apart], roots[j * k % r * circle]));
      y[q + j * s] = mul(sum, roots[j * p * s]);
    }
  }
}

static void run_pass(const kp_fft_pass* pass) {
  void (*const fn)(const kp_fft_pass*, size_t) = pass->radix == 2   ? pass2
                                                 : pass->radix == 3 ? pass3
                                                 : pass->radix == 4 ? pass4
                                                                    : pass_any;
  for (size_t p = 0; p < pass->groups; ++p) fn(pass, p);
}

static void run_passes(const kp_fft* fft, kp_complex* x, kp_complex* scratch) {
  size_t left = fft->length, stride = 1;
  kp_complex *from = x, *to = scratch;
  for (size_t i = 0; i < fft->factor_count; ++i) {
    const size_t radix = fft->factors[i];
    left /= radix;
    const kp_fft_pass pass = {fft, radix, left, stride, from, to};
    run_pass(&pass);
    stride *= radix;
    kp_complex* const swap = from;
    from = to;
    to = swap;
  }
  if (from != x) memcpy(x, from, fft->length * sizeof *x);
}

// --- Bluestein ---------------------------------------------------------------------------------------------------------------
// jk = (j^2 + k^2 - (k - j)^2) / 2 makes a convolution with a chirp of the transform.
static void run_convolution(const kp_fft* fft, kp_complex* x, kp_complex* scratch) {
  const kp_fft* inner = fft->inner;
  const size_t n = fft->length, m = inner->length;
  kp_complex* padded = scratch;
  for (size_t k = 0; k < n; ++k) padded[k] = mul(x[k], fft->chirp[k]);
  memset(padded + n, 0, (m - n) * sizeof *padded);
  kp_fft_run(inner, padded, scratch + m);
  for (size_t k = 0; k < m; ++k) {  // the conjugate of the product, for the way back
    const kp_complex product = mul(padded[k], fft->response[k]);
    padded[k] = (kp_complex){product.re, -product.im};
  }
  kp_fft_run(inner, padded, scratch + m);
  for (size_t k = 0; k < n; ++k) {
    const kp_complex back = {padded[k].re / (double)m, -padded[k].im / (double)m};
    x[k] = mul(back, fft->chirp[k]);
  }
}

void kp_fft_run(const kp_fft* fft, kp_complex* x, kp_complex* scratch) {
  if (fft->inner)
    run_convolution(fft, x, scratch);
  else
    run_passes(fft, x, scratch);
}

// --- tables ------------------------------------------------------------------------------------------------------------------
// exp(-2 pi i k / n) for k < n; exact on the axes.
static kp_complex root(size_t k, size_t n) {
  if (4 * k == n) return (kp_complex){0, -1};
  if (2 * k == n) return (kp_complex){-1, 0};
  if (4 * k == 3 * n) return (kp_complex){0, 1};
  const double angle = 2 * PI * ((double)k / (double)n);
  return (kp_complex){cos(angle), -sin(angle)};
}

kp_complex* kp_fft_roots(size_t length, size_t count, kp_arena* arena) {
  kp_complex* roots = kp_arena_new_array(arena, kp_complex, count);
  for (size_t k = 0; roots && k < count; ++k) roots[k] = root(k, length);
  return roots;
}

static void factorize(kp_fft* fft, size_t* out_rest) {
  static const uint8_t radices[] = {4, 2, 3, 5, 7, 11, kPrimeMax};
  size_t rest = fft->length;
  for (size_t i = 0; i < KP_COUNT_OF(radices); ++i)
    for (; rest % radices[i] == 0; rest /= radices[i])
      fft->factors[fft->factor_count++] = radices[i];
  *out_rest = rest;
}

static kp_status* init_passes(kp_fft* fft, kp_arena* arena) {
  fft->roots = kp_fft_roots(fft->length, fft->length, arena);
  if (!fft->roots) return KP_ERROR(OUT_OF_MEMORY, "tables of a transform of %zu", fft->length);
  fft->scratch_count = fft->length;
  return NULL;
}

// chirp[k] = exp(-pi i k^2 / n); k^2 is kept within 2 n.
static void fill_chirp(size_t n, kp_complex* chirp) {
  size_t square = 0;
  for (size_t k = 0; k < n; ++k) {
    chirp[k] = root(square, 2 * n);
    square = (square + 2 * k + 1) % (2 * n);
  }
}

static kp_status* init_convolution(kp_fft* fft, kp_arena* arena) {
  const size_t n = fft->length;
  if (n > SIZE_MAX / 64) return KP_ERROR(LIMIT, "a transform of %zu", n);
  size_t m = 1;
  while (m < 2 * n - 1) m *= 2;
  kp_fft* inner = kp_arena_new(arena, kp_fft);
  kp_complex* chirp = kp_arena_new_array(arena, kp_complex, n);
  kp_complex* response = kp_arena_new_array(arena, kp_complex, m);
  kp_complex* scratch = kp_arena_new_array(arena, kp_complex, m);
  if (!inner || !chirp || !response || !scratch)
    return KP_ERROR(OUT_OF_MEMORY, "tables of a transform of %zu", n);
  KP_PASS(kp_fft_init(inner, m, arena));
  fill_chirp(n, chirp);
  for (size_t k = 0; k < n; ++k) {
    const kp_complex conjugate = {chirp[k].re, -chirp[k].im};
    response[k] = conjugate;
    if (k) response[m - k] = conjugate;
  }
  kp_fft_run(inner, response, scratch);
  fft->inner = inner;
  fft->chirp = chirp;
  fft->response = response;
  fft->scratch_count = 2 * m;
  return NULL;
}

kp_status* kp_fft_init(kp_fft* fft, size_t length, kp_arena* arena) {
  *fft = (kp_fft){.length = length};
  size_t rest;
  factorize(fft, &rest);
  return rest == 1 ? init_passes(fft, arena) : init_convolution(fft, arena);
}
