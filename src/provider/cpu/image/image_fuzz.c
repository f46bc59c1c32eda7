// Fuzzes the readers of pictures that are our own, BMP and PNM; the other formats are their libraries' affair. Oracle: a decoded picture
// is not larger than the limit; a failing allocation leaks nothing.
#include "provider/cpu/image/image.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static void check(const uint8_t* data, size_t size, uint64_t fail_at) {
  const int64_t live = kp_alloc_live();
  kp_image image;
  kp_alloc_fail_at(fail_at);
  kp_status* const status = kp_image_decode(data, size, &image);
  kp_alloc_fail_at(0);
  require(!status || !image.rgb);
  require(!image.rgb ||
          (image.width && image.height && image.width * image.height <= KP_IMAGE_PIXELS));
  kp_status_free(status);
  kp_free(image.rgb);
  require(kp_alloc_live() == live);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || (data[0] != 'P' && data[0] != 'B')) return 0;
  check(data, size, 0);
  check(data, size, 1 + kp_hash_bytes(data, size, 1) % 4);
  return 0;
}
