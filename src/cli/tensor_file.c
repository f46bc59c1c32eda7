// Values from files by their extension, and from a seed.
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"

bool cli_read_file(const char* path, char** out_bytes, size_t* out_size) {
  FILE* file = fopen(path, "rb");
  size_t size = 0, capacity = 1 << 16;
  char* bytes = file ? malloc(capacity) : NULL;
  while (bytes) {
    size += fread(bytes + size, 1, capacity - size, file);
    if (size < capacity) break;
    char* grown = realloc(bytes, capacity *= 2);
    if (!grown) free(bytes);
    bytes = grown;
  }
  if (!bytes || ferror(file)) {
    fprintf(stderr, "%s cannot be read: %s\n", path, strerror(errno));
    free(bytes);
    if (file) fclose(file);
    return false;
  }
  fclose(file);
  *out_bytes = bytes;
  *out_size = size;
  return true;
}

bool cli_write_file(const char* path, const void* bytes, size_t size) {
  FILE* file = fopen(path, "wb");
  const bool written = file && fwrite(bytes, 1, size, file) == size;
  const bool closed = !file || fclose(file) == 0;
  if (written && closed) return true;
  fprintf(stderr, "%s cannot be written: %s\n", path, strerror(errno));
  return false;
}

static bool ends_with(const char* text, const char* end) {
  const size_t n = strlen(text), m = strlen(end);
  return n >= m && strcasecmp(text + n - m, end) == 0;
}

// --- random ----------------------------------------------------------------------------------------------------------------
// splitmix64: a documented generator, the same numbers everywhere for one seed.
static uint64_t next_random(uint64_t* state) {
  uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static double uniform(uint64_t* state) { return (double)(next_random(state) >> 11) * 0x1p-53; }

kapell_value* cli_random_value(const kapell_io_info* info, const int64_t* dims, int32_t rank,
                               uint64_t seed) {
  const kapell_type type = info->type->element;
  kapell_value* value = NULL;
  if (info->type->kind != KAPELL_KIND_TENSOR || type == KAPELL_STRING || rank < 0) {
    fprintf(stderr, "input '%s' is no tensor of known rank (at most 32); give it a file\n",
            info->name);
    return NULL;
  }
  kapell_status* status = kapell_tensor_create(type, dims, rank, &value);
  if (status) {
    cli_print_status(status);
    return NULL;
  }
  uint64_t state = seed;
  const bool integers = type != KAPELL_FLOAT && type != KAPELL_DOUBLE && type != KAPELL_FLOAT16 &&
                        type != KAPELL_BFLOAT16;
  for (size_t i = 0; i < kapell_tensor_count(value); ++i) {
    const double u = uniform(&state), v = integers ? 0 : uniform(&state);
    kapell_tensor_set_double(
        value, i,
        integers ? (u < 0.5 ? 0 : 1) : sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v));
  }
  return value;
}

// --- files --------------------------------------------------------------------------------------------------------------------
static kapell_value* from_npz(const char* path, const char* array, const char* input,
                              const char* bytes, size_t size) {
  char* npy;
  size_t npy_size;
  if (!npz_find(path, bytes, size, array, input, &npy, &npy_size)) return NULL;
  kapell_value* value = npy_parse(path, npy, npy_size);
  free(npy);
  return value;
}

static kapell_value* from_pb(const char* path, const char* bytes, size_t size, kapell_kind kind) {
  kapell_value* value = NULL;
  kapell_status* status = kapell_value_read_pb(
      bytes, size, kind == KAPELL_KIND_NONE ? KAPELL_KIND_TENSOR : kind, &value);
  if (!status) return value;
  fprintf(stderr, "%s: ", path);
  cli_print_status(status);
  return NULL;
}

kapell_value* cli_read_value(const char* text, const kapell_io_info* info, const char* image,
                             const kapell_session* session, const cli_args* args) {
  if (!strncmp(text, "random", 6) && (!text[6] || text[6] == ':')) {
    char* end = NULL;
    const uint64_t seed = text[6] ? strtoull(text + 7, &end, 10) : 0;
    if (end && (end == text + 7 || *end))
      return fprintf(stderr, "'%s' is not random:SEED, SEED a number\n", text), NULL;
    int64_t dims[CLI_MAX_RANK];
    int32_t rank;
    if (!cli_choose_shape(args, info, dims, &rank)) return NULL;
    return cli_random_value(info, dims, rank, seed);
  }
  char path[4096];
  snprintf(path, sizeof(path), "%s", text);
  char* array = strstr(path, ".npz:");
  if (array) *(array += 4) = 0, ++array;
  char* bytes;
  size_t size;
  if (!cli_read_file(path, &bytes, &size)) return NULL;
  kapell_value* value = NULL;
  if (ends_with(path, ".npy"))
    value = npy_parse(path, bytes, size);
  else if (ends_with(path, ".npz"))
    value = from_npz(path, array, info->name, bytes, size);
  else if (ends_with(path, ".pb"))
    value = from_pb(path, bytes, size, info->type->kind);
  else if (ends_with(path, ".png") || ends_with(path, ".jpg") || ends_with(path, ".jpeg"))
    value = picture_read(path, bytes, size, info->type,
                         image ? image : kapell_session_metadata_find(session, "image"));
  else
    fprintf(stderr, "%s: the extension tells the format: .npy, .npz, .pb, .png or .jpg\n", path);
  free(bytes);
  return value;
}

bool cli_save_value(const char* path, const char* name, const kapell_value* value) {
  char* bytes = NULL;
  size_t size = 0;
  if (ends_with(path, ".pb")) {
    kapell_status* status = kapell_value_write_pb(value, name, &bytes, &size);
    const bool written = !status && cli_write_file(path, bytes, size);
    cli_print_status(status);
    kapell_free_text(bytes);
    return written;
  }
  const bool written = npy_write(value, &bytes, &size) && cli_write_file(path, bytes, size);
  free(bytes);
  return written;
}
