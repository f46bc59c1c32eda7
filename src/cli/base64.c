// Base64 as in RFC 4648, without line breaks.
#include <stdlib.h>
#include <string.h>

#include "cli/cases.h"

static const char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char* base64_encode(const void* bytes, size_t size) {
  const unsigned char* in = bytes;
  char* text = size < SIZE_MAX / 2 ? malloc((size + 2) / 3 * 4 + 1) : NULL;
  char* out = text;
  for (size_t i = 0; text && i < size; i += 3) {
    const size_t left = size - i;
    const unsigned long word = (unsigned long)in[i] << 16 |
                               (left > 1 ? (unsigned long)in[i + 1] << 8 : 0) |
                               (left > 2 ? in[i + 2] : 0);
    *out++ = kLetters[word >> 18 & 63];
    *out++ = kLetters[word >> 12 & 63];
    *out++ = left > 1 ? kLetters[word >> 6 & 63] : '=';
    *out++ = left > 2 ? kLetters[word & 63] : '=';
  }
  if (text) *out = 0;
  return text;
}

char* base64_decode(const char* text, size_t* out_size) {
  size_t length = strlen(text);
  if (length % 4 != 0) return NULL;
  while (length && text[length - 1] == '=') --length;
  if (length % 4 == 1 || strlen(text) - length > 2) return NULL;
  char* bytes = malloc(length / 4 * 3 + 4);
  size_t size = 0;
  unsigned long word = 0;
  for (size_t i = 0; bytes && i < length; ++i) {
    const char* at = strchr(kLetters, text[i]);
    if (!at) return free(bytes), NULL;
    word = word << 6 | (unsigned long)(at - kLetters);
    if (i % 4 == 0) continue;
    bytes[size++] = (char)(word >> (6 - 2 * (i % 4)) & 255);
  }
  *out_size = size;
  return bytes;
}
