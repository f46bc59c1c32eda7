// Runs a fuzz target over stored inputs, without libFuzzer: `replay FOLDER_OR_FILE...`. Every preset but `fuzz` links each
// *_fuzz.c with this file, so that the corpus is an ordinary test. The empty input is always tried; a folder that does not
// exist counts as empty.
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static size_t replayed_count;

// The input lies in an allocation of exactly its size, so that a read past its end is caught by ASan.
static int replay_file(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file) return fprintf(stderr, "cannot open %s\n", path), 1;
  long size = -1;
  if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  uint8_t* data = size > 0 ? malloc((size_t)size) : NULL;
  const int bad = size < 0 || (size > 0 && !data) || fseek(file, 0, SEEK_SET) != 0 ||
                  (size > 0 && fread(data, 1, (size_t)size, file) != (size_t)size);
  fclose(file);
  if (bad) {
    fprintf(stderr, "cannot read %s\n", path);
  } else {
    LLVMFuzzerTestOneInput(data, (size_t)size);
    ++replayed_count;
  }
  free(data);
  return bad;
}

static int replay(const char* path) {
  struct stat info;
  if (stat(path, &info) != 0) return errno == ENOENT ? 0 : 1;
  if (!S_ISDIR(info.st_mode)) return replay_file(path);
  DIR* folder = opendir(path);
  if (!folder) return fprintf(stderr, "cannot list %s\n", path), 1;
  int failed = 0;
  for (const struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    char child[4096];
    if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= (int)sizeof child) {
      failed = 1;
    } else {
      failed |= replay(child);
    }
  }
  closedir(folder);
  return failed;
}

int main(int argc, char** argv) {
  LLVMFuzzerTestOneInput((const uint8_t*)"", 0);
  int failed = 0;
  for (int i = 1; i < argc; ++i) failed |= replay(argv[i]);
  printf("replayed %zu inputs\n", replayed_count);
  return failed;
}
