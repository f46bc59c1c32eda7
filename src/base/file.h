// Read-only files: mapped whole, or opened contained in a folder. Also atomic writing.
//
// Threads: any. A mapped file that somebody truncates meanwhile raises SIGBUS as with any program that maps files; the
// documentation of kapell_session_open says so.
#ifndef KP_BASE_FILE_H_
#define KP_BASE_FILE_H_

#include "base/status.h"
#include "base/str.h"

typedef struct kp_file {
  const uint8_t* data;     // read-only; NULL for an empty file
  size_t size;             // bytes
  bool mapped;             // munmap'd on release, else freed
  int refs;                // atomic
  uint64_t device, inode;  // identity, to map the same file once
  uint64_t link_count;
} kp_file;

// Maps a regular file; a small one is read instead, and not |mapped|. Errors name the path and the reason: NOT_FOUND, IO (a folder, FIFO or device is refused without blocking).
KP_MUST_USE kp_status* kp_file_map(const char* path, kp_file** out_file);
kp_file* kp_file_retain(kp_file* file);
void kp_file_release(kp_file* file);  // NULL is fine

// Whether |data| lies in |file| (NULL: no) and that is mapped.
bool kp_file_holds(const kp_file* file, const void* data);
// Tells the system that nobody is about to read these bytes of a mapped file: it takes their pages, and reads them again should
// somebody look after all. Pages that lie partly outside stay. Only for bytes of a kp_file that is |mapped|.
void kp_file_forget(const void* data, size_t byte_count);

// A folder handle that contained files are opened under (the handle keeps pointing at the folder even if renamed).
typedef struct kp_folder kp_folder;
KP_MUST_USE kp_status* kp_folder_open(const char* path, kp_folder** out_folder);
void kp_folder_close(kp_folder* folder);              // NULL is fine
const char* kp_folder_path(const kp_folder* folder);  // as it was given
// Maps |relative| below |folder|. Regular files only; refused: absolute paths, any "..", empty names, embedded NUL, a
// symbolic link (in any component) whose target leaves |folder| and every folder in |more| (may be NULL/0), and if |strict| a
// file of several names (hard links) and, without |more|, every symbolic link. No path is looked up twice: a link exchanged meanwhile cannot lead out.
// Errors: EXTERNAL_DATA for what is refused, naming the rule and, for a link, saying that handing over the target's folder
// allows it; NOT_FOUND; IO; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_folder_map(const kp_folder* folder, const kp_folder* const* more,
                                     size_t more_count, kp_str relative, bool strict,
                                     kp_file** out_file);

// Writes a file whole: to a temporary name beside |path|, then renamed, so that a failure leaves the old file. Pipes and devices
// ("/dev/stdout") are written to as they are. Errors: IO, NOT_FOUND (the folder), OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_file_write(const char* path, const void* data, size_t byte_count);

#endif  // KP_BASE_FILE_H_
