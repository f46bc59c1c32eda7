// Where libraries are looked for: what the user named, the active Python environment, the linker's folders and cache, and the places
// where vendors put what the linker does not look for. Never the working folder: every path here is absolute.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/size.h"
#include "find/find.h"

void kp_each_name(const char* folder, bool (*visit)(void* user, const char* name), void* user) {
  DIR* stream = folder ? opendir(folder) : NULL;
  if (!stream) return;
  for (const struct dirent* entry; (entry = readdir(stream)) != NULL;)
    if (entry->d_name[0] != '.' && !visit(user, entry->d_name)) break;
  closedir(stream);
}

bool kp_is_file(const char* path) {
  struct stat info;
  return path && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool is_link(const char* path) {
  struct stat info;
  return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

static bool is_folder(const char* path) {
  struct stat info;
  return path && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

const char* kp_read_text(kp_arena* arena, const char* path) {
  const int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
  if (descriptor < 0) return NULL;
  const size_t most = 65536;
  char* text = kp_arena_alloc(arena, most + 1);
  size_t length = 0;
  for (ssize_t count = 1; text && length < most && count > 0;
       length += count > 0 ? (size_t)count : 0)
    count = read(descriptor, text + length, most - length);
  close(descriptor);
  while (length && strchr(" \t\r\n", text[length - 1])) --length;
  if (!text || !length) return NULL;
  text[length] = 0;
  return text;
}

// Adds a folder or file once; out of memory leaves it out.
static void add(kp_places* p, kp_place_list* list, const char* path, const char* how) {
  if (!path) return;
  for (size_t i = 0; i < list->count; ++i)
    if (strcmp(list->items[i].path, path) == 0) return;
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 8;
    kp_place* items = kp_arena_new_array(p->arena, kp_place, capacity);
    if (!items) return;
    if (list->count) memcpy(items, list->items, list->count * sizeof(*items));
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = (kp_place){path, how};
}

static void add_folder(kp_places* p, kp_place_list* list, const char* path, const char* how) {
  if (path && is_folder(path)) add(p, list, path, how);
}

// The folders of |text|, by colons. Relative ones would be looked up in the working folder: they are refused.
static void add_paths(kp_places* p, kp_place_list* list, const char* text, const char* how) {
  for (const char* at = text; at && *at;) {
    const size_t length = strcspn(at, ":");
    const char* path = kp_arena_strndup(p->arena, at, length);
    if (path && length && path[0] != '/')
      add(p, &p->refused, path,
          kp_arena_printf(
              p->arena, "%s: not an absolute path, and the working folder is never searched", how));
    else if (path && length && list == &p->given && !is_folder(path) && !kp_is_file(path))
      add(p, &p->refused, path,
          kp_arena_printf(p->arena, "%s: there is no such file or folder", how));
    else if (length)
      add(p, list, path, how);
    at += length + (at[length] == ':');
  }
}

// --- Python ------------------------------------------------------------------------------------------------------------------
typedef struct scan {
  kp_places* places;
  const char *folder, *how, *inner;
} scan;

static bool visit_version(void* user, const char* name) {
  const scan* s = user;
  kp_places* p = s->places;
  if (strncmp(name, "python3", 7) != 0) return true;
  static const char* const kinds[] = {"site-packages", "dist-packages"};
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i)
    add_folder(p, &p->packages, kp_arena_printf(p->arena, "%s/%s/%s", s->folder, name, kinds[i]),
               s->how);
  if (kp_is_file(kp_arena_printf(p->arena, "%s/%s/EXTERNALLY-MANAGED", s->folder, name)))
    p->managed = true;
  return true;
}

static void add_prefix(kp_places* p, const char* prefix, const char* how) {
  static const char* const kinds[] = {"lib", "lib64"};
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i) {
    scan s = {
        .places = p, .folder = kp_arena_printf(p->arena, "%s/%s", prefix, kinds[i]), .how = how};
    if (s.folder && !is_link(s.folder)) kp_each_name(s.folder, visit_version, &s);
  }
  const char* program = kp_arena_printf(p->arena, "%s/bin/python3", prefix);
  if (!p->python && program && access(program, X_OK) == 0) p->python = program;
}

// The folder of packages that this library itself lies in: a process of Python's that imported it is the active environment.
static void add_own_environment(kp_places* p) {
  Dl_info info;
  if (!dladdr((const void*)(uintptr_t)&kp_places_find, &info) || !info.dli_fname ||
      info.dli_fname[0] != '/')
    return;
  const char* at = strstr(info.dli_fname, "/site-packages/");
  if (!at) return;
  add_folder(p, &p->packages,
             kp_arena_strndup(p->arena, info.dli_fname, (size_t)(at - info.dli_fname) + 14),
             "this library lies in it");
}

static void add_variable(kp_places* p, const char* name) {
  const char* value = getenv(name);
  if (value && value[0] == '/' && is_folder(value))
    add_prefix(p, kp_arena_printf(p->arena, "%s", value), name);
}

// What pyenv puts on the path are scripts; the environment is the one that the file "version" in its |folder| names.
static void add_pyenv(kp_places* p, const char* folder) {
  const char* version = kp_read_text(p->arena, kp_arena_printf(p->arena, "%s/version", folder));
  if (version && !strchr(version, '/') && !strchr(version, '\n'))
    add_prefix(p, kp_arena_printf(p->arena, "%s/versions/%s", folder, version),
               "python3 on PATH (pyenv)");
}

// Cuts the last part off a path.
static void to_parent(char* path) {
  char* slash = path ? strrchr(path, '/') : NULL;
  if (slash) *slash = 0;
}

// The environment of the first python3 on the path that has one. The name's own folder tells a virtual environment, where it
// is often a link; else the file that it leads to tells.
static void add_python_on_path(kp_places* p) {
  for (const char* at = getenv("PATH"); at && *at && !p->packages.count;) {
    const size_t length = strcspn(at, ":");
    const char* folder = kp_arena_strndup(p->arena, at, length);
    const char* program = kp_arena_printf(p->arena, "%s/python3", folder ? folder : "");
    if (length && at[0] == '/' && program && access(program, X_OK) == 0) {
      const char* above = kp_arena_printf(p->arena, "%s/..", folder ? folder : "");
      char* prefix = above ? realpath(above, NULL) : NULL;
      char* real = realpath(program, NULL);
      to_parent(real);
      to_parent(real);
      if (prefix) add_prefix(p, kp_arena_printf(p->arena, "%s", prefix), "python3 on PATH");
      if (!p->packages.count && prefix) add_pyenv(p, prefix);
      if (!p->packages.count && real)
        add_prefix(p, kp_arena_printf(p->arena, "%s", real), "python3 on PATH");
      free(prefix);
      free(real);
    }
    at += length + (at[length] == ':');
  }
}

static void find_packages(kp_places* p) {
  if (!p->root[0]) {
    add_own_environment(p);
    add_variable(p, "VIRTUAL_ENV");
    add_variable(p, "CONDA_PREFIX");
    if (!p->packages.count) add_python_on_path(p);
  }
  // A virtual environment shuts the system's packages out; so does this.
  if (p->packages.count) {
    const char* home = getenv("HOME");
    if (!p->root[0] && home && home[0] == '/' && !getenv("VIRTUAL_ENV"))
      add_prefix(p, kp_arena_printf(p->arena, "%s/.local", home), "the user's own");
    return;
  }
  static const char* const prefixes[] = {"/usr/local", "/usr", "/opt/venv", "/opt/conda"};
  for (size_t i = 0; i < KP_COUNT_OF(prefixes); ++i)
    add_prefix(p, kp_arena_printf(p->arena, "%s%s", p->root, prefixes[i]), "the system's Python");
}

// --- vendors' folders ---------------------------------------------------------------------------------------------------------
static bool visit_vendor(void* user, const char* name) {
  const scan* s = user;
  kp_places* p = s->places;
  add_folder(p, &p->vendor, kp_arena_printf(p->arena, "%s/%s%s", s->folder, name, s->inner),
             s->how);
  return true;
}

static bool visit_toolkit(void* user, const char* name) {
  const scan* s = user;
  kp_places* p = s->places;
  static const char* const inner[] = {"lib64", "lib", "targets/x86_64-linux/lib",
                                      "targets/sbsa-linux/lib"};
  if (strncmp(name, s->inner, strlen(s->inner)) != 0) return true;
  for (size_t i = 0; i < KP_COUNT_OF(inner); ++i)
    add_folder(p, &p->vendor, kp_arena_printf(p->arena, "%s/%s/%s", s->folder, name, inner[i]),
               s->how);
  return true;
}

static void find_vendor(kp_places* p) {
  static const char* const folders[] = {"tensorrt_libs", "tensorrt_rtx_libs", "openvino/libs",
                                        "torch/lib"};
  for (size_t i = 0; i < p->packages.count; ++i) {
    const char* packages = p->packages.items[i].path;
    scan s = {.places = p,
              .folder = kp_arena_printf(p->arena, "%s/nvidia", packages),
              .how = "pip",
              .inner = "/lib"};
    if (s.folder) kp_each_name(s.folder, visit_vendor, &s);
    for (size_t k = 0; k < KP_COUNT_OF(folders); ++k)
      add_folder(p, &p->vendor, kp_arena_printf(p->arena, "%s/%s", packages, folders[k]), "pip");
  }
  static const char* const variables[] = {"CUDA_HOME", "CUDA_PATH", "CONDA_PREFIX", "ROCM_PATH",
                                          "TENSORRT_HOME"};
  for (size_t i = 0; i < KP_COUNT_OF(variables) && !p->root[0]; ++i) {
    const char* value = getenv(variables[i]);
    if (!value || value[0] != '/') continue;
    add_folder(p, &p->vendor, kp_arena_printf(p->arena, "%s/lib64", value), variables[i]);
    add_folder(p, &p->vendor, kp_arena_printf(p->arena, "%s/lib", value), variables[i]);
  }
  static const struct {
    const char *folder, *begins, *how;
  } toolkits[] = {{"/usr/local", "cuda", "CUDA toolkit"},
                  {"/opt", "rocm", "ROCm"},
                  {"/opt/intel", "openvino", "OpenVINO"}};
  for (size_t i = 0; i < KP_COUNT_OF(toolkits); ++i) {
    scan s = {.places = p,
              .folder = kp_arena_printf(p->arena, "%s%s", p->root, toolkits[i].folder),
              .how = toolkits[i].how,
              .inner = toolkits[i].begins};
    if (s.folder) kp_each_name(s.folder, visit_toolkit, &s);
  }
}

// --- the system -----------------------------------------------------------------------------------------------------------------
static void find_system_folders(kp_places* p) {
  static const char* const folders[] = {
#if defined(__x86_64__)
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
#elif defined(__aarch64__)
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
#endif
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib/kapell",
    "/usr/lib/kapell",
    "/usr/lib/wsl/lib"
  };
  for (size_t i = 0; i < KP_COUNT_OF(folders); ++i)
    add_folder(p, &p->system, kp_arena_printf(p->arena, "%s%s", p->root, folders[i]),
               "system folder");
}

// The value of KEY= in the text of /etc/os-release, without quotes.
static const char* release_value(kp_places* p, const char* text, const char* key) {
  const size_t length = strlen(key);
  for (const char* line = text; line; line = strchr(line, '\n'), line += line != NULL) {
    if (strncmp(line, key, length) != 0 || line[length] != '=') continue;
    const char* value = line + length + 1;
    const bool quoted = *value == '"';
    return kp_arena_strndup(p->arena, value + quoted,
                            strcspn(value + quoted, quoted ? "\"\n" : "\n"));
  }
  return NULL;
}

static void find_release(kp_places* p) {
  static const struct {
    const char* id;
    kp_manager manager;
  } known[] = {{"debian", KP_MANAGER_APT},
               {"ubuntu", KP_MANAGER_APT},
               {"fedora", KP_MANAGER_DNF},
               {"rhel", KP_MANAGER_DNF},
               {"centos", KP_MANAGER_DNF}};
  const char* text =
      kp_read_text(p->arena, kp_arena_printf(p->arena, "%s/etc/os-release", p->root));
  if (!text)
    text = kp_read_text(p->arena, kp_arena_printf(p->arena, "%s/usr/lib/os-release", p->root));
  if (!text) return;
  p->system_name = release_value(p, text, "PRETTY_NAME");
  const char *id = release_value(p, text, "ID"), *like = release_value(p, text, "ID_LIKE");
  const char* ids = kp_arena_printf(p->arena, " %s %s ", id ? id : "", like ? like : "");
  for (size_t i = 0; ids && i < KP_COUNT_OF(known) && !p->manager; ++i) {
    const char* id_word = kp_arena_printf(p->arena, " %s ", known[i].id);
    if (id_word && strstr(ids, id_word)) p->manager = known[i].manager;
  }
}

kp_status* kp_places_find(const kp_find_options* options, kp_arena* arena, kp_places* out_places) {
  const char* root = options && options->root ? options->root : "";
  *out_places = (kp_places){
      .arena = arena, .root = strcmp(root, "/") ? root : "", .administrator = geteuid() == 0};
  kp_places* p = out_places;
  if (options && options->provider_path)
    add_paths(p, &p->given, options->provider_path, "provider_path");
  if (!p->root[0]) {
    add_paths(p, &p->given, getenv("KAPELL_PROVIDER_PATH"), "KAPELL_PROVIDER_PATH");
    add_paths(p, &p->library_path, getenv("LD_LIBRARY_PATH"), "LD_LIBRARY_PATH");
  }
  find_packages(p);
  find_vendor(p);
  find_system_folders(p);
  find_release(p);
  const char* cache = kp_arena_printf(arena, "%s/etc/ld.so.cache", p->root);
  if (!cache) return KP_ERROR(OUT_OF_MEMORY, "looking for libraries");
  kp_status_free(kp_file_map(cache, &p->cache));  // musl has none
  return NULL;
}

void kp_places_free(kp_places* places) {
  if (!places) return;
  kp_file_release(places->cache);
  places->cache = NULL;
}

// --- installed pip packages ---------------------------------------------------------------------------------------------------------
typedef struct package_scan {
  const char* wanted;
  kp_arena* arena;
  const char* version;
} package_scan;

static char plain(char c) {
  return c == '-' || c == '.' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

// "onnxruntime_ep_openvino-1.8.1.dist-info" is version 1.8.1 of onnxruntime-ep-openvino.
static bool visit_package(void* user, const char* name) {
  package_scan* s = user;
  static const char tail[] = ".dist-info";
  const size_t length = strlen(name), wanted = strlen(s->wanted);
  if (length <= wanted + sizeof tail || strcmp(name + length + 1 - sizeof tail, tail) != 0 ||
      name[wanted] != '-')
    return true;
  for (size_t i = 0; i < wanted; ++i)
    if (plain(name[i]) != plain(s->wanted[i])) return true;
  s->version = kp_arena_strndup(s->arena, name + wanted + 1, length - wanted - sizeof tail);
  return false;
}

const char* kp_places_package(const kp_places* places, const char* package,
                              const char** out_folder) {
  package_scan s = {.wanted = package, .arena = places->arena};
  for (size_t i = 0; i < places->packages.count && !s.version; ++i) {
    kp_each_name(places->packages.items[i].path, visit_package, &s);
    if (s.version && out_folder) *out_folder = places->packages.items[i].path;
  }
  return s.version;
}

// --- the linker's cache ----------------------------------------------------------------------------------------------------------------
// Layout of glibc's cache since 2.2: a head, entries of 24 bytes, then texts; offsets count from the head. An older head may stand
// before it.
typedef struct cache_head {
  char magic[20];  // "glibc-ld.so.cache1.1"
  uint32_t count, string_size;
  uint32_t unused[5];
} cache_head;

typedef struct cache_entry {
  int32_t flags;
  uint32_t name, path, system;
  uint64_t capabilities;
} cache_entry;

static const char* cache_text(const kp_file* file, size_t base, uint32_t offset) {
  if (offset >= file->size - base) return NULL;
  const char* text = (const char*)file->data + base + offset;
  return memchr(text, 0, file->size - base - offset) ? text : NULL;
}

static size_t cache_base(const kp_file* file) {
  static const char magic[] = "glibc-ld.so.cache1.1";
  if (file->size < sizeof(cache_head)) return SIZE_MAX;
  const uint8_t* at = memmem(file->data, file->size - sizeof(cache_head) + sizeof magic - 1, magic,
                             sizeof magic - 1);
  return at ? (size_t)(at - file->data) : SIZE_MAX;
}

const char* kp_places_cached(const kp_places* places, const char* name) {
  const kp_file* file = places->cache;
  const size_t base = file ? cache_base(file) : SIZE_MAX;
  cache_head head;
  if (base == SIZE_MAX || base > file->size - sizeof head) return NULL;
  memcpy(&head, file->data + base, sizeof head);
  const size_t most = (file->size - base - sizeof head) / sizeof(cache_entry);
  for (size_t i = 0; i < head.count && i < most; ++i) {
    cache_entry entry;
    memcpy(&entry, file->data + base + sizeof head + i * sizeof entry, sizeof entry);
    const char* other = cache_text(file, base, entry.name);
    if (!other || strcmp(other, name) != 0) continue;
    const char* path = cache_text(file, base, entry.path);
    const char* whole = path ? kp_arena_printf(places->arena, "%s%s", places->root, path) : NULL;
    if (whole && kp_elf_is_native(whole)) return whole;
  }
  return NULL;
}
