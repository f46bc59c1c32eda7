// BMP: 1 to 32 bits a pixel, palettes, bit fields, run lengths.
#include <string.h>

#include "provider/cpu/image/image.h"

enum { PLAIN = 0, RUNS_8 = 1, RUNS_4 = 2, FIELDS = 3, ALPHA_FIELDS = 6 };

typedef struct bitmap {
  const uint8_t* bytes;
  size_t size, pixels;  // |pixels|: where they start
  size_t palette, palette_count, palette_entry;
  uint32_t width, height, bits, compression;
  uint32_t masks[3];  // red, green, blue
  bool top_down;
} bitmap;

// Little-endian numbers; 0 past the end, which no caller takes for a picture's size.
static uint32_t number(const bitmap* b, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | (at + i < b->size ? b->bytes[at + i] : 0);
  return value;
}

static void default_masks(bitmap* b) {
  for (uint32_t c = 0; c < 3; ++c)
    b->masks[c] = b->bits == 16 ? UINT32_C(31) << (10 - 5 * c) : UINT32_C(255) << (16 - 8 * c);
}

static bool read_header(bitmap* b) {
  const uint32_t header = number(b, 14, 4);
  const bool core = header == 12;
  b->pixels = number(b, 10, 4);
  if ((!core && header < 40) || header > b->size) return false;
  b->width = core ? number(b, 18, 2) : number(b, 18, 4);
  const int32_t height = core ? (int32_t)number(b, 20, 2) : (int32_t)number(b, 22, 4);
  b->top_down = height < 0;
  b->height = height < 0 ? 0 - (uint32_t)height : (uint32_t)height;
  b->bits = number(b, core ? 24 : 28, 2);
  b->compression = core ? PLAIN : number(b, 30, 4);
  b->palette = 14 + (size_t)header;
  b->palette_entry = core ? 3 : 4;
  default_masks(b);
  if (b->compression == FIELDS || b->compression == ALPHA_FIELDS) {
    if (b->bits != 16 && b->bits != 32) return false;
    for (size_t c = 0; c < 3; ++c) b->masks[c] = number(b, 54 + 4 * c, 4);
    if (header == 40) b->palette += b->compression == FIELDS ? 12 : 16;
  }
  const uint32_t used = core ? 0 : number(b, 46, 4);
  b->palette_count = b->bits > 8                             ? 0
                     : used && used < UINT32_C(1) << b->bits ? used
                                                             : (size_t)1 << b->bits;
  if (b->compression == RUNS_8 && b->bits != 8) return false;
  if (b->compression == RUNS_4 && b->bits != 4) return false;
  const bool depth = b->bits == 1 || b->bits == 2 || b->bits == 4 || b->bits == 8 ||
                     b->bits == 16 || b->bits == 24 || b->bits == 32;
  return depth && b->pixels < b->size &&
         (b->compression <= FIELDS || b->compression == ALPHA_FIELDS);
}

static uint8_t* pixel_of(const bitmap* b, const kp_image* image, size_t x, size_t y) {
  return image->rgb + ((b->top_down ? y : b->height - 1 - y) * image->width + x) * 3;
}

static void put_index(const bitmap* b, const kp_image* image, size_t x, size_t y, uint32_t index) {
  if (x >= b->width || y >= b->height || index >= b->palette_count) return;
  const size_t at = b->palette + index * b->palette_entry;
  for (size_t c = 0; c < 3; ++c) pixel_of(b, image, x, y)[2 - c] = (uint8_t)number(b, at + c, 1);
}

static uint8_t field(uint32_t value, uint32_t mask) {
  if (!mask) return 0;
  const int shift = __builtin_ctz(mask);
  const uint64_t top = mask >> shift;
  return (uint8_t)(((value & mask) >> shift) * UINT64_C(255) / top);
}

static bool read_plain(const bitmap* b, const kp_image* image) {
  const size_t row = ((size_t)b->width * b->bits + 31) / 32 * 4;
  if (row == 0) return false;
  if ((b->size - b->pixels) / row < b->height) {
    // The last row's padding may be missing.
    const size_t need = row * (b->height - 1) + ((size_t)b->width * b->bits + 7) / 8;
    if (b->size - b->pixels < need) return false;
  }
  for (size_t y = 0; y < b->height; ++y) {
    for (size_t x = 0; x < b->width; ++x) {
      const size_t bit = x * b->bits, at = b->pixels + y * row + bit / 8;
      if (b->bits <= 8) {
        const uint32_t shift = 8 - b->bits - (uint32_t)(bit % 8);
        put_index(b, image, x, y, (uint32_t)(b->bytes[at] >> shift) & ((1u << b->bits) - 1));
        continue;
      }
      const uint32_t value = number(b, at, b->bits / 8);
      for (size_t c = 0; c < 3; ++c) pixel_of(b, image, x, y)[c] = field(value, b->masks[c]);
    }
  }
  return true;
}

// Runs of one index, or of indices as they are; escapes end a row or the picture, or move on.
static void read_runs(const bitmap* b, const kp_image* image) {
  size_t at = b->pixels, x = 0, y = 0;
  const bool nibbles = b->compression == RUNS_4;
  while (at + 2 <= b->size && y < b->height) {
    const uint32_t count = b->bytes[at], code = b->bytes[at + 1];
    at += 2;
    if (count) {
      for (uint32_t i = 0; i < count; ++i)
        put_index(b, image, x++, y, nibbles ? (i & 1 ? code & 15 : code >> 4) : code);
    } else if (code == 0) {
      x = 0, ++y;
    } else if (code == 1) {
      return;
    } else if (code == 2) {
      x += number(b, at, 1), y += number(b, at + 1, 1);
      at += 2;
    } else {
      for (uint32_t i = 0; i < code; ++i) {
        const uint32_t pair = number(b, at + (nibbles ? i / 2 : i), 1);
        put_index(b, image, x++, y, nibbles ? (i & 1 ? pair & 15 : pair >> 4) : pair);
      }
      const size_t bytes = nibbles ? (code + 1) / 2 : code;
      at += bytes + bytes % 2;
    }
  }
}

kp_status* kp_image_bmp(const uint8_t* bytes, size_t size, kp_image* out_image) {
  bitmap b = {.bytes = bytes, .size = size};
  bool fits;
  if (!read_header(&b)) return NULL;
  const bool runs = b.compression == RUNS_8 || b.compression == RUNS_4;
  // No room for pixels that cannot be there: of runs, 128 a byte at most.
  if (b.width && b.height / 128 > size / b.width + 1) return NULL;
  KP_PASS(kp_image_room(out_image, b.width, b.height, &fits));
  if (!fits) return NULL;
  if (runs)
    read_runs(&b, out_image);
  else if (!read_plain(&b, out_image))
    kp_image_drop(out_image);
  return NULL;
}
