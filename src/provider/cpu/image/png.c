// PNG by libpng's simplified interface, whose one structure is the same in all of 1.6.
#include <string.h>

#include "base/alloc.h"
#include "provider/cpu/image/image.h"

// png_image of png.h.
typedef struct png_picture {
  void* opaque;
  uint32_t version, width, height, format, flags, colormap_entries, warning_or_error;
  char message[64];
} png_picture;

enum { VERSION = 1, FORMAT_RGBA = 3, FLAG_16BIT_SRGB = 4 };

static const char* const kSymbols[] = {"png_image_begin_read_from_memory", "png_image_finish_read",
                                       "png_image_free", NULL};
static kp_image_library png = {.format = "PNG",
                               .package = "libpng16-16",
                               .names = {"libpng16.so.16", "libpng16.so"},
                               .symbols = kSymbols};

kp_status* kp_image_png(const uint8_t* bytes, size_t size, kp_image* out_image) {
  int (*begin)(png_picture*, const void*, size_t);
  int (*finish)(png_picture*, const void*, void*, int32_t, void*);
  void (*release)(png_picture*);
  KP_PASS(kp_image_open(&png, 3));
  kp_image_function(&png, 0, &begin);
  kp_image_function(&png, 1, &finish);
  kp_image_function(&png, 2, &release);
  png_picture picture = {.version = VERSION};
  bool fits = false;
  if (!begin(&picture, bytes, size)) return NULL;
  picture.format =
      FORMAT_RGBA;  // read with its transparency, which is then left out, instead of blended away
  picture.flags |= FLAG_16BIT_SRGB;
  kp_status* status = kp_image_room(out_image, picture.width, picture.height, &fits);
  uint8_t* rgba =
      fits && !status ? kp_alloc_array((size_t)picture.width * picture.height, 4) : NULL;
  if (fits && !status && !rgba) status = KP_ERROR(OUT_OF_MEMORY, "a PNG picture");
  const bool done = rgba && finish(&picture, NULL, rgba, 0, NULL);
  for (size_t i = 0; done && i < out_image->width * out_image->height; ++i)
    memcpy(out_image->rgb + i * 3, rgba + i * 4, 3);
  if (!done) {
    release(&picture);
    kp_image_drop(out_image);
  }
  kp_free(rgba);
  return status;
}
