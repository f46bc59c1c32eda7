// PBM, PGM and PPM, as text (P1 to P3) and as bytes (P4 to P6).
#include "provider/cpu/image/image.h"

typedef struct reader {
  const uint8_t* at;
  const uint8_t* end;
} reader;

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void skip_space(reader* r) {
  while (r->at < r->end && (is_space(*r->at) || *r->at == '#')) {
    if (*r->at == '#')
      while (r->at < r->end && *r->at != '\n') ++r->at;
    else
      ++r->at;
  }
}

// A number after spaces and comments, up to |most|.
static bool read_number(reader* r, uint32_t most, uint32_t* out) {
  skip_space(r);
  const uint8_t* start = r->at;
  *out = 0;
  for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; ++r->at) {
    if (*out > most / 10) return false;
    *out = *out * 10 + (uint32_t)(*r->at - '0');
  }
  return r->at > start && *out <= most;
}

// The next sample of a text; a bitmap's digits may stand without spaces.
static bool text_sample(reader* r, bool bits, uint32_t top, uint32_t* out) {
  if (!bits) return read_number(r, top, out);
  skip_space(r);
  if (r->at == r->end || (*r->at != '0' && *r->at != '1')) return false;
  *out = (uint32_t)(*r->at++ - '0');
  return true;
}

static bool byte_sample(reader* r, uint32_t top, uint32_t* out) {
  const ptrdiff_t size = top > 255 ? 2 : 1;
  if (r->end - r->at < size) return false;
  *out = size == 2 ? (uint32_t)(r->at[0] << 8 | r->at[1]) : r->at[0];
  r->at += size;
  return true;
}

static bool read_bits(reader* r, const kp_image* image) {
  const size_t row = (image->width + 7) / 8;
  if ((size_t)(r->end - r->at) / row < image->height) return false;
  for (size_t i = 0; i < image->width * image->height; ++i) {
    const size_t x = i % image->width;
    const bool black = r->at[i / image->width * row + x / 8] >> (7 - x % 8) & 1;
    for (size_t c = 0; c < 3; ++c) image->rgb[i * 3 + c] = black ? 0 : 255;
  }
  return true;
}

static bool read_samples(reader* r, char kind, uint32_t top, const kp_image* image) {
  const bool text = kind <= '3', color = kind == '3' || kind == '6', bits = kind == '1';
  for (size_t i = 0; i < image->width * image->height; ++i) {
    uint32_t value = 0;
    for (size_t c = 0; c < 3; ++c) {
      if ((c == 0 || color) &&
          !(text ? text_sample(r, bits, top, &value) : byte_sample(r, top, &value)))
        return false;
      const uint32_t light =
          bits ? !value * 255 : (uint32_t)(((uint64_t)value * 255 + top / 2) / top);
      image->rgb[i * 3 + c] = (uint8_t)(light < 255 ? light : 255);
    }
  }
  return true;
}

kp_status* kp_image_pnm(const uint8_t* bytes, size_t size, kp_image* out_image) {
  reader r = {bytes + 2, bytes + size};
  const char kind = (char)bytes[1];
  uint32_t width, height, top = 1;
  bool fits;
  if (!read_number(&r, KP_IMAGE_PIXELS, &width) || !read_number(&r, KP_IMAGE_PIXELS, &height))
    return NULL;
  if (kind != '1' && kind != '4' && (!read_number(&r, 65535, &top) || !top)) return NULL;
  if (kind >= '4' && (r.at == r.end || !is_space(*r.at++))) return NULL;  // one space, then bytes
  // No room for pixels that cannot be there: a pixel takes a bit at least.
  if (width && height / 8 > size / width + 1) return NULL;
  KP_PASS(kp_image_room(out_image, width, height, &fits));
  if (fits && !(kind == '4' ? read_bits(&r, out_image) : read_samples(&r, kind, top, out_image)))
    kp_image_drop(out_image);
  return NULL;
}
