// Writes .tar archives of a few files: the ustar header of POSIX.1-1988, which every tar reads.
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define BLOCK 512u

// |size| more bytes at the end, zeroed; NULL after a failure.
static char* grow(cli_tar* tar, size_t size) {
  if (tar->failed || size > SIZE_MAX / 4 - tar->size) return tar->failed = true, NULL;
  if (tar->size + size > tar->capacity) {
    const size_t capacity = (tar->size + size) + (tar->size + size) / 4;
    char* bytes = realloc(tar->bytes, capacity);
    if (!bytes) return tar->failed = true, NULL;
    tar->bytes = bytes;
    tar->capacity = capacity;
  }
  char* place = memset(tar->bytes + tar->size, 0, size);
  tar->size += size;
  return place;
}

// Size and checksum as octal digits. Owner, time and rights are nobody's business: 0, 0 and rw-r--r--.
static void fill_header(char* h, const char* name, size_t size) {
  memcpy(h, name, strlen(name));
  memcpy(h + 100, "0000644", 8);
  memcpy(h + 108, "0000000", 8);
  memcpy(h + 116, "0000000", 8);
  snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
  memcpy(h + 136, "00000000000", 12);
  memset(h + 148, ' ', 8);
  h[156] = '0';
  memcpy(h + 257,
         "ustar\0"
         "00",
         8);
  unsigned sum = 0;
  for (size_t i = 0; i < BLOCK; ++i) sum += (unsigned char)h[i];
  snprintf(h + 148, 8, "%06o", sum & 0777777u);
  h[155] = ' ';
}

void cli_tar_add(cli_tar* tar, const char* name, const void* bytes, size_t size) {
  if (strlen(name) >= 100 || size >= UINT64_C(1) << 33) {
    tar->failed = true;
    return;
  }
  char* header = grow(tar, BLOCK);
  if (!header) return;
  fill_header(header, name, size);
  char* place = grow(tar, (size + BLOCK - 1) / BLOCK * BLOCK);
  if (place && size) memcpy(place, bytes, size);
}

void cli_tar_end(cli_tar* tar) { (void)grow(tar, (size_t)2 * BLOCK); }
