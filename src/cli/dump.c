// Folders with every value of a run. index.tsv has a line for each, in the order of execution: the file, what kind of value, node,
// operator, name of the value, type and shape; parted by tabs, and what is no printable character in a name written as \xNN.
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

static const char kTitle[] = "file\tkind\tnode\top\tvalue\ttype\n";
static const char* const kKinds[] = {"nothing", "tensor", "sparse", "sequence", "map", "optional"};

// --- writing -----------------------------------------------------------------------------------------------------------------
static bool is_empty(const char* folder) {
  DIR* dir = opendir(folder);
  bool empty = dir != NULL;
  for (const struct dirent* e; dir && empty && (e = readdir(dir)) != NULL;)
    empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
  if (dir) closedir(dir);
  return empty;
}

bool cli_dump_open(const char* folder, cli_dump* out_dump) {
  char path[4096];
  *out_dump = (cli_dump){.folder = folder};
  if (mkdir(folder, 0777) != 0 && (errno != EEXIST || !is_empty(folder))) {
    fprintf(stderr, "%s: %s; a dump goes into a folder that is new or empty\n", folder,
            errno == EEXIST || !errno ? "it is there, and not an empty folder" : strerror(errno));
    return false;
  }
  snprintf(path, sizeof(path), "%s/index.tsv", folder);
  out_dump->index = fopen(path, "wx");
  if (!out_dump->index) return fprintf(stderr, "%s: %s\n", path, strerror(errno)), false;
  fputs(kTitle, out_dump->index);
  return true;
}

static void put_name(FILE* out, const char* name, char end) {
  for (; *name; ++name)
    if ((unsigned char)*name < 32 || *name == 127 || *name == '\\')
      fprintf(out, "\\x%02x", (unsigned char)*name);
    else
      fputc(*name, out);
  fputc(end, out);
}

// "00012_layer1_conv.npy": the number keeps the order and makes names differ that the file system would not tell apart.
static void file_name(const cli_dump* dump, const char* name, const kapell_value* value, char* out,
                      size_t size) {
  char safe[81];
  size_t n = 0;
  for (; name[n] && n < sizeof(safe) - 1; ++n) {
    const char c = name[n];
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    safe[n] = plain || c == '-' || c == '.' ? c : '_';
  }
  safe[n] = 0;
  snprintf(out, size, "%05zu_%s.%s", dump->count, safe, npy_takes(value) ? "npy" : "pb");
}

bool cli_dump_value(cli_dump* dump, const char* node, const char* op, const char* name,
                    const kapell_value* value) {
  const kapell_kind kind = value ? kapell_value_kind(value) : KAPELL_KIND_NONE;
  char file[128] = "-", path[4096];
  if (kind != KAPELL_KIND_NONE) {
    file_name(dump, name, value, file, sizeof(file));
    snprintf(path, sizeof(path), "%s/%s", dump->folder, file);
    if (!cli_save_value(path, name, value)) return false;
    if (kind == KAPELL_KIND_TENSOR) dump->byte_count += kapell_tensor_byte_count(value);
  }
  fprintf(dump->index, "%s\t%s\t", file, kKinds[kind]);
  put_name(dump->index, node, '\t');
  put_name(dump->index, op, '\t');
  put_name(dump->index, name, '\t');
  if (kind == KAPELL_KIND_NONE)
    fputs("nothing", dump->index);
  else
    print_value_type(dump->index, value);
  fputc('\n', dump->index);
  dump->count++;
  return !ferror(dump->index);
}

bool cli_dump_close(cli_dump* dump) {
  const bool written = !ferror(dump->index);
  if (fclose(dump->index) == 0 && written) return true;
  fprintf(stderr, "%s/index.tsv cannot be written: %s\n", dump->folder, strerror(errno));
  return false;
}

// --- reading -----------------------------------------------------------------------------------------------------------------
// Cuts |line| at its tabs. False: it has not six parts, or the file is not one of the folder's own.
static bool split(char* line, cli_dumped* out) {
  char** const parts[] = {&out->file, &out->kind, &out->node, &out->op, &out->name, &out->type};
  for (size_t i = 0; i < 6; ++i) {
    if (!line) return false;
    *parts[i] = line;
    line = strchr(line, '\t');
    if (line) *line++ = 0;
  }
  return !line && !strchr(out->file, '/');
}

static bool bad_index(const char* path, size_t line) {
  fprintf(stderr, "%s:%zu: not an index that 'kapell run --dump' wrote\n", path, line);
  return false;
}

bool cli_dump_read_index(const char* folder, cli_dumped** out_list, size_t* out_count) {
  char path[4096], *bytes;
  size_t size, lines = 0;
  *out_list = NULL;
  *out_count = 0;
  snprintf(path, sizeof(path), "%s/index.tsv", folder);
  if (!cli_read_file(path, &bytes, &size)) return false;
  for (size_t i = 0; i < size; ++i) lines += bytes[i] == '\n';
  cli_dumped* list = calloc(lines + 1, sizeof(*list));
  bool fine = list && size > sizeof(kTitle) - 2 && !memcmp(bytes, kTitle, sizeof(kTitle) - 1) &&
              bytes[size - 1] == '\n' && !memchr(bytes, 0, size);
  if (!fine) bad_index(path, 1);
  char* at = bytes + sizeof(kTitle) - 1;
  for (size_t i = 0; fine && i + 1 < lines; ++i) {
    char* end = strchr(at, '\n');  // there is one for each line that was counted
    *end = 0;
    char* line = strdup(at);
    fine = line && split(line, &list[i]);
    if (fine)
      *out_count = i + 1;
    else
      free(line), bad_index(path, i + 2);
    at = end + 1;
  }
  free(bytes);
  if (fine)
    *out_list = list;
  else
    cli_dump_free_index(list, *out_count);
  return fine;
}

void cli_dump_free_index(cli_dumped* list, size_t count) {
  for (size_t i = 0; i < count; ++i) free(list[i].file);
  free(list);
}

kapell_value* cli_dump_read_value(const char* folder, const cli_dumped* entry) {
  kapell_kind kind = KAPELL_KIND_TENSOR;
  for (size_t k = 0; k < sizeof(kKinds) / sizeof(kKinds[0]); ++k)
    if (!strcmp(kKinds[k], entry->kind)) kind = (kapell_kind)k;
  const kapell_type_info type = {.kind = kind, .rank = -1};
  const kapell_io_info info = {.name = entry->name, .type = &type};
  char path[4096];
  snprintf(path, sizeof(path), "%s/%s", folder, entry->file);
  return cli_read_value(path, &info, NULL, NULL, NULL);
}
