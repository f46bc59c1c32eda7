// Walks the libraries that a library needs, as the system's linker would, and then where people have them although the linker would not
// look there: those have to be loaded first, by their path.
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/size.h"
#include "find/find.h"

#define MOST_LIBRARIES 1024

typedef struct node {
  kp_dependency dependency;
  kp_elf elf;
  const char* runpath;  // DT_RPATHs of those above it and its own; NULL where it has a RUNPATH
  bool readable;
} node;

typedef struct walk {
  kp_places* places;
  kp_arena* arena;
  const char* target;  // the library asked for
  node* nodes;         // nodes[0] is |target|
  size_t count, capacity;
  int cuda;  // major version of CUDA that the chain wants, 0 = none
} walk;

static const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static const char* folder_of(kp_arena* arena, const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? kp_arena_strndup(arena, path, (size_t)(slash - path)) : ".";
}

// --- one folder ----------------------------------------------------------------------------------------------------------
static const char* in_folder(const walk* w, const char* folder, const char* name) {
  const char* path = kp_arena_printf(w->arena, "%s/%s", folder, name);
  return path && kp_is_file(path) && kp_elf_is_native(path) ? path : NULL;
}

typedef struct other_scan {
  const walk* walk;
  const char* folder;
  const char* name;   // looked for
  size_t stem;        // of it, up to and with ".so"
  const char* same;   // a file of a longer name that calls itself |name|
  const char* other;  // a file of another version
} other_scan;

static bool visit_other(void* user, const char* name) {
  other_scan* s = user;
  if (strncmp(name, s->name, s->stem) != 0 || name[s->stem] != '.') return true;
  const char* path = in_folder(s->walk, s->folder, name);
  if (!path) return true;
  kp_elf elf;
  kp_status* status = kp_elf_read_file(path, NULL, s->walk->arena, &elf);
  if (!status && elf.soname && !strcmp(elf.soname, s->name)) s->same = path;
  if (!status && elf.soname && strcmp(elf.soname, s->name) != 0) s->other = path;
  kp_status_free(status);
  return !s->same;
}

// Other files of that library in the folder: "libx.so.1.7.1" that calls itself libx.so.1, or libx.so.2.
static void look_for_others(other_scan* s, const char* folder) {
  s->folder = folder;
  if (s->stem && folder) kp_each_name(folder, visit_other, s);
}

static other_scan other_scan_of(const walk* w, const char* name) {
  const char* so = strstr(name, ".so");
  return (other_scan){.walk = w, .name = name, .stem = so ? (size_t)(so - name) + 3 : 0};
}

// --- the linker's way --------------------------------------------------------------------------------------------------------
// |text| with $ORIGIN, $LIB and $PLATFORM as they are for |owner|.
static const char* expand(const walk* w, const char* text, size_t length, const char* owner) {
  static const struct {
    const char* word;
    const char* value;
  } words[] = {{"${ORIGIN}", NULL}, {"$ORIGIN", NULL},         {"${LIB}", "lib64"},
               {"$LIB", "lib64"},   {"${PLATFORM}", "x86_64"}, {"$PLATFORM", "x86_64"}};
  const char* origin = folder_of(w->arena, owner);
  kp_strbuf out = {0};
  for (size_t i = 0; i < length;) {
    size_t k = 0;
    while (k < KP_COUNT_OF(words) && (length - i < strlen(words[k].word) ||
                                      strncmp(text + i, words[k].word, strlen(words[k].word)) != 0))
      ++k;
    if (k == KP_COUNT_OF(words)) {
      kp_strbuf_append(&out, text + i++, 1);
    } else {
      kp_strbuf_puts(&out, words[k].value ? words[k].value : origin ? origin : "");
      i += strlen(words[k].word);
    }
  }
  const char* path = out.data ? kp_arena_strndup(w->arena, out.data, out.length) : NULL;
  kp_strbuf_free(&out);
  return path;
}

