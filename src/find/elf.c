// Reads ELF shared objects, bounds-checked. The dynamic section tells all that is wanted here; section headers are not looked at,
// as the loader does not look at them either.
#include "find/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/size.h"

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#elif defined(__arm__)
#define OWN_MACHINE EM_ARM
#elif defined(__i386__)
#define OWN_MACHINE EM_386
#elif defined(__riscv)
#define OWN_MACHINE EM_RISCV
#else
#define OWN_MACHINE EM_NONE
#endif
#define OWN_CLASS (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32)
#define OWN_ORDER (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB)
#define MOST_ENTRIES \
  65536u  // of any list: far more than real libraries have, and few enough to go through

typedef ElfW(Ehdr) elf_header;
typedef ElfW(Phdr) elf_segment;
typedef ElfW(Dyn) elf_dynamic;
typedef ElfW(Sym) elf_symbol;

typedef struct view {
  const uint8_t* bytes;
  size_t size;
  size_t segments, segment_count;  // file offset of the program headers
  size_t strings, string_size;     // of the dynamic string table
  size_t symbols, gnu_hash, hash;  // file offsets; 0 = none
  size_t versions, wants, want_count, defines, define_count;
  kp_arena* arena;
} view;

// Copies |size| bytes at file offset |at|; false: they are not all there.
static bool get(const view* v, size_t at, void* out, size_t size) {
  if (at > v->size || size > v->size - at) return false;
  memcpy(out, v->bytes + at, size);
  return true;
}

static bool get_at(const view* v, size_t base, size_t index, void* out, size_t size) {
  size_t offset;
  return kp_mul_size(index, size, &offset) && kp_add_size(base, offset, &offset) &&
         get(v, offset, out, size);
}

// File offset of address |address| of the loaded library; 0: it has none.
static size_t offset_of(const view* v, uint64_t address) {
  for (size_t i = 0; i < v->segment_count; ++i) {
    elf_segment s;
    if (!get_at(v, v->segments, i, &s, sizeof s)) return 0;
    if (s.p_type != PT_LOAD || address < s.p_vaddr || address - s.p_vaddr >= s.p_filesz) continue;
    size_t offset;
    return kp_add_size((size_t)s.p_offset, (size_t)(address - s.p_vaddr), &offset) ? offset : 0;
  }
  return 0;
}

// The text at |index| of the string table, NULL where there is none that ends.
static const char* text_at(const view* v, uint64_t index) {
  if (index >= v->string_size || v->strings > v->size) return NULL;
  const size_t most = kp_min_size(v->string_size, v->size - v->strings);
  if (index >= most) return NULL;
  const char* text = (const char*)v->bytes + v->strings + index;
  return memchr(text, 0, most - (size_t)index) ? text : NULL;
}

static const char* keep(const view* v, uint64_t index) {
  const char* text = text_at(v, index);
  return text ? kp_arena_strndup(v->arena, text, strlen(text)) : NULL;
}

static kp_status* no_memory(void) { return KP_ERROR(OUT_OF_MEMORY, "reading a library"); }

static kp_status* damaged(const char* what) {
  return kp_status_hint(
      KP_ERROR(PROVIDER_UNAVAILABLE, "the file is cut off or damaged: %s lies outside it", what),
      "install or copy it again");
}

// --- what kind of file it is ----------------------------------------------------------------------------------------------
static const char* machine_name(int machine) {
  static const struct {
    int machine;
    const char* name;
  } names[] = {{EM_X86_64, "x86-64"},  {EM_386, "32-bit x86"}, {EM_AARCH64, "AArch64"},
               {EM_ARM, "32-bit ARM"}, {EM_RISCV, "RISC-V"},   {EM_PPC64, "POWER"},
               {EM_S390, "S/390"},     {258, "LoongArch"},     {EM_MIPS, "MIPS"}};
  for (size_t i = 0; i < KP_COUNT_OF(names); ++i)
    if (names[i].machine == machine) return names[i].name;
  return "an unknown machine";
}

