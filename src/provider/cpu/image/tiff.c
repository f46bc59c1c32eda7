// TIFF by libtiff's own conversion to RGBA, which knows every kind of TIFF that it can read. The file is the bytes in memory.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "provider/cpu/image/image.h"

enum { TAG_WIDTH = 256, TAG_LENGTH = 257, TOP_LEFT = 1 };
enum { OPEN, GET, READ, CLOSE, REQUIRED, ALLOC = REQUIRED, ON_ERROR, ON_WARNING, OPEN_EXT, FREE };

static const char* const kSymbols[] = {
    "TIFFClientOpen", "TIFFGetField", "TIFFReadRGBAImageOriented", "TIFFClose",
    // since 4.5: what it has to say is then not printed
    "TIFFOpenOptionsAlloc", "TIFFOpenOptionsSetErrorHandlerExtR",
    "TIFFOpenOptionsSetWarningHandlerExtR", "TIFFClientOpenExt", "TIFFOpenOptionsFree", NULL};
static kp_image_library tiff = {.format = "TIFF",
                                .package = "libtiff6",
                                .names = {"libtiff.so.6", "libtiff.so.5", "libtiff.so"},
                                .symbols = kSymbols};

// --- the bytes as a file -----------------------------------------------------------------------------------------------------------
typedef struct memory_file {
  const uint8_t* bytes;
  size_t size;
  uint64_t at;
} memory_file;

static int64_t file_read(void* user, void* to, int64_t count) {
  memory_file* f = user;
  const uint64_t left = f->at < f->size ? f->size - f->at : 0;
  const uint64_t n = count < 0 ? 0 : (uint64_t)count < left ? (uint64_t)count : left;
  if (n) memcpy(to, f->bytes + f->at, (size_t)n);
  f->at += n;
  return (int64_t)n;
}
static int64_t file_write(void* user, void* from, int64_t count) {
  (void)user, (void)from, (void)count;
  return -1;
}
static uint64_t file_seek(void* user, uint64_t offset, int whence) {
  memory_file* f = user;
  f->at = whence == SEEK_CUR ? f->at + offset : whence == SEEK_END ? f->size + offset : offset;
  return f->at;
}
static int file_close(void* user) {
  (void)user;
  return 0;
}
static uint64_t file_size(void* user) { return ((memory_file*)user)->size; }
static int file_map(void* user, void** base, uint64_t* size) {
  (void)user, (void)base, (void)size;
  return 0;
}
static void file_unmap(void* user, void* base, uint64_t size) {
  (void)user, (void)base, (void)size;
}

static int say_nothing(void* handle, void* user, const char* module, const char* format,
                       va_list list) {
  (void)handle, (void)user, (void)module, (void)format, (void)list;
  return 1;
}

typedef int64_t (*io_fn)(void*, void*, int64_t);
typedef void* (*open_fn)(const char*, const char*, void*, io_fn, io_fn,
                         uint64_t (*)(void*, uint64_t, int), int (*)(void*), uint64_t (*)(void*),
                         int (*)(void*, void**, uint64_t*), void (*)(void*, void*, uint64_t));
typedef void* (*open_ext_fn)(const char*, const char*, void*, io_fn, io_fn,
                             uint64_t (*)(void*, uint64_t, int), int (*)(void*),
                             uint64_t (*)(void*), int (*)(void*, void**, uint64_t*),
                             void (*)(void*, void*, uint64_t), void*);
typedef int (*handler_fn)(void*, void*, const char*, const char*, va_list);

static void* open_file(memory_file* file) {
  static const char kMode[] = "rm";  // m: not mapped
  open_fn open;
  open_ext_fn open_ext;
  void* (*create)(void);
  void (*set)(void*, handler_fn, void*);
  void (*release)(void*);
  kp_image_function(&tiff, OPEN, &open);
  bool quiet = true;
  for (size_t i = ALLOC; i <= FREE; ++i) quiet &= tiff.functions[i] != NULL;
  if (!quiet)
    return open("picture", kMode, file, file_read, file_write, file_seek, file_close, file_size,
                file_map, file_unmap);
  kp_image_function(&tiff, ALLOC, &create);
  kp_image_function(&tiff, OPEN_EXT, &open_ext);
  kp_image_function(&tiff, FREE, &release);
  void* options = create();
  if (!options) return NULL;
  kp_image_function(&tiff, ON_ERROR, &set);
  set(options, say_nothing, NULL);
  kp_image_function(&tiff, ON_WARNING, &set);
  set(options, say_nothing, NULL);
  void* handle = open_ext("picture", kMode, file, file_read, file_write, file_seek, file_close,
                          file_size, file_map, file_unmap, options);
  release(options);
  return handle;
}

static kp_status* read_pixels(void* handle, kp_image* out_image) {
  int (*get)(void*, uint32_t, ...);
  int (*read)(void*, uint32_t, uint32_t, uint32_t*, int, int);
  kp_image_function(&tiff, GET, &get);
  kp_image_function(&tiff, READ, &read);
  uint32_t width = 0, height = 0;
  bool fits;
  if (!get(handle, TAG_WIDTH, &width) || !get(handle, TAG_LENGTH, &height)) return NULL;
  KP_PASS(kp_image_room(out_image, width, height, &fits));
  if (!fits) return NULL;
  const size_t pixels = out_image->width * out_image->height;
  uint32_t* abgr = kp_alloc_array(pixels, sizeof(*abgr));
  const bool done = abgr && read(handle, width, height, abgr, TOP_LEFT, 1);
  for (size_t i = 0; done && i < pixels; ++i)
    for (size_t c = 0; c < 3; ++c) out_image->rgb[i * 3 + c] = (uint8_t)(abgr[i] >> (8 * c));
  kp_status* status = abgr ? NULL : KP_ERROR(OUT_OF_MEMORY, "a TIFF picture");
  kp_free(abgr);
  if (!done) kp_image_drop(out_image);
  return status;
}

kp_status* kp_image_tiff(const uint8_t* bytes, size_t size, kp_image* out_image) {
  KP_PASS(kp_image_open(&tiff, REQUIRED));
  void (*close)(void*);
  kp_image_function(&tiff, CLOSE, &close);
  memory_file file = {bytes, size, 0};
  void* handle = open_file(&file);
  if (!handle) return NULL;
  kp_status* status = read_pixels(handle, out_image);
  close(handle);
  return status;
}
