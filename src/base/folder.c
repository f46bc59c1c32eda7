// Files contained in a folder. Neighbours: file.c maps what is opened here; onnx/ reads external data through it.
//
// A path from a model is untrusted. Two ways lead to the file, both from the folder's handle and never through a name that
// could be exchanged between a check and its use:
// - openat2 with RESOLVE_BENEATH, where the kernel (5.6 and later) refuses to leave the folder by itself;
// - otherwise component by component, following no link. A link found on the way is looked up, its target must lie in one of
//   the folders handed over, and the walk starts again from that folder's handle with what is left of the path.
// The second way also serves links that leave the folder for another one that is allowed, and finds the words for refusals.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_internal.h"

#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#define HAVE_OPENAT2 1
#else
#define HAVE_OPENAT2 0
#endif

#define MAX_LINKS 40  // as many as Linux follows itself

struct kp_folder {
  int descriptor;
  char* path;  // as given; owned
};

static _Atomic bool forgo_openat2;
void kp_folder_forgo_openat2(bool forgo) { atomic_store(&forgo_openat2, forgo); }

kp_status* kp_folder_open(const char* path, kp_folder** out_folder) {
  *out_folder = NULL;
  kp_folder* folder = kp_alloc_zero(1, sizeof *folder);
  char* copy = folder ? kp_strdup(path) : NULL;
  if (!copy) {
    kp_free(folder);
    return KP_ERROR(OUT_OF_MEMORY, "opening folder '%s'", path);
  }
  *folder = (kp_folder){.descriptor = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), .path = copy};
  if (folder->descriptor < 0) {
    kp_status* status = errno == ENOTDIR ? KP_ERROR(IO, "'%s' is not a folder", path)
                                         : kp_file_error(path, "opening folder", errno);
    kp_folder_close(folder);
    return status;
  }
  *out_folder = folder;
  return NULL;
}

void kp_folder_close(kp_folder* folder) {
  if (!folder) return;
  if (folder->descriptor >= 0) close(folder->descriptor);
  kp_free(folder->path);
  kp_free(folder);
}

const char* kp_folder_path(const kp_folder* folder) { return folder->path; }

// --- the request ---------------------------------------------------------------------------------------------------

typedef struct request {
  const kp_folder* folder;
  const kp_folder* const* more;
  size_t more_count;
  bool strict;
  const char* shown;      // the path as asked for, for errors
  const kp_folder* root;  // where the walk is: |folder| or one of |more|
  char rest[PATH_MAX];    // path below |root| still to be walked
} request;

// Where a walk stopped at a link: bytes [start, end) of |rest|.
typedef struct link_place {
  size_t start, end;
} link_place;

static bool forbids_links(const request* r) { return r->strict && r->more_count == 0; }

static kp_status* refuse(const request* r, const char* why) {
  return KP_ERROR(EXTERNAL_DATA, "path '%s' %s", r->shown, why);
}

static kp_status* check_relative(const request* r, kp_str relative) {
  if (relative.length == 0) return refuse(r, "is empty");
  if (memchr(relative.data, 0, relative.length)) return refuse(r, "has a NUL in it");
  if (relative.data[0] == '/')
    return refuse(r, "is absolute; only paths below the folder are allowed");
  if (relative.length >= PATH_MAX) return refuse(r, "is too long");
  if (relative.data[relative.length - 1] == '/') return refuse(r, "names no file");
  for (size_t start = 0; start < relative.length;) {
    size_t end = start;
    while (end < relative.length && relative.data[end] != '/') ++end;
    if (end - start == 2 && memcmp(relative.data + start, "..", 2) == 0)
      return refuse(r, "has '..' in it; only paths below the folder are allowed");
    start = end + 1;
  }
  return NULL;
}

// The absolute path that a folder's handle has now, without links in it; false if the system does not tell.
static bool current_path(const kp_folder* folder, char out[PATH_MAX]) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", folder->descriptor);
  const ssize_t length = readlink(name, out, PATH_MAX - 1);
  if (length > 0) {
    out[length] = 0;
    return true;
  }
  return realpath(folder->path, out) != NULL;
}

// --- links ---------------------------------------------------------------------------------------------------------

