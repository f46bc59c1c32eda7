// Encoded pictures to pixels, for ImageDecoder. BMP and PNM are read here; the other formats by the system's libraries, opened when the
// first such picture comes and never linked.
//
// bytes ─▶ image.c (which format?) ─▶ bmp.c pnm.c │ png.c jpeg.c webp.c tiff.c jp2.c ─▶ RGB, 3 bytes a pixel, rows from the top
//
// A picture is hostile until it is decoded: every reader stays inside of |bytes|, and no picture has more than KP_IMAGE_PIXELS.
// Threads: callable from any.
#ifndef KP_PROVIDER_CPU_IMAGE_IMAGE_H_
#define KP_PROVIDER_CPU_IMAGE_IMAGE_H_

#include "base/size.h"
#include "base/status.h"

#define KP_IMAGE_PIXELS (UINT32_C(1) << 28)

typedef struct kp_image {
  size_t width, height;
  uint8_t* rgb;  // kp_free; NULL: the bytes are no picture
} kp_image;

// *out_image has no pixels when |bytes| are no picture of a known format, or a broken one: the operator then gives an empty tensor.
// Transparency is dropped. Errors: UNSUPPORTED (the format's library is not installed; names the package), OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_image_decode(const uint8_t* bytes, size_t size, kp_image* out_image);

// --- for the formats ---------------------------------------------------------------------------------------------------------------
// One format. Leaves |out_image| without pixels where it cannot decode; errors as above.
typedef kp_status* (*kp_image_fn)(const uint8_t* bytes, size_t size, kp_image* out_image);
kp_status* kp_image_bmp(const uint8_t* bytes, size_t size, kp_image* out_image);
kp_status* kp_image_pnm(const uint8_t* bytes, size_t size, kp_image* out_image);
kp_status* kp_image_png(const uint8_t* bytes, size_t size, kp_image* out_image);
kp_status* kp_image_jpeg(const uint8_t* bytes, size_t size, kp_image* out_image);
kp_status* kp_image_webp(const uint8_t* bytes, size_t size, kp_image* out_image);
kp_status* kp_image_tiff(const uint8_t* bytes, size_t size, kp_image* out_image);
kp_status* kp_image_jp2(const uint8_t* bytes, size_t size, kp_image* out_image);

// A shared library and the functions that are wanted of it.
#define KP_IMAGE_FUNCTIONS 24
typedef struct kp_image_library {
  const char* format;          // "PNG"
  const char* package;         // Debian's
  const char* names[4];        // of files, the one to prefer first; NULL-terminated
  const char* const* symbols;  // NULL-terminated, at most KP_IMAGE_FUNCTIONS
  void* functions
      [KP_IMAGE_FUNCTIONS];  // in the symbols' order; NULL for one that the library lacks. Set once
  bool open;
} kp_image_library;
// Opens |library| unless it is open. The first |required| symbols have to be there. Errors: UNSUPPORTED with the package.
KP_MUST_USE kp_status* kp_image_open(kp_image_library* library, size_t required);
// functions[index] as a pointer to a function; |out| points at one.
void kp_image_function(const kp_image_library* library, size_t index, void* out);

// Gives |image| room for width * height pixels. *out_fits false: no such picture (nothing is allocated). Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_image_room(kp_image* image, uint64_t width, uint64_t height,
                                     bool* out_fits);
// Takes the pixels away again: the picture turned out to be broken.
void kp_image_drop(kp_image* image);

#endif  // KP_PROVIDER_CPU_IMAGE_IMAGE_H_
