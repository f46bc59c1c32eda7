// Arrays in NumPy's .npz files: a ZIP archive of .npy files, stored or deflated. zlib inflates.
// Source: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.16 (and ZIP64's extra field for archives that numpy writes so).
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#ifdef KAPELL_HAVE_ZLIB
#include <zlib.h>

typedef struct zip {
  const char* path;
  const unsigned char* bytes;
  size_t size;
} zip;

static uint32_t u16(const unsigned char* at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }

static uint32_t u32(const unsigned char* at) { return u16(at) | u16(at + 2) << 16; }

static bool bad(const zip* z, const char* why) {
  fprintf(stderr, "%s: not a .npz file that can be read: %s\n", z->path, why);
  return false;
}

// The end of the central directory: within the last 64 KiB.
static bool find_end(const zip* z, size_t* out_at) {
  for (size_t back = 22; back <= z->size && back < 22 + 65536; ++back) {
    if (u32(z->bytes + z->size - back) != 0x06054b50) continue;
    *out_at = z->size - back;
    return true;
  }
  return bad(z, "it has no directory");
}

// One file of the directory at |at|: its name without ".npy", its data.
typedef struct member {
  const char* name;
  size_t name_length, next, offset, packed, plain;
  uint32_t method;
} member;

static bool read_member(const zip* z, size_t at, member* m) {
  if (at > z->size || z->size - at < 46 || u32(z->bytes + at) != 0x02014b50)
    return bad(z, "its directory is cut off");
  const unsigned char* e = z->bytes + at;
  const size_t name = u16(e + 28), extra = u16(e + 30), comment = u16(e + 32);
  if (z->size - at - 46 < name + extra + comment) return bad(z, "its directory is cut off");
  *m = (member){.name = (const char*)e + 46,
                .name_length = name,
                .next = at + 46 + name + extra + comment,
                .offset = u32(e + 42),
                .packed = u32(e + 20),
                .plain = u32(e + 24),
                .method = u16(e + 10)};
  if (m->packed == UINT32_MAX || m->plain == UINT32_MAX || m->offset == UINT32_MAX)
    return bad(z, "arrays over 4 GB are not read from archives");
  if (name >= 4 && memcmp(m->name + name - 4, ".npy", 4) == 0) m->name_length -= 4;
  return true;
}

static bool inflate_member(const zip* z, const member* m, const unsigned char* data, char* out) {
  z_stream s = {.next_in = (Bytef*)(uintptr_t)data,
                .avail_in = (uInt)m->packed,
                .next_out = (Bytef*)out,
                .avail_out = (uInt)m->plain};
  if (inflateInit2(&s, -15) != Z_OK) return bad(z, "zlib could not start");
  const int result = inflate(&s, Z_FINISH);
  inflateEnd(&s);
  return result == Z_STREAM_END && s.avail_out == 0 ? true : bad(z, "an array is damaged");
}

static bool unpack(const zip* z, const member* m, char** out_bytes, size_t* out_size) {
  if (m->offset > z->size || z->size - m->offset < 30 || u32(z->bytes + m->offset) != 0x04034b50)
    return bad(z, "an array lies outside of it");
  const unsigned char* local = z->bytes + m->offset;
  const size_t skip = 30 + u16(local + 26) + u16(local + 28);
  if (z->size - m->offset < skip || z->size - m->offset - skip < m->packed)
    return bad(z, "an array is cut off");
  if (m->method != 0 && m->method != 8)
    return bad(z, "an array is packed in a way other than deflate");
  if (m->method == 0 && m->packed != m->plain) return bad(z, "an array's sizes disagree");
  char* out = malloc(m->plain ? m->plain : 1);
  if (!out) return bad(z, "out of memory");
  if (m->method == 0)
    memcpy(out, local + skip, m->plain);
  else if (!inflate_member(z, m, local + skip, out))
    return free(out), false;
  *out_bytes = out;
  *out_size = m->plain;
  return true;
}

bool npz_find(const char* path, const char* bytes, size_t size, const char* name,
              const char* otherwise, char** out_bytes, size_t* out_size) {
  const zip z = {path, (const unsigned char*)bytes, size};
  size_t end;
  if (!find_end(&z, &end)) return false;
  const uint32_t count = u16(z.bytes + end + 10);
  size_t at = u32(z.bytes + end + 16);
  if (!name && count != 1) name = otherwise;
  for (uint32_t i = 0; i < count; ++i) {
    member m;
    if (!read_member(&z, at, &m)) return false;
    if (!name || (strlen(name) == m.name_length && memcmp(name, m.name, m.name_length) == 0))
      return unpack(&z, &m, out_bytes, out_size);
    at = m.next;
  }
  fprintf(stderr, "%s holds no array '%s' among its %u; name one as %s:NAME\n", path,
          name ? name : "", count, path);
  return false;
}

#else
bool npz_find(const char* path, const char* bytes, size_t size, const char* name,
              const char* otherwise, char** out_bytes, size_t* out_size) {
  (void)bytes, (void)size, (void)name, (void)otherwise, (void)out_bytes, (void)out_size;
  fprintf(stderr, "%s: this kapell was built without zlib (zlib1g-dev) and reads no .npz\n", path);
  return false;
}
#endif