// Joins pieces into |out|; false if they are too long.
static bool join(char out[PATH_MAX], const char* a, const char* b, const char* c) {
  return snprintf(out, PATH_MAX, "%s%s%s", a, b, c) < PATH_MAX;
}

// The real path of |path| except that its last name is not followed; errno is set on failure.
static bool resolve_parent(const char* path, char out[PATH_MAX]) {
  char parent[PATH_MAX];
  const char* const slash = strrchr(path, '/');
  const char* const name = slash + 1;
  if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return realpath(path, out) != NULL;
  snprintf(parent, sizeof parent, "%.*s", (int)(slash == path ? 1 : slash - path), path);
  char real[PATH_MAX];
  if (!realpath(parent, real)) return false;
  if (join(out, strcmp(real, "/") == 0 ? "" : real, "/", name)) return true;
  errno = ENAMETOOLONG;
  return false;
}

// What follows |folder|'s path in |path|, or NULL if |path| is not below it.
static const char* below(const kp_folder* folder, const char* path) {
  char root[PATH_MAX];
  if (!current_path(folder, root)) return NULL;
  const size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
  if (strncmp(path, root, length) != 0 || path[length] != '/' || !path[length + 1]) return NULL;
  return path + length + 1;
}

static kp_status* refuse_link(const request* r, const char* target) {
  const char* const slash = strrchr(target, '/');
  kp_status* status =
      KP_ERROR(EXTERNAL_DATA, "path '%s' leads by a symbolic link to '%s', outside folder '%s'",
               r->shown, target, r->folder->path);
  return kp_status_hint(
      status, "handing over the folder '%.*s' as a further folder for external data allows it",
      (int)(slash > target ? slash - target : 1), target);
}

// Goes on from the allowed folder in which the file would lie that the link's target and the rest of the path name.
static kp_status* follow_link(request* r, link_place at, const char* target) {
  char root[PATH_MAX], before[PATH_MAX], full[PATH_MAX], real[PATH_MAX], goal[PATH_MAX];
  if (!current_path(r->root, root))
    return refuse(r, "has a symbolic link that cannot be looked up");
  snprintf(before, sizeof before, "/%.*s", (int)at.start, r->rest);  // ends with a slash
  const bool fits = *target == '/' ? join(full, target, "", "") : join(full, root, before, target);
  if (!fits) return refuse(r, "is too long");
  if (!resolve_parent(full, real)) return kp_file_error(r->shown, "following a link of", errno);
  const char* const rest = r->rest + at.end;
  if (!join(goal, strcmp(real, "/") == 0 && *rest ? "" : real, rest, ""))
    return refuse(r, "is too long");
  const char* left = below(r->folder, goal);
  const kp_folder* next = r->folder;
  for (size_t i = 0; !left && i < r->more_count; ++i) {
    next = r->more[i];
    left = below(next, goal);
  }
  if (!left) return refuse_link(r, goal);
  r->root = next;
  memcpy(r->rest, left, strlen(left) + 1);
  return NULL;
}

// --- the walk ------------------------------------------------------------------------------------------------------

typedef enum walk_end { WALK_OPEN, WALK_LINK, WALK_ERROR } walk_end;

// Opens |name| in the folder |at|, following no link.
static int open_name(int at, const char* name, bool is_last) {
  const int flags = is_last ? KP_OPEN_READ : O_PATH | O_DIRECTORY | O_CLOEXEC;
  return openat(at, name, flags | O_NOFOLLOW);
}

// One step from |*at|, which is closed and replaced. |target| gets the link's text where the name is one.
static walk_end step(int* at, const char* name, bool is_last, char target[PATH_MAX]) {
  const int next = open_name(*at, name, is_last);
  int error = errno;
  walk_end end = next >= 0 ? WALK_OPEN : WALK_ERROR;
  if (next < 0 && (error == ELOOP || error == ENOTDIR)) {
    const ssize_t length = readlinkat(*at, name, target, PATH_MAX - 1);
    if (length > 0) {
      target[length] = 0;
      end = WALK_LINK;
    }
  }
  close(*at);
  *at = next;
  errno = error;
  return end;
}