static kp_status* not_elf(const uint8_t* bytes, size_t size) {
  static const struct {
    const char* magic;
    size_t length;
    const char* what;
  } kinds[] = {
      {"MZ", 2, "a library for Windows"},
      {"\xcf\xfa\xed\xfe", 4, "a library for macOS"},
      {"\xca\xfe\xba\xbe", 4, "a library for macOS"},
      {"!<arch>\n", 8, "a static library (.a)"},
      {"INPUT", 5, "a linker script, not the library itself"},
      {"/* GNU ld script", 16, "a linker script, not the library itself"},
      {"version https://git-lfs.github.com", 34, "a pointer of Git LFS, not the file itself"},
      {"PK\x03\x04", 4, "a ZIP archive (a wheel or a jar?)"}};
  if (!size) return KP_ERROR(PROVIDER_UNAVAILABLE, "the file is empty");
  for (size_t i = 0; i < KP_COUNT_OF(kinds); ++i)
    if (size >= kinds[i].length && !memcmp(bytes, kinds[i].magic, kinds[i].length))
      return KP_ERROR(PROVIDER_UNAVAILABLE, "it is %s, no shared object (ELF)", kinds[i].what);
  return KP_ERROR(PROVIDER_UNAVAILABLE,
                  "it is no shared object: it does not begin as ELF files do");
}

static kp_status* check_kind(const view* v, elf_header* header) {
  if (v->size < 4 || memcmp(v->bytes, ELFMAG, 4) != 0) return not_elf(v->bytes, v->size);
  if (v->size < EI_NIDENT + 4) return damaged("its header");
  const bool big = v->bytes[EI_DATA] == ELFDATA2MSB;
  const uint8_t* m = v->bytes + EI_NIDENT + 2;
  const int machine = big ? m[0] << 8 | m[1] : m[1] << 8 | m[0];
  if (v->bytes[EI_CLASS] != OWN_CLASS || v->bytes[EI_DATA] != OWN_ORDER || machine != OWN_MACHINE)
    return kp_status_hint(
        KP_ERROR(PROVIDER_UNAVAILABLE, "it is for %s%s, and this is %s", machine_name(machine),
                 machine == OWN_MACHINE ? " of another word size or byte order" : "",
                 machine_name(OWN_MACHINE)),
        "install the package for %s", machine_name(OWN_MACHINE));
  if (!get(v, 0, header, sizeof *header)) return damaged("its header");
  if (header->e_type != ET_DYN)
    return KP_ERROR(PROVIDER_UNAVAILABLE, "it is an ELF file, but no shared object (%s)",
                    header->e_type == ET_REL    ? "an object file: .o"
                    : header->e_type == ET_EXEC ? "a program"
                                                : "of another type");
  if (header->e_phentsize != sizeof(elf_segment)) return damaged("its table of segments");
  return NULL;
}

bool kp_elf_is_native(const char* path) {
  uint8_t head[sizeof(elf_header)] = {0};
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return false;
  const ssize_t count = read(descriptor, head, sizeof head);
  close(descriptor);
  elf_header header = {0};
  const view v = {.bytes = head, .size = count > 0 ? (size_t)count : 0};
  kp_status* status = check_kind(&v, &header);
  const bool native = !status;
  kp_status_free(status);
  return native;
}

// --- the dynamic section ----------------------------------------------------------------------------------------------------
// The |index|-th entry; false at the end.
static bool dynamic_at(const view* v, const elf_segment* dynamic, size_t index, elf_dynamic* out) {
  return index < MOST_ENTRIES && index < dynamic->p_filesz / sizeof *out &&
         get_at(v, (size_t)dynamic->p_offset, index, out, sizeof *out) && out->d_tag != DT_NULL;
}

static void locate(view* v, const elf_dynamic* d) {
  switch (d->d_tag) {
    case DT_STRTAB:
      v->strings = offset_of(v, d->d_un.d_ptr);
      break;
    case DT_STRSZ:
      v->string_size = (size_t)d->d_un.d_val;
      break;
    case DT_SYMTAB:
      v->symbols = offset_of(v, d->d_un.d_ptr);
      break;
    case DT_HASH:
      v->hash = offset_of(v, d->d_un.d_ptr);
      break;
    case DT_GNU_HASH:
      v->gnu_hash = offset_of(v, d->d_un.d_ptr);
      break;
    case DT_VERNEED:
      v->wants = offset_of(v, d->d_un.d_ptr);
      break;
    case DT_VERNEEDNUM:
      v->want_count = kp_min_size((size_t)d->d_un.d_val, MOST_ENTRIES);
      break;
    case DT_VERDEF:
      v->defines = offset_of(v, d->d_un.d_ptr);
      break;
    case DT_VERDEFNUM:
      v->define_count = kp_min_size((size_t)d->d_un.d_val, MOST_ENTRIES);
      break;
    default:
      break;
  }
}

