// Depthwise sums and transposed bytes, per instruction set. qconv.h says what they compute.
#include "provider/cpu/kernel/qconv/qconv.h"

#include "provider/cpu/simd/f32.h"

#if defined(KP_ISA_AVX2) || defined(KP_ISA_AVX512)
#include <immintrin.h>

KP_INLINE __m256i words(const uint8_t* x, const bool x_signed) {
  const __m128i bytes = _mm_loadu_si128((const __m128i*)(const void*)x);
  return x_signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

// Sixteen channels of one pixel. Two taps' channels are interleaved within each half of a vector, as the weights are.
KP_INLINE void sixteen(size_t pairs, size_t nr, const uint8_t* const* pixels, size_t offset,
                       const bool x_signed, const int16_t* w, int32_t* acc) {
  __m256i low = _mm256_setzero_si256(), high = low;
  for (size_t t = 0; t < pairs; ++t) {
    const __m256i a = words(pixels[2 * t] + offset, x_signed),
                  b = words(pixels[2 * t + 1] + offset, x_signed);
    const __m256i* pair = (const __m256i*)(const void*)(w + t * nr * 2);
    low = _mm256_add_epi32(
        low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), _mm256_loadu_si256(pair)));
    high = _mm256_add_epi32(
        high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), _mm256_loadu_si256(pair + 1)));
  }
  __m256i* out = (__m256i*)(void*)acc;
  _mm256_storeu_si256(out, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(low, high, 0x31));
}
#define WIDE 16
#else
// |WIDE| channels of one pixel.
#define WIDE 4
KP_INLINE void sixteen(size_t pairs, size_t nr, const uint8_t* const* pixels, size_t offset,
                       const bool x_signed, const int16_t* w, int32_t* acc) {
  int32_t sums[WIDE] = {0};
  for (size_t t = 0; t < pairs; ++t) {
    const uint8_t *a = pixels[2 * t] + offset, *b = pixels[2 * t + 1] + offset;
    const int16_t* pair = w + t * nr * 2;
    for (size_t c = 0; c < WIDE; ++c) {
      const int32_t x0 = x_signed ? (int8_t)a[c] : a[c], x1 = x_signed ? (int8_t)b[c] : b[c];
      sums[c] = (int32_t)((uint32_t)sums[c] + (uint32_t)(x0 * pair[2 * c] + x1 * pair[2 * c + 1]));
    }
  }
  memcpy(acc, sums, sizeof sums);
}
#endif

static void qconv_depthwise(size_t rows, size_t pairs, size_t nr, const uint8_t* const* pixels,
                            size_t offset, bool x_signed, const int16_t* w, int32_t* acc) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < nr; j += WIDE) {
      if (x_signed)
        sixteen(pairs, nr, pixels + r * pairs * 2, offset + j, true, w + j * 2, acc + r * nr + j);
      else
        sixteen(pairs, nr, pixels + r * pairs * 2, offset + j, false, w + j * 2, acc + r * nr + j);
    }
  }
}

static void transpose_plain(size_t rows, size_t cols, const uint8_t* from, size_t from_stride,
                            uint8_t* to, size_t to_stride) {
  for (size_t c = 0; c < cols; ++c)
    for (size_t r = 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c];
}

#if defined(KP_ISA_AVX2) || defined(KP_ISA_AVX512)
#define TILE 16
// A tile of 16 x 16 bytes: pairs, fours, eights, sixteens.
static void transpose_tile(const uint8_t* from, size_t from_stride, uint8_t* to, size_t to_stride) {
  __m128i a[16], b[16];
  KP_UNROLL for (int i = 0; i < 16; ++i) a[i] =
      _mm_loadu_si128((const __m128i*)(const void*)(from + (size_t)i * from_stride));
  KP_UNROLL for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
    b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
  }
  KP_UNROLL for (int i = 0; i < 8; ++i) {
    a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
    a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
  }
  KP_UNROLL for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
    b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
  }
  KP_UNROLL for (int i = 0; i < 8; ++i) {
    a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
    a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
  }
  KP_UNROLL for (int i = 0; i < 16; ++i)
      _mm_storeu_si128((__m128i*)(void*)(to + (size_t)i * to_stride), a[i]);
}
#else
#define TILE 8
static void transpose_tile(const uint8_t* from, size_t from_stride, uint8_t* to, size_t to_stride) {
  transpose_plain(TILE, TILE, from, from_stride, to, to_stride);
}
#endif

static void qconv_transpose(size_t rows, size_t cols, const uint8_t* from, size_t from_stride,
                            uint8_t* to, size_t to_stride) {
  const size_t whole_rows = rows / TILE * TILE, whole_cols = cols / TILE * TILE;
  for (size_t r = 0; r < whole_rows; r += TILE)
    for (size_t c = 0; c < whole_cols; c += TILE)
      transpose_tile(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
  transpose_plain(rows, cols - whole_cols, from + whole_cols, from_stride,
                  to + whole_cols * to_stride, to_stride);
  transpose_plain(rows - whole_rows, whole_cols, from + whole_rows * from_stride, from_stride,
                  to + whole_rows, to_stride);
}

const kp_qconv_ops KP_ISA_NAME(kp_qconv) = {
    .isa = KP_ISA_STRING,
    .interleaved = WIDE == 16,
    .depthwise = qconv_depthwise,
    .transpose = qconv_transpose,
};
