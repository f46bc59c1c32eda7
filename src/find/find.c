// Which file is whose provider. The order is the user's own paths, the active Python environment, the system's folders.
#include "find/find.h"

#include "base/size.h"

const char* const kp_provider_symbols[] = {"CreateEpFactories", "GetProvider", NULL};

typedef struct library_row {
  const char *canonical, *file, *folder, *install, *packages, *run_time, *exists;
} library_row;

static const library_row rows[] = {
#define KP_PROVIDER_LIBRARY(canonical, file, folder, install, packages, run_time, exists) \
  {canonical, file, folder, install, packages, run_time, exists},
#include "find/providers.inl"
};

static bool take(const library_row* row, const char* path, const char* how, kp_found* out) {
  if (!path || !kp_is_file(path)) return false;
  *out = (kp_found){.path = path, .how = how, .run_time = row->run_time};
  return true;
}

// --- what the user named --------------------------------------------------------------------------------------------------------
typedef struct named_scan {
  const char *folder, *file;
  kp_arena* arena;
  const char* path;
} named_scan;

// A file of that name, or of it with a version behind ("libx.so.1.8").
static bool visit_named(void* user, const char* name) {
  named_scan* s = user;
  const size_t length = strlen(s->file);
  if (strncmp(name, s->file, length) != 0 || (name[length] && name[length] != '.')) return true;
  s->path = kp_arena_printf(s->arena, "%s/%s", s->folder, name);
  return name[length] != 0;  // goes on for the plain name
}

static const char* named_in(kp_arena* arena, const char* folder, const char* file) {
  named_scan s = {folder, file, arena, NULL};
  kp_each_name(folder, visit_named, &s);
  return s.path;
}

static bool find_given(const kp_places* p, const library_row* row, kp_found* out) {
  for (size_t i = 0; i < p->given.count; ++i) {
    const char* path = p->given.items[i].path;
    if (!kp_is_file(path)) path = named_in(p->arena, path, row->file);
    const char* slash = path ? strrchr(path, '/') : NULL;
    if (slash && !strncmp(slash + 1, row->file, strlen(row->file)) &&
        take(row, path, p->given.items[i].how, out))
      return true;
  }
  return false;
}

// --- pip ------------------------------------------------------------------------------------------------------------------------
static void name_package(const kp_places* p, const library_row* row, kp_found* out) {
  for (const char* at = row->packages; *at;) {
    const size_t length = strcspn(at, " ");
    const char* package = kp_arena_strndup(p->arena, at, length);
    const char* version = package ? kp_places_package(p, package, NULL) : NULL;
    if (version) {
      out->package = package;
      out->version = version;
      out->how = kp_arena_printf(p->arena, "pip package %s, %s", package, out->how);
      return;
    }
    at += length + (at[length] == ' ');
  }
}

static bool find_packaged(const kp_places* p, const library_row* row, kp_found* out) {
  for (size_t i = 0; i < p->packages.count; ++i) {
    const kp_place* place = &p->packages.items[i];
    if (!take(row, kp_arena_printf(p->arena, "%s/%s/%s", place->path, row->folder, row->file),
              place->how, out))
      continue;
    name_package(p, row, out);
    return true;
  }
  return false;
}

static bool find_in_system(const kp_places* p, const library_row* row, kp_found* out) {
  const kp_place_list* const lists[] = {&p->library_path, &p->system};
  for (size_t l = 0; l < KP_COUNT_OF(lists); ++l)
    for (size_t i = 0; i < lists[l]->count; ++i)
      if (take(row, kp_arena_printf(p->arena, "%s/%s", lists[l]->items[i].path, row->file),
               lists[l]->items[i].how, out))
        return true;
  return false;
}

bool kp_find_provider(kp_places* places, const char* canonical, kp_found* out_found) {
  static bool (*const ways[])(const kp_places*, const library_row*, kp_found*) = {
      find_given, find_packaged, find_in_system};
  for (size_t w = 0; w < KP_COUNT_OF(ways); ++w)
    for (size_t i = 0; i < KP_COUNT_OF(rows); ++i)
      if (!strcmp(rows[i].canonical, canonical) && ways[w](places, &rows[i], out_found))
        return true;
  return false;
}

const char* kp_find_install(const kp_places* places, const char* canonical,
                            const char** out_package) {
#if defined(__x86_64__) && defined(__linux__)
  const char here = 'x';
#elif defined(__aarch64__) && defined(__linux__)
  const char here = 'a';
#else
  const char here = '?';
#endif
  if (out_package) *out_package = NULL;
  for (size_t i = 0; i < KP_COUNT_OF(rows); ++i) {
    if (strcmp(rows[i].canonical, canonical) != 0 || !rows[i].install ||
        !strchr(rows[i].exists, here))
      continue;
    if (out_package) *out_package = rows[i].install;
    return kp_advise_pip(places, rows[i].install);
  }
  return NULL;
}

bool kp_find_is_findable(const char* canonical) {
  for (size_t i = 0; i < KP_COUNT_OF(rows); ++i)
    if (!strcmp(rows[i].canonical, canonical)) return true;
  return false;
}
