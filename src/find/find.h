// Finds the libraries of providers that are not built in, and says what each needs and lacks.
//
// A library is looked at as a file first (elf.h): its format, the whole chain of libraries below it, the versions of symbols that they
// want of one another. Only then is it loaded, and that in a helper process (kapell-probe). Nothing here runs code of a library in the
// caller's process. Neighbours: registry.c has the names; plan/ asks for the reason why a listed provider is not to be had; api/
// makes the doctor's report of it.
//
// Everything lies in the arena of kp_places. Threads: one at a time on one kp_places.
#ifndef KP_FIND_FIND_H_
#define KP_FIND_FIND_H_

#include "base/file.h"
#include "find/elf.h"
#include "provider/provider.h"

// --- places (places.c) -----------------------------------------------------------------------------------------------------
typedef struct kp_place {
  const char* path;
  const char* how;  // how it came to be looked at: "KAPELL_PROVIDER_PATH", "VIRTUAL_ENV"
} kp_place;

typedef struct kp_place_list {
  kp_place* items;
  size_t count, capacity;
} kp_place_list;

typedef enum kp_manager { KP_MANAGER_NONE, KP_MANAGER_APT, KP_MANAGER_DNF } kp_manager;

typedef struct kp_places {
  kp_arena* arena;
  const char* root;            // of the system looked at; "" = this one
  kp_place_list given;         // files and folders that the user named
  kp_place_list packages;      // folders of pip packages
  kp_place_list library_path;  // LD_LIBRARY_PATH
  kp_place_list system;        // of the linker, besides its cache
  kp_place_list
      vendor;  // where pip and vendors' installers put libraries that the linker does not look for
  kp_place_list refused;  // named by the user and not looked at; |how| says why
  kp_file* cache;         // /etc/ld.so.cache; NULL = none
  const char* python;     // the environment's program, NULL = none was found
  bool managed;           // pip may not install into that environment (it is the system's)
  bool administrator;     // runs as root: no sudo in commands
  kp_manager manager;
  const char* system_name;  // "Debian GNU/Linux 12 (bookworm)"; NULL = not known
} kp_places;

typedef struct kp_find_options {
  const char* root;           // NULL or "": this system
  const char* provider_path;  // by colons; before KAPELL_PROVIDER_PATH. NULL = none
} kp_find_options;

// Finds out where to look. Release with kp_places_free; the arena is the caller's. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_places_find(const kp_find_options* options, kp_arena* arena,
                                      kp_places* out_places);
void kp_places_free(kp_places* places);
// The version of an installed pip package, and the folder of packages that it lies in (may be NULL); NULL: not installed.
const char* kp_places_package(const kp_places* places, const char* package,
                              const char** out_folder);
// Path of |name| by the linker's cache; NULL: it has none for this machine.
const char* kp_places_cached(const kp_places* places, const char* name);
// Calls |visit| for each name in the folder, in no order, until it returns false. A folder that is not there has none.
void kp_each_name(const char* folder, bool (*visit)(void* user, const char* name), void* user);
// First line or whole text of a small file (at most 64 KiB), without white space at its end; NULL: not readable.
const char* kp_read_text(kp_arena* arena, const char* path);
bool kp_is_file(const char* path);

// --- what a library needs (depend.c) ------------------------------------------------------------------------------------------
typedef struct kp_dependency {
  const char* name;       // as the library that needs it says: "libcudnn.so.9"
  const char* wanted_by;  // file name of that library
  const char* path;       // NULL: not found
  const char* how;        // how it was found: "linker cache"
  bool
      preload;  // the system's linker would not find it there: it has to be loaded first, by its path
  bool
      at_run_time;  // opened while running, not when the provider is loaded; its lack stops some devices only
  const char* version;  // of the library found; NULL = not known
  const char* wants;  // versions of symbols wanted of it: "GLIBC_2.34, GLIBCXX_3.4.29"; NULL = none
  const char* has;    // the highest it has of those names
  const char* problem;  // NULL: fine
  const char* fix;
  const char* requirement;  // pip package that has it, quoted for a shell: 'nvidia-cublas==13.*'
} kp_dependency;