static kp_status* read_names(const view* v, const elf_segment* dynamic, kp_elf* out) {
  size_t count = 0, most = 0;
  elf_dynamic d;
  for (size_t i = 0; dynamic_at(v, dynamic, i, &d); ++i) most += d.d_tag == DT_NEEDED;
  const char** needed = kp_arena_new_array(v->arena, const char*, most + 1);
  if (!needed) return no_memory();
  for (size_t i = 0; dynamic_at(v, dynamic, i, &d); ++i) {
    const bool path = d.d_tag == DT_RUNPATH || (d.d_tag == DT_RPATH && !out->runpath);
    if (d.d_tag != DT_NEEDED && d.d_tag != DT_SONAME && !path) continue;
    if (!text_at(v, d.d_un.d_val)) return damaged("a name of its dynamic section");
    const char* text = keep(v, d.d_un.d_val);
    if (!text) return no_memory();
    if (d.d_tag == DT_NEEDED && count < most) needed[count++] = text;
    if (d.d_tag == DT_SONAME) out->soname = text;
    if (path) out->runpath = text, out->inherited = d.d_tag == DT_RPATH;
  }
  out->needed = needed;
  out->needed_count = count;
  return NULL;
}

// --- versions of symbols ------------------------------------------------------------------------------------------------------
// Goes through the wanted versions; counts them when |list| is NULL.
static kp_status* read_wants(const view* v, kp_elf_want* list, size_t* out_count) {
  size_t at = v->wants, count = 0;
  for (size_t i = 0; at && i < v->want_count; ++i) {
    ElfW(Verneed) file;
    if (!get(v, at, &file, sizeof file)) return damaged("its table of wanted versions");
    size_t entry;
    if (!kp_add_size(at, file.vn_aux, &entry)) return damaged("its table of wanted versions");
    for (size_t k = 0; k < file.vn_cnt && count < MOST_ENTRIES; ++k) {
      ElfW(Vernaux) want;
      if (!get(v, entry, &want, sizeof want)) return damaged("its table of wanted versions");
      if (list) {
        list[count] = (kp_elf_want){keep(v, file.vn_file), keep(v, want.vna_name),
                                    (want.vna_flags & VER_FLG_WEAK) != 0};
        if (!list[count].file || !list[count].version)
          return damaged("the name of a wanted version");
      }
      ++count;
      if (!want.vna_next || !kp_add_size(entry, want.vna_next, &entry)) break;
    }
    if (!file.vn_next || !kp_add_size(at, file.vn_next, &at)) break;
  }
  *out_count = count;
  return NULL;
}

static kp_status* read_defines(const view* v, kp_elf* out) {
  const char** list = kp_arena_new_array(v->arena, const char*, v->define_count + 1);
  if (!list) return no_memory();
  size_t at = v->defines;
  for (size_t i = 0; at && i < v->define_count; ++i) {
    ElfW(Verdef) define;
    ElfW(Verdaux) name;
    size_t aux;
    if (!get(v, at, &define, sizeof define) || !kp_add_size(at, define.vd_aux, &aux) ||
        !get(v, aux, &name, sizeof name) || !text_at(v, name.vda_name))
      return damaged("its table of versions");
    if (!(define.vd_flags & VER_FLG_BASE)) {
      list[out->version_count] = keep(v, name.vda_name);
      if (!list[out->version_count++]) return no_memory();
    }
    if (!define.vd_next || !kp_add_size(at, define.vd_next, &at)) break;
  }
  out->versions = list;
  return NULL;
}

// --- symbols --------------------------------------------------------------------------------------------------------------------
static bool is_defined(const view* v, size_t index, const char* name) {
  elf_symbol symbol;
  if (!get_at(v, v->symbols, index, &symbol, sizeof symbol) || symbol.st_shndx == SHN_UNDEF)
    return false;
  const char* text = text_at(v, symbol.st_name);
  return text && strcmp(text, name) == 0;
}

// By the old table: its chain count is the number of symbols.
static bool find_by_hash(const view* v, const char* name) {
  uint32_t head[2];
  if (!v->hash || !get(v, v->hash, head, sizeof head)) return false;
  for (size_t i = 1; i < head[1] && i < MOST_ENTRIES * 16; ++i)
    if (is_defined(v, i, name)) return true;
  return false;
}

