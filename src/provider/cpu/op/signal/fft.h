// Discrete Fourier transforms of any length, complex, in double precision: the engine under DFT, STFT, Rfft and Irfft.
//
// Lengths whose prime factors are small go through Stockham's passes (radix 4, 2, 3, 5, then any prime up to 13); others through
// Bluestein's convolution on such a length. Cost: O(n log n) for every n.
// Accuracy: a few units of 2^-53 times log n, relative to the largest element: f32 results are right to the last bit or two.
// Memory: kp_fft_init makes tables in an arena, once a signature; kp_fft_run takes scratch from its caller and is pure.
#ifndef KP_PROVIDER_CPU_OP_FFT_H_
#define KP_PROVIDER_CPU_OP_FFT_H_

#include "base/arena.h"
#include "base/status.h"

#define KP_FFT_FACTORS 64

typedef struct kp_complex {
  double re, im;
} kp_complex;

typedef struct kp_fft {
  size_t length;
  uint8_t factors[KP_FFT_FACTORS];
  size_t factor_count;
  const kp_complex* roots;     // exp(-2 pi i k / length), k < length
  const struct kp_fft* inner;  // Bluestein: the longer transform; NULL otherwise
  const kp_complex* chirp;     // exp(-pi i k^2 / length)
  const kp_complex* response;  // transform of the chirp's conjugate, wrapped around
  size_t scratch_count;        // complex numbers that kp_fft_run wants
} kp_fft;

// Tables for transforms of |length| >= 1. Errors: OUT_OF_MEMORY, LIMIT.
KP_MUST_USE kp_status* kp_fft_init(kp_fft* fft, size_t length, kp_arena* arena);
// X[k] = sum over j of x[j] exp(-2 pi i j k / length), in place; not scaled. The inverse is the conjugate of the transform of the
// conjugate, divided by the length.
void kp_fft_run(const kp_fft* fft, kp_complex* x, kp_complex* scratch);

// exp(-2 pi i k / length) for k < count <= length, in |arena|; NULL when out of memory.
kp_complex* kp_fft_roots(size_t length, size_t count, kp_arena* arena);

#endif  // KP_PROVIDER_CPU_OP_FFT_H_
