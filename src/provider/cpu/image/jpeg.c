// JPEG by TurboJPEG, the functional interface of libjpeg-turbo: its structures stay inside, so that one binary fits all versions. Its
// defaults are what the operator asks for: accurate integer DCT, smooth chroma upsampling.
#include "base/alloc.h"
#include "provider/cpu/image/image.h"

enum { PIXELS_RGB = 0, PIXELS_CMYK = 11, COLORS_CMYK = 3, COLORS_YCCK = 4 };

static const char* const kSymbols[] = {"tjInitDecompress", "tjDecompressHeader3", "tjDecompress2",
                                       "tjDestroy", NULL};
static kp_image_library turbo = {.format = "JPEG",
                                 .package = "libturbojpeg0",
                                 .names = {"libturbojpeg.so.0", "libturbojpeg.so"},
                                 .symbols = kSymbols};

typedef int (*decompress_fn)(void*, const uint8_t*, unsigned long, uint8_t*, int, int, int, int,
                             int);

// Inks, which files hold inverted, to light.
static kp_status* decode_cmyk(decompress_fn decompress, void* handle, const uint8_t* bytes,
                              size_t size, const kp_image* image, bool* out_done) {
  const size_t pixels = image->width * image->height;
  uint8_t* inks = kp_alloc_array(pixels, 4);
  if (!inks) return KP_ERROR(OUT_OF_MEMORY, "a JPEG picture");
  *out_done = decompress(handle, bytes, (unsigned long)size, inks, (int)image->width, 0,
                         (int)image->height, PIXELS_CMYK, 0) == 0;
  for (size_t i = 0; *out_done && i < pixels; ++i)
    for (size_t c = 0; c < 3; ++c)
      image->rgb[i * 3 + c] = (uint8_t)((inks[i * 4 + c] * inks[i * 4 + 3] + 127) / 255);
  kp_free(inks);
  return NULL;
}

kp_status* kp_image_jpeg(const uint8_t* bytes, size_t size, kp_image* out_image) {
  void* (*create)(void);
  int (*header)(void*, const uint8_t*, unsigned long, int*, int*, int*, int*);
  decompress_fn decompress;
  int (*destroy)(void*);
  KP_PASS(kp_image_open(&turbo, 4));
  kp_image_function(&turbo, 0, &create);
  kp_image_function(&turbo, 1, &header);
  kp_image_function(&turbo, 2, &decompress);
  kp_image_function(&turbo, 3, &destroy);
  void* handle = create();
  if (!handle) return KP_ERROR(OUT_OF_MEMORY, "a JPEG picture");
  int width = 0, height = 0, sampling, colors = 0;
  bool fits = false, done = false;
  kp_status* status = NULL;
  if (header(handle, bytes, (unsigned long)size, &width, &height, &sampling, &colors) == 0 &&
      width > 0 && height > 0)
    status = kp_image_room(out_image, (uint64_t)width, (uint64_t)height, &fits);
  if (fits && !status) {
    if (colors == COLORS_CMYK || colors == COLORS_YCCK)
      status = decode_cmyk(decompress, handle, bytes, size, out_image, &done);
    else
      done = decompress(handle, bytes, (unsigned long)size, out_image->rgb, width, 0, height,
                        PIXELS_RGB, 0) == 0;
  }
  if (!done) kp_image_drop(out_image);
  destroy(handle);
  return status;
}
