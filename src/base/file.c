// Mapped files and atomic writing. Neighbours: folder.c opens contained files; onnx/ maps models through both.
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file_internal.h"
#include "base/size.h"

kp_status* kp_file_error(const char* shown, const char* action, int error) {
  if (error == ENOENT || error == ENOTDIR) return KP_ERROR(NOT_FOUND, "'%s' does not exist", shown);
  if (error == ENOMEM) return KP_ERROR(OUT_OF_MEMORY, "%s '%s'", action, shown);
  return KP_ERROR(IO, "%s '%s': %s", action, shown, strerror(error));
}

static const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// Up to this size reading costs less than mapping, faulting the pages in and unmapping.
#define SMALL_FILE ((size_t)128 << 10)

// Reads the whole file into memory: small ones, and where the file system cannot map.
static kp_status* read_whole(int descriptor, const char* shown, kp_file* file) {
  uint8_t* bytes = kp_alloc_block(file->size);
  if (!bytes) return KP_ERROR(OUT_OF_MEMORY, "%zu bytes of '%s'", file->size, shown);
  file->data = bytes;
  for (size_t done = 0; done < file->size;) {
    const ssize_t n = pread(descriptor, bytes + done, file->size - done, (off_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return kp_file_error(shown, "reading", errno);
    if (n == 0) return KP_ERROR(IO, "'%s' became shorter while it was read", shown);
    done += (size_t)n;
  }
  return NULL;
}

static kp_status* map_regular(int descriptor, const char* shown, const struct stat* info,
                              kp_file* file) {
  file->refs = 1;
  file->device = (uint64_t)info->st_dev;
  file->inode = (uint64_t)info->st_ino;
  file->link_count = (uint64_t)info->st_nlink;
  file->size = (size_t)info->st_size;
  if (file->size == 0) return NULL;
  if (file->size <= SMALL_FILE) return read_whole(descriptor, shown, file);
  void* data = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) {
    if (errno != ENODEV) return kp_file_error(shown, "mapping", errno);
    return read_whole(descriptor, shown, file);
  }
  file->data = data;
  file->mapped = true;
  return NULL;
}

kp_status* kp_file_map_open(int descriptor, const char* shown, kp_file** out_file) {
  *out_file = NULL;
  struct stat info;
  if (fstat(descriptor, &info) != 0) return kp_file_error(shown, "looking at", errno);
  if (!S_ISREG(info.st_mode))
    return KP_ERROR(IO, "'%s' is %s, not a regular file", shown, kind_of(info.st_mode));
  kp_file* file = kp_alloc_zero(1, sizeof *file);
  if (!file) return KP_ERROR(OUT_OF_MEMORY, "mapping '%s'", shown);
  kp_status* status = map_regular(descriptor, shown, &info, file);
  if (status)
    kp_file_release(file);
  else
    *out_file = file;
  return status;
}

kp_status* kp_file_map(const char* path, kp_file** out_file) {
  *out_file = NULL;
  const int descriptor = open(path, KP_OPEN_READ);
  if (descriptor < 0) {
    const int error = errno;
    // A socket, or a device without a driver.
    if (error == ENXIO || error == ENODEV) return KP_ERROR(IO, "'%s' is not a regular file", path);
    return kp_file_error(path, "opening", error);
  }
  kp_status* status = kp_file_map_open(descriptor, path, out_file);
  close(descriptor);
  return status;
}

kp_file* kp_file_retain(kp_file* file) {
  if (file) __atomic_fetch_add(&file->refs, 1, __ATOMIC_RELAXED);
  return file;
}

void kp_file_release(kp_file* file) {
  if (!file || __atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (file->mapped)
    munmap((void*)(uintptr_t)file->data, file->size);
  else
    kp_free((void*)(uintptr_t)file->data);
  kp_free(file);
}

bool kp_file_holds(const kp_file* file, const void* data) {
  const uint8_t* at = data;
  return file && file->mapped && at >= file->data && at < file->data + file->size;
}

void kp_file_forget(const void* data, size_t byte_count) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t first = ((uintptr_t)data + page - 1) / page * page,
                  last = ((uintptr_t)data + byte_count) / page * page;
  if (first < last) madvise((void*)first, last - first, MADV_DONTNEED);
}

// --- writing -------------------------------------------------------------------------------------------------------

static kp_status* write_all(int descriptor, const char* shown, const void* data,
                            size_t byte_count) {
  const char* bytes = data;
  for (size_t done = 0; done < byte_count;) {
    const ssize_t n = write(descriptor, bytes + done, byte_count - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return kp_file_error(shown, "writing", errno);
    done += (size_t)n;
  }
  return NULL;
}

// A new file beside |path|; its name, in |name|, is unlikely to exist, and is tried again if it does.
static int open_temporary(const char* path, char* name, size_t name_size) {
  static _Atomic unsigned counter;
  for (int attempt = 0; attempt < 100; ++attempt) {
    const unsigned number = atomic_fetch_add(&counter, 1);
    snprintf(name, name_size, "%s.%lx-%x-%x.tmp", path, (unsigned long)getpid(), number,
             (unsigned)kp_clock_ns());
    const int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
  return -1;
}

static kp_status* write_and_rename(const char* path, char* name, size_t name_size, const void* data,
                                   size_t byte_count) {
  const int descriptor = open_temporary(path, name, name_size);
  if (descriptor < 0) return kp_file_error(path, "creating", errno);
  kp_status* status = write_all(descriptor, path, data, byte_count);
  // Before the rename, so that a crash cannot leave the new name with the old file gone and the new one empty.
  if (!status && fsync(descriptor) != 0 && errno != EINVAL)
    status = kp_file_error(path, "writing", errno);
  if (close(descriptor) != 0 && !status) status = kp_file_error(path, "writing", errno);
  if (!status && rename(name, path) != 0) status = kp_file_error(path, "renaming to", errno);
  if (status) unlink(name);
  return status;
}

static kp_status* write_in_place(const char* path, const void* data, size_t byte_count) {
  const int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return kp_file_error(path, "opening", errno);
  kp_status* status = write_all(descriptor, path, data, byte_count);
  close(descriptor);
  return status;
}

kp_status* kp_file_write(const char* path, const void* data, size_t byte_count) {
  struct stat info;
  if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode)) return KP_ERROR(IO, "'%s' is a folder", path);
    return write_in_place(path, data, byte_count);
  }
  const size_t name_size = strlen(path) + 64;
  char* name = kp_alloc(name_size);
  if (!name) return KP_ERROR(OUT_OF_MEMORY, "writing '%s'", path);
  kp_status* status = write_and_rename(path, name, name_size, data, byte_count);
  kp_free(name);
  return status;
}
