// What a shared object of this system's kind (ELF) says of itself, read as a file: nothing of it is loaded or run.
//
// The bytes may be anything: every offset and count is checked, and what does not fit is an error or, where the loader would not
// mind either, left out. Neighbours: depend.c walks the libraries that a library needs, find.c looks for providers.
#ifndef KP_FIND_ELF_H_
#define KP_FIND_ELF_H_

#include "base/arena.h"
#include "base/status.h"

// A version of symbols that the library wants of another one: GLIBC_2.34 of libc.so.6.
typedef struct kp_elf_want {
  const char* file;
  const char* version;
  bool weak;  // the loader only warns when it is missing
} kp_elf_want;

typedef struct kp_elf {
  const char* soname;         // NULL = none
  const char* const* needed;  // names of libraries, in the order in which they are loaded
  size_t needed_count;
  const char* runpath;  // folders by colons, NULL = none
  bool
      inherited;  // |runpath| is a DT_RPATH: libraries further down the chain are looked for there too
  const kp_elf_want* wants;
  size_t want_count;
  const char* const* versions;  // of the symbols that it defines, without the base one
  size_t version_count;
  uint32_t exports;  // bit i: the i-th of the names asked for is a symbol that it defines
} kp_elf;

// Reads the library |bytes|. |symbols|: names to look for, at most 32, ends with NULL; may be NULL. Texts lie in |arena|.
// Errors: PROVIDER_UNAVAILABLE with what the bytes are instead (no ELF, cut off, for another machine, no shared object);
// OUT_OF_MEMORY. Messages have no path: the caller adds it.
KP_MUST_USE kp_status* kp_elf_read(const uint8_t* bytes, size_t byte_count,
                                   const char* const* symbols, kp_arena* arena, kp_elf* out_elf);
// The same from a file. Errors: those of kp_elf_read and kp_file_map, with the path.
KP_MUST_USE kp_status* kp_elf_read_file(const char* path, const char* const* symbols,
                                        kp_arena* arena, kp_elf* out_elf);
// Whether the file is a library for this machine (its first bytes say so).
bool kp_elf_is_native(const char* path);

#endif  // KP_FIND_ELF_H_