static const char* in_paths(const walk* w, const char* paths, const char* owner, const char* name) {
  for (const char* at = paths; at && *at;) {
    const size_t length = strcspn(at, ":");
    const char* folder = length ? expand(w, at, length, owner) : NULL;
    const char* found = folder && folder[0] == '/' ? in_folder(w, folder, name) : NULL;
    if (found) return found;
    at += length + (at[length] == ':');
  }
  return NULL;
}

static bool in_list(const walk* w, const kp_place_list* list, const char* name, kp_dependency* d) {
  for (size_t i = 0; i < list->count; ++i) {
    d->path = in_folder(w, list->items[i].path, name);
    d->how = list->items[i].how;
    if (d->path) return true;
  }
  return false;
}

static bool found_by(kp_dependency* d, const char* path, const char* how) {
  d->path = path;
  d->how = path ? how : NULL;
  return path != NULL;
}

static bool find_as_linker(const walk* w, const node* parent, kp_dependency* d) {
  const char* owner = parent->dependency.path;
  if (strchr(d->name, '/'))
    return found_by(d, d->name[0] == '/' && kp_is_file(d->name) ? d->name : NULL, "its full path");
  if (found_by(d, in_paths(w, parent->runpath, owner, d->name), "RPATH")) return true;
  if (in_list(w, &w->places->library_path, d->name, d)) return true;
  if (!parent->elf.inherited &&
      found_by(d, in_paths(w, parent->elf.runpath, owner, d->name), "RUNPATH"))
    return true;
  if (found_by(d, kp_places_cached(w->places, d->name), "linker cache")) return true;
  return in_list(w, &w->places->system, d->name, d);
}

// --- where people have it --------------------------------------------------------------------------------------------------------
static bool find_elsewhere(const walk* w, kp_dependency* d) {
  const char* beside = folder_of(w->arena, w->target);
  d->preload = true;
  if (found_by(d, beside ? in_folder(w, beside, d->name) : NULL, "beside the provider"))
    return true;
  if (in_list(w, &w->places->vendor, d->name, d)) return true;
  other_scan s = other_scan_of(w, d->name);
  look_for_others(&s, beside);
  for (size_t i = 0; i < w->places->vendor.count && !s.same; ++i)
    look_for_others(&s, w->places->vendor.items[i].path);
  if (found_by(d, s.same, "under its full name")) return true;
  d->preload = false;
  for (size_t i = 0; i < w->places->system.count && !s.other; ++i)
    look_for_others(&s, w->places->system.items[i].path);
  if (s.other)
    d->problem = kp_arena_printf(w->arena, "not found; there is another version: %s", s.other);
  return false;
}

static const char* file_version(kp_arena* arena, const char* path) {
  char* real = realpath(path, NULL);
  const char* at = real ? strstr(base_name(real), ".so.") : NULL;
  const char* version = at ? kp_arena_printf(arena, "%s", at + 4) : NULL;
  free(real);
  return version;
}

static void describe(const walk* w, kp_dependency* d) {
  const kp_advice advice = kp_advise_library(w->places, d->name, w->cuda);
  if (!d->path) {
    if (!d->problem) d->problem = "not found";
    d->fix = advice.fix;
    d->requirement = advice.requirement;
    return;
  }
  if (advice.package && strstr(d->path, "-packages/"))
    d->version = kp_places_package(w->places, advice.package, NULL);
  if (!d->version) d->version = file_version(w->arena, d->path);
}

// --- the chain ---------------------------------------------------------------------------------------------------------------------
static node* find_node(const walk* w, const char* name) {
  for (size_t i = 1; i < w->count; ++i)
    if (!strcmp(w->nodes[i].dependency.name, name) ||
        (w->nodes[i].elf.soname && !strcmp(w->nodes[i].elf.soname, name)))
      return &w->nodes[i];
  return NULL;
}

static kp_status* add_node(walk* w, const node* added) {
  if (w->count == w->capacity) {
    const size_t capacity = w->capacity ? 2 * w->capacity : 64;
    node* nodes = kp_arena_new_array(w->arena, node, capacity);
    if (!nodes) return KP_ERROR(OUT_OF_MEMORY, "the libraries that a provider needs");
    if (w->count) memcpy(nodes, w->nodes, w->count * sizeof(*nodes));
    w->nodes = nodes;
    w->capacity = capacity;
  }
  w->nodes[w->count++] = *added;
  return NULL;
}

