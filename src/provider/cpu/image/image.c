// Which format a picture has, and the libraries that know it; see image.h.
#include "provider/cpu/image/image.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

// What a file of a format starts with.
typedef struct image_format {
  const char* start;
  size_t length;
  kp_image_fn decode;
} image_format;

static const image_format kFormats[] = {
    {"\x89PNG\r\n\x1a\n", 8, kp_image_png},
    {"\xff\xd8\xff", 3, kp_image_jpeg},
    {"BM", 2, kp_image_bmp},
    {"II*\0", 4, kp_image_tiff},
    {"MM\0*", 4, kp_image_tiff},
    {"II+\0", 4, kp_image_tiff},  // BigTIFF
    {"MM\0+", 4, kp_image_tiff},
    {"\0\0\0\x0cjP  \r\n\x87\n", 12, kp_image_jp2},
    {"\xff\x4f\xff\x51", 4, kp_image_jp2},  // a bare codestream
    {"P1", 2, kp_image_pnm},
    {"P2", 2, kp_image_pnm},
    {"P3", 2, kp_image_pnm},
    {"P4", 2, kp_image_pnm},
    {"P5", 2, kp_image_pnm},
    {"P6", 2, kp_image_pnm},
};

kp_status* kp_image_decode(const uint8_t* bytes, size_t size, kp_image* out_image) {
  *out_image = (kp_image){0};
  if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
    return kp_image_webp(bytes, size, out_image);
  for (size_t i = 0; i < sizeof(kFormats) / sizeof(kFormats[0]); ++i)
    if (size >= kFormats[i].length && memcmp(bytes, kFormats[i].start, kFormats[i].length) == 0)
      return kFormats[i].decode(bytes, size, out_image);
  return NULL;
}

kp_status* kp_image_room(kp_image* image, uint64_t width, uint64_t height, bool* out_fits) {
  *out_fits = width && height && width <= KP_IMAGE_PIXELS && height <= KP_IMAGE_PIXELS / width;
  if (!*out_fits) return NULL;
  *image = (kp_image){(size_t)width, (size_t)height, kp_alloc_zero((size_t)(width * height), 3)};
  return image->rgb
             ? NULL
             : KP_ERROR(OUT_OF_MEMORY, "a picture of %zu x %zu", image->width, image->height);
}

void kp_image_drop(kp_image* image) {
  kp_free(image->rgb);
  *image = (kp_image){0};
}

// --- libraries ---------------------------------------------------------------------------------------------------------------------
// Libraries are opened one at a time and stay open. |open| is read and written under the lock alone; what it guards is not written again.
static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

static void* open_any(const char* const* names) {
  for (; *names; ++names) {
    void* handle = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
    if (handle) return handle;
  }
  return NULL;
}

static bool open_library(kp_image_library* library, size_t required) {
  if (library->open) return true;
  void* handle = open_any(library->names);
  if (!handle) return false;
  bool complete = true;
  for (size_t i = 0; library->symbols[i]; ++i) {
    library->functions[i] = dlsym(handle, library->symbols[i]);
    complete &= i >= required || library->functions[i] != NULL;
  }
  if (!complete) dlclose(handle);
  return library->open = complete;
}

kp_status* kp_image_open(kp_image_library* library, size_t required) {
  pthread_mutex_lock(&library_lock);
  const bool open = open_library(library, required);
  pthread_mutex_unlock(&library_lock);
  if (open) return NULL;
  return KP_ERROR(UNSUPPORTED, "a %s picture: %s is not installed (Debian: apt install %s)",
                  library->format, library->names[0], library->package);
}

void kp_image_function(const kp_image_library* library, size_t index, void* out) {
  memcpy(out, &library->functions[index], sizeof(library->functions[index]));
}