typedef struct kp_inspection {
  const char* path;
  kp_status* status;  // what is wrong with the file itself; owned: kp_inspection_free
  kp_elf elf;
  const kp_dependency* dependencies;  // the whole chain, nearest first
  size_t count, missing;
} kp_inspection;

// Looks at the library at |path| and everything that it needs. |run_time|: names that it opens later, by spaces; may be NULL.
// Errors: OUT_OF_MEMORY; what is wrong with the library is in the inspection.
KP_MUST_USE kp_status* kp_inspect(kp_places* places, const char* path, const char* run_time,
                                  kp_inspection* out_inspection);
void kp_inspection_free(kp_inspection* inspection);

// --- what to do (advise.c) --------------------------------------------------------------------------------------------------------
// The command that installs pip packages |requirements| (quoted, by spaces) into the environment that was found, made for pasting.
const char* kp_advise_pip(const kp_places* places, const char* requirements);
typedef struct kp_advice {
  const char* fix;          // a command, or advice in words; NULL: no idea
  const char* package;      // pip package that has the library; NULL = none
  const char* requirement;  // the same with the version that is wanted, quoted for a shell
} kp_advice;
// About the library |name| ("libgomp.so.1"); |cuda| is the major version of CUDA of the chain, 0 = not known.
kp_advice kp_advise_library(const kp_places* places, const char* name, int cuda);
// What to do where |has| of a version name is too old for |wants| ("GLIBC_2.38").
const char* kp_advise_version(const kp_places* places, const char* wants);

// --- finding (find.c) ---------------------------------------------------------------------------------------------------------------
typedef struct kp_found {
  const char* path;
  const char* how;       // "pip package onnxruntime-ep-openvino in VIRTUAL_ENV"
  const char* package;   // pip package, NULL = not from one
  const char* version;   // NULL = not known
  const char* run_time;  // libraries opened later, by spaces
} kp_found;

// The library of provider |canonical|, where there is one: explicit places first, then pip packages, then system folders. False: none.
bool kp_find_provider(kp_places* places, const char* canonical, kp_found* out_found);
// What installs the library of |canonical| here; NULL: there is none for this system. *out_package likewise.
const char* kp_find_install(const kp_places* places, const char* canonical,
                            const char** out_package);
// Whether a library for |canonical| exists at all that could be found.
bool kp_find_is_findable(const char* canonical);

#define KP_EXPORT_PLUGIN 1u  // CreateEpFactories: an ONNX Runtime plug-in
#define KP_EXPORT_BRIDGE \
  2u  // GetProvider: a provider for ONNX Runtime's own bridge, which nothing else can host
extern const char* const kp_provider_symbols[];  // in the order of those bits

// --- loading in a helper process (probe.c) --------------------------------------------------------------------------------------------
typedef struct kp_probe_device {
  int id;
  const char* name;
  uint64_t memory_bytes;
  const char* place;   // "0000:3b:00.0"
  const char* detail;  // "compute capability 9.0; number 1 in nvidia-smi"
} kp_probe_device;

typedef struct kp_probe_result {
  bool ran;  // false: no helper was found; |reason| says where it was looked for
  bool loaded;
  const char* reason;  // not loaded: why ("crashed with SIGSEGV while its constructors ran")
  const char* detail;  // last words of the library on its standard error
  const char* driver;  // devices: version of the driver
  const kp_probe_device* devices;
  size_t device_count;
} kp_probe_result;

// Loads |path| in the helper, after the libraries of |inspection| that have to be loaded first. |timeout_ns| 0: 20 s. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_probe_library(const kp_places* places, const char* path,
                                        const kp_inspection* inspection, uint64_t timeout_ns,
                                        kp_probe_result* out_result);
// Asks the driver library |path| (libcuda.so.1) for its devices in the helper.
KP_MUST_USE kp_status* kp_probe_devices(const kp_places* places, const char* path,
                                        uint64_t timeout_ns, kp_probe_result* out_result);