// The DT_RPATHs that hold for what |elf| needs: its own, then those of the libraries above it; a RUNPATH shuts them out.
static const char* rpath_of(const walk* w, const kp_elf* elf, const char* path, const char* above) {
  if (!elf->runpath) return above;
  if (!elf->inherited) return NULL;
  const char* own = NULL;
  for (const char* at = elf->runpath; *at;) {
    const size_t length = strcspn(at, ":");
    const char* folder = length ? expand(w, at, length, path) : NULL;
    if (folder) own = kp_arena_printf(w->arena, "%s%s%s", own ? own : "", own ? ":" : "", folder);
    at += length + (at[length] == ':');
  }
  return own && above ? kp_arena_printf(w->arena, "%s:%s", own, above) : own ? own : above;
}

static kp_status* add_dependency(walk* w, size_t parent, const char* name, bool at_run_time) {
  if (find_node(w, name) || w->count >= MOST_LIBRARIES) return NULL;
  node n = {.dependency = {.name = name,
                           .wanted_by = base_name(w->nodes[parent].dependency.path),
                           .at_run_time = at_run_time || w->nodes[parent].dependency.at_run_time}};
  kp_dependency* d = &n.dependency;
  if (find_as_linker(w, &w->nodes[parent], d) || find_elsewhere(w, d)) {
    kp_status* status = kp_elf_read_file(d->path, NULL, w->arena, &n.elf);
    n.readable = !status;
    if (kp_status_code(status) == KAPELL_OUT_OF_MEMORY) return status;
    if (status) d->problem = kp_arena_printf(w->arena, "%s", kp_status_message(status));
    kp_status_free(status);
    n.runpath = rpath_of(w, &n.elf, d->path, w->nodes[parent].runpath);
  }
  describe(w, d);
  return add_node(w, &n);
}

static int cuda_of(const kp_elf* elf) {
  static const char* const names[] = {"libcudart.so.", "libcublas.so.", "libcublasLt.so."};
  for (size_t i = 0; i < elf->needed_count; ++i)
    for (size_t k = 0; k < KP_COUNT_OF(names); ++k)
      if (!strncmp(elf->needed[i], names[k], strlen(names[k])))
        return atoi(elf->needed[i] + strlen(names[k]));
  return 0;
}

static kp_status* walk_all(walk* w, const char* run_time) {
  for (size_t i = 0; i < w->count; ++i) {
    const kp_elf elf = w->nodes[i].elf;  // the array may move
    for (size_t k = 0; k < elf.needed_count; ++k)
      KP_PASS(add_dependency(w, i, elf.needed[k], false));
    if (i > 0) continue;
    for (const char* at = run_time; at && *at;) {
      const size_t length = strcspn(at, " ");
      const char* name = kp_arena_strndup(w->arena, at, length);
      if (name && length) KP_PASS(add_dependency(w, 0, name, true));
      at += length + (at[length] == ' ');
    }
  }
  return NULL;
}

// --- versions of symbols ----------------------------------------------------------------------------------------------------------
// Length of the name before the number: "GLIBC_" of "GLIBC_2.34".
static size_t version_stem(const char* version) {
  const size_t length = strcspn(version, "0123456789");
  return version[length] ? length : strlen(version);
}

// Compares "2.9" and "2.34" number by number.
static int compare_versions(const char* a, const char* b) {
  while (*a && *b) {
    const long x = strtol(a, NULL, 10), y = strtol(b, NULL, 10);
    if (x != y) return x < y ? -1 : 1;
    a += strspn(a, "0123456789");
    b += strspn(b, "0123456789");
    a += strcspn(a, "0123456789");
    b += strcspn(b, "0123456789");
  }
  return *a ? 1 : *b ? -1 : 0;
}

