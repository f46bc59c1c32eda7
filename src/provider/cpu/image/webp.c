// WebP by libwebp.
#include "provider/cpu/image/image.h"

static const char* const kSymbols[] = {"WebPGetInfo", "WebPDecodeRGBInto", NULL};
static kp_image_library webp = {.format = "WebP",
                                .package = "libwebp7",
                                .names = {"libwebp.so.7", "libwebp.so.6", "libwebp.so"},
                                .symbols = kSymbols};

kp_status* kp_image_webp(const uint8_t* bytes, size_t size, kp_image* out_image) {
  int (*info)(const uint8_t*, size_t, int*, int*);
  uint8_t* (*decode)(const uint8_t*, size_t, uint8_t*, size_t, int);
  KP_PASS(kp_image_open(&webp, 2));
  kp_image_function(&webp, 0, &info);
  kp_image_function(&webp, 1, &decode);
  int width = 0, height = 0;
  bool fits;
  if (!info(bytes, size, &width, &height) || width < 1 || height < 1) return NULL;
  KP_PASS(kp_image_room(out_image, (uint64_t)width, (uint64_t)height, &fits));
  if (fits &&
      !decode(bytes, size, out_image->rgb, out_image->width * out_image->height * 3, width * 3))
    kp_image_drop(out_image);
  return NULL;
}
