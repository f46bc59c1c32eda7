// JPEG 2000 by OpenJPEG. Its structures that are read here are the same in all of 2.x.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "provider/cpu/image/image.h"

// opj_image_comp_t and opj_image_t of openjpeg.h.
typedef struct jp2_component {
  uint32_t dx, dy, w, h, x0, y0, prec, bpp, sgnd, resno_decoded, factor;
  int32_t* data;
  uint16_t alpha;
} jp2_component;
typedef struct jp2_image {
  uint32_t x0, y0, x1, y1, count;
  int color_space;
  jp2_component* components;
} jp2_image;

enum { CODESTREAM = 0, JP2 = 2, SYCC = 3 };
enum {
  CREATE,
  DEFAULTS,
  SETUP,
  HEADER,
  DECODE,
  END,
  DESTROY_CODEC,
  STREAM,
  ON_READ,
  ON_SKIP,
  ON_SEEK,
  USER,
  LENGTH,
  DESTROY_STREAM,
  DESTROY_IMAGE,
  REQUIRED
};

static const char* const kSymbols[] = {"opj_create_decompress",
                                       "opj_set_default_decoder_parameters",
                                       "opj_setup_decoder",
                                       "opj_read_header",
                                       "opj_decode",
                                       "opj_end_decompress",
                                       "opj_destroy_codec",
                                       "opj_stream_create",
                                       "opj_stream_set_read_function",
                                       "opj_stream_set_skip_function",
                                       "opj_stream_set_seek_function",
                                       "opj_stream_set_user_data",
                                       "opj_stream_set_user_data_length",
                                       "opj_stream_destroy",
                                       "opj_image_destroy",
                                       NULL};
static kp_image_library openjpeg = {.format = "JPEG 2000",
                                    .package = "libopenjp2-7",
                                    .names = {"libopenjp2.so.7", "libopenjp2.so"},
                                    .symbols = kSymbols};

// --- the bytes as a stream -----------------------------------------------------------------------------------------------------------
typedef struct memory_stream {
  const uint8_t* bytes;
  size_t size, at;
} memory_stream;

static size_t stream_read(void* to, size_t count, void* user) {
  memory_stream* s = user;
  const size_t left = s->size - s->at, n = count < left ? count : left;
  if (!n) return SIZE_MAX;  // the end
  memcpy(to, s->bytes + s->at, n);
  s->at += n;
  return n;
}
static int64_t stream_skip(int64_t count, void* user) {
  memory_stream* s = user;
  if (count < 0 || (uint64_t)count > s->size - s->at) return -1;
  s->at += (size_t)count;
  return count;
}
static int stream_seek(int64_t offset, void* user) {
  memory_stream* s = user;
  if (offset < 0 || (uint64_t)offset > s->size) return 0;
  s->at = (size_t)offset;
  return 1;
}

static void* make_stream(memory_stream* memory) {
  void* (*create)(size_t, int);
  void (*set_user)(void*, void*, void*);
  void (*set_length)(void*, uint64_t);
  void (*set_read)(void*, size_t (*)(void*, size_t, void*));
  void (*set_skip)(void*, int64_t (*)(int64_t, void*));
  void (*set_seek)(void*, int (*)(int64_t, void*));
  kp_image_function(&openjpeg, STREAM, &create);
  kp_image_function(&openjpeg, ON_READ, &set_read);
  kp_image_function(&openjpeg, ON_SKIP, &set_skip);
  kp_image_function(&openjpeg, ON_SEEK, &set_seek);
  kp_image_function(&openjpeg, USER, &set_user);
  kp_image_function(&openjpeg, LENGTH, &set_length);
  void* stream = create(1 << 16, 1);
  if (!stream) return NULL;
  set_read(stream, stream_read);
  set_skip(stream, stream_skip);
  set_seek(stream, stream_seek);
  set_user(stream, memory, NULL);
  set_length(stream, memory->size);
  return stream;
}