static const char* highest(const char* const* versions, size_t count, const char* like) {
  const size_t stem = version_stem(like);
  const char* best = NULL;
  for (size_t i = 0; i < count; ++i) {
    if (version_stem(versions[i]) != stem || strncmp(versions[i], like, stem) != 0 ||
        !versions[i][stem])
      continue;
    if (!best || compare_versions(versions[i] + stem, best + stem) > 0) best = versions[i];
  }
  return best;
}

static bool has_version(const kp_elf* elf, const char* version) {
  for (size_t i = 0; i < elf->version_count; ++i)
    if (!strcmp(elf->versions[i], version)) return true;
  return false;
}

// Replaces the version of the same name in |*list| where this one is higher, else appends it.
static void note_want(walk* w, const char** list, const char* version) {
  const size_t stem = version_stem(version);
  const char* old = *list;
  for (const char* at = old; at && *at;) {
    const size_t length = strcspn(at, ",");
    const char* one = kp_arena_strndup(w->arena, at, length);
    if (one && version_stem(one) == stem && !strncmp(one, version, stem)) {
      if (compare_versions(version + stem, one + stem) > 0)
        *list = kp_arena_printf(w->arena, "%.*s%s%s", (int)(at - old), old, version, at + length);
      return;
    }
    at += length + (at[length] ? 2 : 0);
  }
  *list = old ? kp_arena_printf(w->arena, "%s, %s", old, version) : version;
}

static void check_want(walk* w, const node* asker, const kp_elf_want* want) {
  node* n = find_node(w, want->file);
  if (!n || !n->readable) return;
  kp_dependency* d = &n->dependency;
  // What libraries of the system want of one another is not worth saying while they have it.
  const char* from = asker->dependency.how;
  if (!from || (strcmp(from, "linker cache") != 0 && strcmp(from, "system folder") != 0))
    note_want(w, &d->wants, want->version);
  const char* best = highest(n->elf.versions, n->elf.version_count, want->version);
  if (best && d->wants) note_want(w, &d->has, best);
  // A library without any versions is taken as it is; the linker does so, too.
  if (want->weak || !n->elf.version_count || has_version(&n->elf, want->version)) return;
  if (d->problem) return;
  d->problem =
      kp_arena_printf(w->arena, "%s wants %s of it; it has %s%s", base_name(asker->dependency.path),
                      want->version, best ? "up to " : "none of that name", best ? best : "");
  d->fix = kp_advise_version(w->places, want->version);
}

static void check_versions(walk* w) {
  for (size_t i = 0; i < w->count; ++i)
    for (size_t k = 0; k < w->nodes[i].elf.want_count; ++k)
      check_want(w, &w->nodes[i], &w->nodes[i].elf.wants[k]);
}

kp_status* kp_inspect(kp_places* places, const char* path, const char* run_time,
                      kp_inspection* out_inspection) {
  *out_inspection = (kp_inspection){.path = path};
  node first = {.dependency = {.name = base_name(path), .path = path}};
  out_inspection->status = kp_elf_read_file(path, kp_provider_symbols, places->arena, &first.elf);
  if (out_inspection->status) return NULL;
  out_inspection->elf = first.elf;
  walk w = {.places = places, .arena = places->arena, .target = path, .cuda = cuda_of(&first.elf)};
  first.runpath = rpath_of(&w, &first.elf, path, NULL);
  KP_PASS(add_node(&w, &first));
  KP_PASS(walk_all(&w, run_time));
  check_versions(&w);
  kp_dependency* list = kp_arena_new_array(places->arena, kp_dependency, w.count);
  if (!list) return KP_ERROR(OUT_OF_MEMORY, "the libraries that a provider needs");
  for (size_t i = 1; i < w.count; ++i) {
    list[i - 1] = w.nodes[i].dependency;
    out_inspection->missing += w.nodes[i].dependency.problem && !w.nodes[i].dependency.at_run_time;
  }
  out_inspection->dependencies = list;
  out_inspection->count = w.count - 1;
  return NULL;
}

void kp_inspection_free(kp_inspection* inspection) {
  kp_status_free(inspection->status);
  inspection->status = NULL;
}