// Walks |r->rest| from |r->root| until the file is open, a link is met or something fails (errno).
static walk_end walk(const request* r, int* out_descriptor, link_place* place,
                     char target[PATH_MAX]) {
  int at = fcntl(r->root->descriptor, F_DUPFD_CLOEXEC, 0);
  if (at < 0) return WALK_ERROR;
  walk_end end = WALK_OPEN;
  for (size_t start = 0; end == WALK_OPEN && r->rest[start];) {
    const size_t length = strcspn(r->rest + start, "/");
    const size_t stop = start + length;
    if (length > 0 && !(length == 1 && r->rest[start] == '.')) {
      char name[NAME_MAX + 1];
      if (length > NAME_MAX) {
        close(at);
        errno = ENAMETOOLONG;
        return WALK_ERROR;
      }
      memcpy(name, r->rest + start, length);
      name[length] = 0;
      *place = (link_place){start, stop};
      end = step(&at, name, r->rest[stop] == 0, target);
    }
    start = stop + (r->rest[stop] == '/');
  }
  *out_descriptor = at;
  return end;
}

static kp_status* open_by_walking(request* r, int* out_descriptor) {
  for (int links = 0; links <= MAX_LINKS; ++links) {
    link_place place = {0, 0};
    char target[PATH_MAX];
    switch (walk(r, out_descriptor, &place, target)) {
      case WALK_OPEN:
        return NULL;
      case WALK_ERROR:
        return kp_file_error(r->shown, "opening", errno);
      case WALK_LINK:
        if (forbids_links(r))
          return refuse(r,
                        "is or passes a symbolic link, which is not followed for untrusted models");
        KP_PASS(follow_link(r, place, target));
    }
  }
  return refuse(r, "leads through too many symbolic links");
}

// -1 with errno, as open.
static int open_beneath(const request* r) {
#if HAVE_OPENAT2
  if (!atomic_load(&forgo_openat2)) {
    struct open_how how = {.flags = KP_OPEN_READ,
                           .resolve = RESOLVE_BENEATH | (forbids_links(r) ? RESOLVE_NO_SYMLINKS
                                                                          : RESOLVE_NO_MAGICLINKS)};
    return (int)syscall(SYS_openat2, r->folder->descriptor, r->rest, &how, sizeof how);
  }
#endif
  (void)r;
  errno = ENOSYS;
  return -1;
}

static kp_status* open_contained(request* r, int* out_descriptor) {
  *out_descriptor = open_beneath(r);
  if (*out_descriptor >= 0) return NULL;
  // What the kernel knows to be missing is missing; anything else the walk finds out, or says better.
  if (errno == ENOENT || errno == EACCES) return kp_file_error(r->shown, "opening", errno);
  return open_by_walking(r, out_descriptor);
}

// --- mapping -------------------------------------------------------------------------------------------------------

static kp_status* map_contained(request* r, kp_file** out_file) {
  int descriptor = -1;
  KP_PASS(open_contained(r, &descriptor));
  kp_status* status = kp_file_map_open(descriptor, r->shown, out_file);
  close(descriptor);
  KP_PASS(status);
  if (r->strict && (*out_file)->link_count > 1) {
    kp_file_release(*out_file);
    *out_file = NULL;
    return refuse(r, "has more names (hard links), so its data may belong elsewhere");
  }
  return NULL;
}

kp_status* kp_folder_map(const kp_folder* folder, const kp_folder* const* more, size_t more_count,
                         kp_str relative, bool strict, kp_file** out_file) {
  *out_file = NULL;
  request* r = kp_alloc(sizeof *r);
  char* shown = r ? kp_strndup(relative.data, relative.length) : NULL;
  kp_status* status = NULL;
  if (shown) {
    *r = (request){.folder = folder,
                   .more = more,
                   .more_count = more_count,
                   .strict = strict,
                   .shown = shown,
                   .root = folder};
    status = check_relative(r, relative);
  } else {
    status = KP_ERROR(OUT_OF_MEMORY, "opening a file in '%s'", folder->path);
  }
  if (!status) {
    memcpy(r->rest, shown, relative.length + 1);
    status = map_contained(r, out_file);
  }
  kp_free(shown);
  kp_free(r);
  return status;
}