// By the newer table: buckets of sorted chains; an odd hash ends one.
static bool find_by_gnu_hash(const view* v, const char* name) {
  uint32_t head[4], first, hash = 5381;  // buckets, first symbol, words of the filter, its shift
  for (const char* c = name; *c; ++c) hash = hash * 33 + (uint8_t)*c;
  if (!get(v, v->gnu_hash, head, sizeof head) || head[0] == 0) return false;
  size_t filter, buckets, chains;
  if (!kp_mul_size(head[2], sizeof(void*), &filter) ||
      !kp_add_size(v->gnu_hash + sizeof head, filter, &buckets) ||
      !kp_add_size(buckets, (size_t)head[0] * 4, &chains))
    return false;
  if (!get_at(v, buckets, hash % head[0], &first, sizeof first) || first < head[1]) return false;
  for (size_t i = first; i - first < MOST_ENTRIES; ++i) {
    uint32_t other;
    if (!get_at(v, chains, i - head[1], &other, sizeof other)) return false;
    if ((other | 1) == (hash | 1) && is_defined(v, i, name)) return true;
    if (other & 1) return false;
  }
  return false;
}

static void find_symbols(const view* v, const char* const* symbols, kp_elf* out) {
  for (size_t i = 0; symbols && symbols[i] && i < 32; ++i)
    if (v->gnu_hash ? find_by_gnu_hash(v, symbols[i]) : find_by_hash(v, symbols[i]))
      out->exports |= UINT32_C(1) << i;
}

// --- all of it ---------------------------------------------------------------------------------------------------------------------
// Every byte that a segment loads has to be in the file: a library that was cut off while it was copied is found here.
static kp_status* read_segments(const view* v, elf_segment* out_dynamic) {
  bool found = false;
  for (size_t i = 0; i < v->segment_count; ++i) {
    elf_segment s;
    if (!get_at(v, v->segments, i, &s, sizeof s)) return damaged("its table of segments");
    size_t end;
    if ((s.p_type == PT_LOAD || s.p_type == PT_DYNAMIC) &&
        (!kp_add_size((size_t)s.p_offset, (size_t)s.p_filesz, &end) || end > v->size))
      return damaged("a segment");
    if (s.p_type == PT_DYNAMIC) *out_dynamic = s, found = true;
  }
  return found ? NULL
               : KP_ERROR(PROVIDER_UNAVAILABLE,
                          "it is an ELF file without a dynamic section: no shared object");
}

kp_status* kp_elf_read(const uint8_t* bytes, size_t byte_count, const char* const* symbols,
                       kp_arena* arena, kp_elf* out_elf) {
  *out_elf = (kp_elf){0};
  view v = {.bytes = bytes, .size = byte_count, .arena = arena};
  elf_header header = {0};
  elf_segment dynamic = {0};
  KP_PASS(check_kind(&v, &header));
  v.segments = (size_t)header.e_phoff;
  v.segment_count = header.e_phnum;
  KP_PASS(read_segments(&v, &dynamic));
  elf_dynamic d;
  for (size_t i = 0; dynamic_at(&v, &dynamic, i, &d); ++i) locate(&v, &d);
  KP_PASS(read_names(&v, &dynamic, out_elf));
  KP_PASS(read_wants(&v, NULL, &out_elf->want_count));
  kp_elf_want* wants = kp_arena_new_array(arena, kp_elf_want, out_elf->want_count + 1);
  if (!wants) return no_memory();
  KP_PASS(read_wants(&v, wants, &out_elf->want_count));
  out_elf->wants = wants;
  KP_PASS(read_defines(&v, out_elf));
  find_symbols(&v, symbols, out_elf);
  return NULL;
}

kp_status* kp_elf_read_file(const char* path, const char* const* symbols, kp_arena* arena,
                            kp_elf* out_elf) {
  kp_file* file;
  *out_elf = (kp_elf){0};
  KP_PASS(kp_file_map(path, &file));
  kp_status* status = kp_elf_read(file->data, file->size, symbols, arena, out_elf);
  kp_file_release(file);
  if (!status) return NULL;
  const kapell_code code = kp_status_code(status);
  if (code == KAPELL_OUT_OF_MEMORY) return status;
  return kp_status_restate(status, code, "'%s' cannot be a provider or a library of one: %s", path,
                           kp_status_message(status));
}
