// Pictures in memory: what BMP and PNM hold is read, and no prefix of a file is read past its end. The formats of the system's
// libraries are compared with Pillow in test/py/draws/vision.py.
#include "provider/cpu/image/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/alloc.h"

typedef struct picture_case {
  const char* bytes;
  size_t size;
  size_t width, height;  // 0: no picture
  const char* rgb;
} picture_case;

#define FILE_OF(text) text, sizeof(text) - 1
#define BMP(offset, width, height, bits, compression, rest)         \
  "BM\0\0\0\0\0\0\0\0" offset                                       \
  "\0\0\0"                                                          \
  "\x28\0\0\0" width "\0\0\0" height "\x01\0" bits "\0" compression \
  "\0\0\0"                                                          \
  "\0\0\0\0\0\0\0\0\0\0\0\0"                                        \
  "\x02\0\0\0"                                                      \
  "\0\0\0\0" rest

static const picture_case kCases[] = {
    {FILE_OF("P1 3 2\n# a comment\n101\n0 1 0"), 3, 2,
     "\0\0\0\xff\xff\xff\0\0\0\xff\xff\xff\0\0\0\xff\xff\xff"},
    {FILE_OF("P2\n2 1 5\n0 5"), 2, 1, "\0\0\0\xff\xff\xff"},
    {FILE_OF("P3 1 1 255 1 2 3"), 1, 1, "\1\2\3"},
    {FILE_OF("P4 9 1\n\x80\x80"), 9, 1,
     "\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0"
     "\0\0"},
    {FILE_OF("P5 2 1 255\n\x10\x20"), 2, 1, "\x10\x10\x10\x20\x20\x20"},
    {FILE_OF("P5 1 1 65535\n\xff\xff"), 1, 1, "\xff\xff\xff"},
    {FILE_OF("P6 1 2 255\n\1\2\3\4\5\6"), 1, 2, "\1\2\3\4\5\6"},
    {FILE_OF("P6 1 2 255\n\1\2\3\4\5"), 0, 0, NULL},
    {FILE_OF("P6 99999999 99999999 255\n"), 0, 0, NULL},
    {FILE_OF("P2 2 1 0 0 0"), 0, 0, NULL},
    // 24 bits, the last row first, rows of four bytes.
    {FILE_OF(BMP("\x36", "\x01", "\x02\0\0\0", "\x18", "\0", "\1\2\3\0\4\5\6\0")), 1, 2,
     "\6\5\4\3\2\1"},
    // The same from the top.
    {FILE_OF(BMP("\x36", "\x01", "\xfe\xff\xff\xff", "\x18", "\0", "\1\2\3\0\4\5\6\0")), 1, 2,
     "\3\2\1\6\5\4"},
    // A palette of two colours, one bit a pixel.
    {FILE_OF(BMP("\x3e", "\x02", "\x01\0\0\0", "\x01", "\0", "\1\2\3\0\4\5\6\0\x40\0\0\0")), 2, 1,
     "\3\2\1\6\5\4"},
    // Runs of 8-bit indices: two of colour 1; end.
    {FILE_OF(BMP("\x3e", "\x02", "\x01\0\0\0", "\x08", "\x01", "\1\2\3\0\4\5\6\0\2\1\0\1")), 2, 1,
     "\6\5\4\6\5\4"},
    {FILE_OF("BM"), 0, 0, NULL},
    {FILE_OF("no picture"), 0, 0, NULL},
    {"", 0, 0, 0, NULL},
};

// Decodes a copy of exactly |size| bytes, so that sanitizers see a read past the end.
static kp_image decode(const char* bytes, size_t size) {
  uint8_t* copy = malloc(size ? size : 1);
  kp_image image;
  assert_non_null(copy);
  memcpy(copy, bytes, size);
  assert_null(kp_image_decode(copy, size, &image));
  free(copy);
  return image;
}

static void test_pictures(void** state) {
  (void)state;
  for (size_t i = 0; i < sizeof(kCases) / sizeof(kCases[0]); ++i) {
    const picture_case* c = &kCases[i];
    kp_image image = decode(c->bytes, c->size);
    assert_int_equal(image.width, c->width);
    assert_int_equal(image.height, c->height);
    if (c->rgb) assert_memory_equal(image.rgb, c->rgb, c->width * c->height * 3);
    kp_free(image.rgb);
  }
}

static void test_every_prefix(void** state) {
  (void)state;
  for (size_t i = 0; i < sizeof(kCases) / sizeof(kCases[0]); ++i) {
    for (size_t size = 0; size < kCases[i].size; ++size) {
      kp_image image = decode(kCases[i].bytes, size);
      kp_free(image.rgb);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pictures),
                                     cmocka_unit_test(test_every_prefix)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