// --- pixels --------------------------------------------------------------------------------------------------------------------------
// Component |c| at (x, y) of the picture's grid, scaled to 8 bits.
static double sample(const jp2_image* image, size_t c, size_t x, size_t y) {
  const jp2_component* p = &image->components[c];
  const size_t px = x / p->dx < p->w ? x / p->dx : p->w - 1,
               py = y / p->dy < p->h ? y / p->dy : p->h - 1;
  const double offset = p->sgnd ? (double)(UINT32_C(1) << (p->prec - 1)) : 0;
  const double top = (double)((UINT64_C(1) << p->prec) - 1);
  return ((double)p->data[py * p->w + px] + offset) * 255 / top;
}

static uint8_t to_byte(double x) { return x > 0 ? x < 255 ? (uint8_t)lround(x) : 255 : 0; }

static bool is_sane(const jp2_image* image) {
  if (image->count < 1 || image->x1 <= image->x0 || image->y1 <= image->y0) return false;
  const size_t used = image->count < 3 ? 1 : 3;
  for (size_t c = 0; c < used; ++c) {
    const jp2_component* p = &image->components[c];
    if (!p->data || !p->dx || !p->dy || !p->w || !p->h || p->prec < 1 || p->prec > 31) return false;
  }
  return true;
}

static kp_status* copy_pixels(const jp2_image* image, kp_image* out_image) {
  bool fits;
  if (!is_sane(image)) return NULL;
  KP_PASS(kp_image_room(out_image, image->x1 - image->x0, image->y1 - image->y0, &fits));
  for (size_t i = 0; fits && i < out_image->width * out_image->height; ++i) {
    const size_t x = i % out_image->width, y = i / out_image->width;
    uint8_t* rgb = out_image->rgb + i * 3;
    double v[3];
    for (size_t c = 0; c < 3; ++c) v[c] = sample(image, image->count < 3 ? 0 : c, x, y);
    if (image->color_space == SYCC && image->count >= 3) {  // ITU-R BT.601, full range
      const double luma = v[0], blue = v[1] - 128, red = v[2] - 128;
      v[0] = luma + 1.402 * red;
      v[1] = luma - 0.344136 * blue - 0.714136 * red;
      v[2] = luma + 1.772 * blue;
    }
    for (size_t c = 0; c < 3; ++c) rgb[c] = to_byte(v[c]);
  }
  return NULL;
}

static kp_status* decode(void* codec, void* stream, kp_image* out_image) {
  void (*defaults)(void*);
  int (*setup)(void*, void*);
  int (*header)(void*, void*, jp2_image**);
  int (*pixels)(void*, void*, jp2_image*);
  int (*end)(void*, void*);
  void (*destroy)(jp2_image*);
  kp_image_function(&openjpeg, DEFAULTS, &defaults);
  kp_image_function(&openjpeg, SETUP, &setup);
  kp_image_function(&openjpeg, HEADER, &header);
  kp_image_function(&openjpeg, DECODE, &pixels);
  kp_image_function(&openjpeg, END, &end);
  kp_image_function(&openjpeg, DESTROY_IMAGE, &destroy);
  // opj_dparameters_t, about half as large, whose defaults are all that is wanted.
  _Alignas(16) char parameters[20480] = {0};
  jp2_image* image = NULL;
  defaults(parameters);
  kp_status* status = NULL;
  if (setup(codec, parameters) && header(stream, codec, &image) && image &&
      (uint64_t)(image->x1 - image->x0) * (image->y1 - image->y0) <= KP_IMAGE_PIXELS &&
      pixels(codec, stream, image) && end(codec, stream))
    status = copy_pixels(image, out_image);
  if (image) destroy(image);
  return status;
}

kp_status* kp_image_jp2(const uint8_t* bytes, size_t size, kp_image* out_image) {
  void* (*create)(int);
  void (*destroy)(void*);
  KP_PASS(kp_image_open(&openjpeg, REQUIRED));
  memory_stream memory = {bytes, size, 0};
  kp_image_function(&openjpeg, CREATE, &create);
  void* codec = create(bytes[0] == 0xff ? CODESTREAM : JP2);
  void* stream = codec ? make_stream(&memory) : NULL;
  kp_status* status =
      stream ? decode(codec, stream, out_image) : KP_ERROR(OUT_OF_MEMORY, "a JPEG 2000 picture");
  kp_image_function(&openjpeg, DESTROY_STREAM, &destroy);
  if (stream) destroy(stream);
  kp_image_function(&openjpeg, DESTROY_CODEC, &destroy);
  if (codec) destroy(codec);
  return status;
}