// --- drivers and devices as the system knows them (device.c) ----------------------------------------------------------------------------
typedef enum kp_vendor {
  KP_VENDOR_NONE,
  KP_VENDOR_NVIDIA,
  KP_VENDOR_INTEL,
  KP_VENDOR_AMD,
  KP_VENDOR_ANY
} kp_vendor;

typedef struct kp_system_device {
  kp_vendor vendor;
  const char* kind;  // "GPU", "NPU"
  const char* name;
  const char* node;   // "/dev/dri/renderD128"; NULL = none
  const char* place;  // PCI address
  uint64_t memory_bytes;
  const char* problem;  // "this user may not open it"
  const char* fix;
} kp_system_device;

typedef struct kp_driver {
  const char* version;  // NVIDIA's kernel module; NULL = not loaded
  const kp_system_device* devices;
  size_t count;
} kp_driver;
KP_MUST_USE kp_status* kp_find_driver(const kp_places* places, kp_driver* out_driver);
// Which vendor's device |canonical| needs.
kp_vendor kp_find_vendor(const char* canonical);

// --- all of it for one provider (examine.c) ---------------------------------------------------------------------------------------------
typedef enum kp_finding {
  KP_FINDING_BUILT_IN,
  KP_FINDING_FOUND,    // a library that is whole, as far as was looked
  KP_FINDING_BROKEN,   // a library that cannot be loaded, or a provider that says no
  KP_FINDING_MISSING,  // none, but there is one for this system
  KP_FINDING_NOT_HERE  // there is none for this system, or none at all
} kp_finding;

typedef struct kp_examiner {
  kp_places* places;
  bool load;            // load libraries in the helper; otherwise files alone are looked at
  uint64_t timeout_ns;  // of each helper; 0 = the default
  kp_driver driver;
  bool asked_cuda;
  const char* cuda_library;  // libcuda.so.1; NULL = not found
  kp_probe_result cuda;
} kp_examiner;

typedef struct kp_examined {
  const char* canonical;  // NULL: a library that was named by its path
  const char* short_name;
  kp_finding finding;
  kp_found found;
  kp_inspection inspection;
  kp_probe_result loaded;
  kp_probe built_in;
  bool
      usable;  // sessions may have it: built in, or a library that Kapell hosts, with a device for it here
  const char* reason;  // why it is of no use; of a library that was found, what to expect
  const char* fix;     // the command or advice that changes that
} kp_examined;

KP_MUST_USE kp_status* kp_examiner_init(kp_places* places, bool load, uint64_t timeout_ns,
                                        kp_examiner* out_examiner);
// Looks at provider |canonical|, or at the library |path| if that is not NULL. Release with kp_examined_free. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_examine(kp_examiner* examiner, const char* canonical, const char* path,
                                  kp_examined* out_examined);
// The library of provider |canonical|, which is not built in, that this build can host: looked at as a file and loaded in the helper.
typedef struct kp_found_library {
  const char* path;          // NULL: none that could be hosted
  const char* const* first;  // libraries that have to be loaded before it, in this order
  size_t first_count;
  bool usable;               // with a device for it here, and one that has been seen to run
  const char *reason, *fix;  // none: why, and what to do; either may be NULL
} kp_found_library;
// Texts in |arena|. |option_texts|: checked options, parallel to kp_provider_options; may be NULL. Errors: BAD_PROVIDER_LIST for a device
// that is not there, listing those that are; OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_find_library(const char* canonical, const char* const* option_texts,
                                       const kp_find_options* where, kp_arena* arena,
                                       kp_found_library* out_library);
// What is wrong with the library at |path| by its files: reason and fix; where nothing is, path and what has to be loaded first.
KP_MUST_USE kp_status* kp_find_fault(const char* path, kp_arena* arena,
                                     kp_found_library* out_library);
// Is device |id| among those of the vendor that |canonical| is for? Where none is to be seen, the answer is yes: that is told otherwise.
KP_MUST_USE kp_status* kp_find_check_device(const kp_driver* driver, const char* canonical,
                                            int64_t id);
void kp_examined_free(kp_examined* examined);

#endif  // KP_FIND_FIND_H_
