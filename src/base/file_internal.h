// What file.c and folder.c share. Use base/file.h.
#ifndef KP_BASE_FILE_INTERNAL_H_
#define KP_BASE_FILE_INTERNAL_H_

#include "base/file.h"

// How files are opened for reading: never waiting for a FIFO's writer, never becoming a controlling terminal.
#define KP_OPEN_READ (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

// Maps what |descriptor| has open, if it is a regular file; |shown| names it in errors. The descriptor stays the caller's.
KP_MUST_USE kp_status* kp_file_map_open(int descriptor, const char* shown, kp_file** out_file);
// The error for a failed system call on |shown|: NOT_FOUND or IO by |error| (an errno).
KP_MUST_USE kp_status* kp_file_error(const char* shown, const char* action, int error);
// For tests: makes kp_folder_map walk by itself as on kernels without openat2.
void kp_folder_forgo_openat2(bool forgo);

#endif  // KP_BASE_FILE_INTERNAL_H_
