// NumPy's .npy files, versions 1 to 3: little-endian C or Fortran order, numbers and bools.
// Source: NEP 1 (numpy.lib.format).
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

typedef struct dtype {
  const char* text;
  kapell_type type;
} dtype;

static const dtype kTypes[] = {
    {"<f4", KAPELL_FLOAT},     {"<f8", KAPELL_DOUBLE},      {"<f2", KAPELL_FLOAT16},
    {"|i1", KAPELL_INT8},      {"<i2", KAPELL_INT16},       {"<i4", KAPELL_INT32},
    {"<i8", KAPELL_INT64},     {"|u1", KAPELL_UINT8},       {"<u2", KAPELL_UINT16},
    {"<u4", KAPELL_UINT32},    {"<u8", KAPELL_UINT64},      {"|b1", KAPELL_BOOL},
    {"<c8", KAPELL_COMPLEX64}, {"<c16", KAPELL_COMPLEX128},
};

static kapell_value* bad(const char* what, const char* why) {
  fprintf(stderr, "%s: not a .npy file that can be read: %s\n", what, why);
  return NULL;
}

// The text after 'key': in the header dictionary, or NULL.
static const char* entry(const char* header, const char* key) {
  const char* at = strstr(header, key);
  at = at ? strchr(at, ':') : NULL;
  return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

static kapell_type read_type(const char* header) {
  const char* text = entry(header, "'descr'");
  if (!text || *text != '\'') return KAPELL_UNDEFINED;
  const size_t length = strcspn(text + 1, "'");
  for (size_t i = 0; i < sizeof(kTypes) / sizeof(kTypes[0]); ++i)
    if (strlen(kTypes[i].text) == length && strncmp(text + 1, kTypes[i].text, length) == 0)
      return kTypes[i].type;
  return KAPELL_UNDEFINED;
}

// Dims of "(2, 3)"; -1 where malformed.
static int32_t read_shape(const char* header, int64_t* dims) {
  const char* text = entry(header, "'shape'");
  if (!text || *text != '(') return -1;
  int32_t rank = 0;
  for (++text; *text && *text != ')';) {
    char* end;
    const long long dim = strtoll(text, &end, 10);
    if (end == text || dim < 0 || rank == 32) return -1;
    dims[rank++] = dim;
    text = end + strspn(end, ", ");
  }
  return *text == ')' ? rank : -1;
}

// Brings Fortran order to C order: element at (i0, i1, ...) lies at i0 + d0 * (i1 + ...).
static void from_fortran(const char* from, const int64_t* dims, int32_t rank, size_t size,
                         size_t count, char* to) {
  int64_t at[32] = {0};
  for (size_t i = 0; i < count; ++i) {
    size_t source = 0;
    for (int32_t d = rank; d-- > 0;) source = source * (size_t)dims[d] + (size_t)at[d];
    memcpy(to + i * size, from + source * size, size);
    for (int32_t d = rank; d-- > 0 && ++at[d] == dims[d];) at[d] = 0;
  }
}

kapell_value* npy_parse(const char* what, const char* bytes, size_t size) {
  static const char kMagic[] = "\x93NUMPY";
  if (size < 12 || memcmp(bytes, kMagic, 6) != 0)
    return bad(what, "it does not start with the magic of such files");
  const unsigned char* u = (const unsigned char*)bytes;
  const size_t start = u[6] == 1 ? 10 : 12;
  const size_t length =
      u[6] == 1 ? (size_t)u[8] | (size_t)u[9] << 8
                : (size_t)u[8] | (size_t)u[9] << 8 | (size_t)u[10] << 16 | (size_t)u[11] << 24;
  if (u[6] < 1 || u[6] > 3 || length > size - start || length > 1u << 20)
    return bad(what, "its header is longer than the file");
  char* header = strndup(bytes + start, length);
  if (!header) return bad(what, "out of memory");
  int64_t dims[32];
  const kapell_type type = read_type(header);
  const int32_t rank = read_shape(header, dims);
  const char* order = entry(header, "'fortran_order'");
  const bool fortran = order && strncmp(order, "True", 4) == 0;
  free(header);
  if (type == KAPELL_UNDEFINED)
    return bad(what, "its element type is not one that models take (objects, strings, big-endian)");
  if (rank < 0) return bad(what, "its shape is malformed");
  kapell_value* value = NULL;
  kapell_status* status = kapell_tensor_create(type, dims, rank, &value);
  if (status) {
    cli_print_status(status);
    return NULL;
  }
  const size_t want = kapell_tensor_byte_count(value);
  if (size - start - length < want) {
    kapell_value_release(value);
    return bad(what, "it ends before its data does");
  }
  const char* data = bytes + start + length;
  if (fortran)
    from_fortran(data, dims, rank, kapell_type_bits(type) / 8, kapell_tensor_count(value),
                 kapell_tensor_data(value));
  else if (want)
    memcpy(kapell_tensor_data(value), data, want);
  return value;
}

static const char* descr_of(const kapell_value* value) {
  if (kapell_value_kind(value) != KAPELL_KIND_TENSOR) return NULL;
  for (size_t i = 0; i < sizeof(kTypes) / sizeof(kTypes[0]); ++i)
    if (kTypes[i].type == kapell_value_type(value)) return kTypes[i].text;
  return NULL;
}

bool npy_takes(const kapell_value* value) { return descr_of(value) != NULL; }

bool npy_write(const kapell_value* value, char** out_bytes, size_t* out_size) {
  const char* descr = descr_of(value);
  if (!descr) {
    fprintf(stderr, "a value of this type cannot be saved as .npy; use .pb\n");
    return false;
  }
  char header[1024];
  int n =
      snprintf(header, sizeof(header), "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int32_t d = 0; d < kapell_tensor_rank(value); ++d)
    n += snprintf(header + n, sizeof(header) - (size_t)n, "%lld,",
                  (long long)kapell_tensor_dims(value)[d]);
  n += snprintf(header + n, sizeof(header) - (size_t)n, "), }");
  while ((n + 11) % 64) header[n++] = ' ';
  header[n++] = '\n';
  const size_t data = kapell_tensor_byte_count(value);
  char* bytes = malloc((size_t)n + 10 + data);
  if (!bytes) return fprintf(stderr, "out of memory\n"), false;
  memcpy(bytes, "\x93NUMPY\x01\x00", 8);
  bytes[8] = (char)(n & 255);
  bytes[9] = (char)(n >> 8);
  memcpy(bytes + 10, header, (size_t)n);
  if (data) memcpy(bytes + 10 + n, kapell_tensor_const_data(value), data);
  *out_bytes = bytes;
  *out_size = (size_t)n + 10 + data;
  return true;
}
