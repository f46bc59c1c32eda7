// The command `kapell`: what its subcommands share. It uses the library as any program would.
//
// Exit codes: 0 done · 1 the run failed, or outputs differ from what was expected · 2 the call was wrong · 3 the model or its
// providers could not be opened.
#ifndef KAPELL_CLI_CLI_H_
#define KAPELL_CLI_CLI_H_

#include <kapell/kapell.h>
#include <stdbool.h>
#include <stdio.h>

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_OPEN = 3 };

// --- arguments (args.c) ----------------------------------------------------------------------------------------------------
// One option of a subcommand: "--providers LIST". |name| without dashes; |takes| NULL: a switch.
typedef struct cli_option {
  const char* name;
  const char* takes;
  const char* help;
} cli_option;

typedef struct cli_command {
  const char* name;
  const char* arguments;  // "MODEL"
  const char* summary;
  const char* examples;  // one a line
  const cli_option* options;
  int (*run)(const struct cli_command* command, int argc, char** argv);
} cli_command;

// The arguments of one call, checked against the command's options.
typedef struct cli_args {
  const cli_command* command;
  int argc;
  char** argv;
  const char* model;   // the positional argument, NULL where none was given
  const char* second;  // of commands that take two
} cli_args;

// Checks and keeps argv (after the subcommand's name). False: something was printed; *out_exit is the exit code.
bool cli_parse(const cli_command* command, int argc, char** argv, cli_args* out_args,
               int* out_exit);
bool cli_has(const cli_args* args, const char* name);
const char* cli_get(const cli_args* args, const char* name);  // the last value, or NULL
const char* cli_next(const cli_args* args, const char* name,
                     int* at);  // each value in turn; *at starts at 0; NULL at the end
// A whole number within [low, high]; false: printed.
bool cli_int(const cli_args* args, const char* name, long low, long high, long fallback, long* out);
bool cli_real(const cli_args* args, const char* name, double fallback,
              double* out);  // likewise, of at least 0
void cli_help(const cli_command* command, FILE* out);

extern const cli_command cli_run_command, cli_inspect_command, cli_place_command,
    cli_providers_command, cli_bundle_command, cli_compare_command, cli_check_command,
    cli_embed_command, cli_doctor_command, cli_bench_command, cli_exec_command;

// --- limits (limits.c) -------------------------------------------------------------------------------------------------------
// Sets --untrusted and every --limit in |options|. False: printed.
bool cli_read_limits(const cli_args* args, kapell_options* options);

// --- sessions (session.c) ----------------------------------------------------------------------------------------------------
// Options that every command with a model has.
#define CLI_SESSION_OPTIONS                                                                      \
  {"providers", "LIST",                                                                          \
   "providers in order of priority, as in \"CUDA?,CPU\" (default CPU); docs/providers.md"},      \
      {"option", "NAME.KEY=VALUE", "an option of a provider; may be repeated"},                  \
      {"provider-library", "NAME=PATH",                                                          \
       "load a library of providers first, under NAME; may be repeated (docs/hosting.md)"},      \
      {"on-failure", "POLICY",                                                                   \
       "when a provider fails in a run: error (default), or continue without it"},               \
      {"untrusted", NULL,                                                                        \
       "the model may come from anyone: limits, and no file but its own (docs/untrusted.md)"},   \
      {"limit", "NAME=VALUE",                                                                    \
       "memory, nodes, iterations, open-seconds, run-seconds, fold-bytes, fold-seconds; may be " \
       "repeated"},                                                                              \
      {"threads", "N", "threads of a run (default: what this process may use)"}, {               \
    "cpu-mask", "LEVEL", "take instruction sets away: avx2, sse, scalar, -avx512f"               \
  }
// Registers every --provider-library. False: printed.
bool cli_register_libraries(const cli_args* args);
// Opens the model of |args|, with a progress bar on a terminal when it takes over a second. Gives an exit code:
// CLI_USAGE or CLI_OPEN, printed, leave *out_session NULL.
int cli_open(const cli_args* args, const char* profile_path, kapell_session** out_session);

// How cli_open_as differs from cli_open.
typedef struct cli_opening {
  const char* profile_path;
  bool keep_values;
  const void* bytes;  // the model, instead of the file's; they must outlive the session
  size_t byte_count;
  // Instead of --providers and KAPELL_PROVIDERS. With CLI_REFERENCE, options of other providers are left out.
  const char* providers;
  uint32_t shadow_every;
  void (*shadow)(void* user, const kapell_shadow_report* report);
  int threads;                 // instead of --threads; 0: as there
  kapell_status** out_status;  // takes what went wrong instead of standard error; NULL: printed
} cli_opening;
int cli_open_as(const cli_args* args, const cli_opening* how, kapell_session** out_session);
#define CLI_REFERENCE "CPU"  // the providers that results are compared with
// |list| with its clauses left out, but for the floor's; free() it.
char* cli_without_limits(const char* list);
void cli_print_status(kapell_status* status);  // to standard error; frees it

// --- tensors in files (tensor_file.c, npy.c, npz.c, picture.c) ---------------------------------------------------------------
// Reads the value for input |info| from |text|: FILE.npy, FILE.npz (the array of the input's name, or the only one), FILE.npz:NAME,
// FILE.pb, FILE.png or .jpg (by |image|, see picture.c), or random[:SEED]. |dims| overrides symbols for random (NULL: 1).
// NULL: printed.
kapell_value* cli_read_value(const char* text, const kapell_io_info* info, const char* image,
                             const kapell_session* session, const cli_args* args);
// A value for input |info| of this shape drawn from |seed|: normal floats, integers 0 and 1. NULL: printed.
kapell_value* cli_random_value(const kapell_io_info* info, const int64_t* dims, int32_t rank,
                               uint64_t seed);
#define CLI_MAX_RANK 32
// The shape of input |info| by --shape and --dim and its type; *out_rank -1 where nothing is known. False: printed.
bool cli_choose_shape(const cli_args* args, const kapell_io_info* info, int64_t dims[CLI_MAX_RANK],
                      int32_t* out_rank);
// The value of --dim NAME=N for a symbolic dimension (may be NULL); 1 where it is not given. False: printed.
bool cli_symbol_dim(const cli_args* args, const char* symbol, int64_t* out);
bool cli_read_file(const char* path, char** out_bytes,
                   size_t* out_size);  // false: printed; free() the bytes
bool cli_write_file(const char* path, const void* bytes, size_t size);  // false: printed
// |value| as .pb where |path| ends so, else as .npy. False: printed.
bool cli_save_value(const char* path, const char* name, const kapell_value* value);

kapell_value* npy_parse(const char* what, const char* bytes, size_t size);  // NULL: printed
// Serialises as .npy, version 1.0; false: printed. free() the bytes.
bool npy_write(const kapell_value* value, char** out_bytes, size_t* out_size);
bool npy_takes(const kapell_value* value);  // whether .npy has a form for it
// Gives the .npy bytes of array |name| in the archive (NULL: the only one, or of several the one called |otherwise|). free()
// them. False: printed.
bool npz_find(const char* path, const char* bytes, size_t size, const char* name,
              const char* otherwise, char** out_bytes, size_t* out_size);
// A picture as a float32 tensor for |type| ([N,C,H,W] or [N,H,W,C]), by |how|. NULL: printed.
kapell_value* picture_read(const char* path, const char* bytes, size_t size,
                           const kapell_type_info* type, const char* how);

// --- dumps (dump.c) ----------------------------------------------------------------------------------------------------------
// A folder with every value of a run: an index, and a file for each value.
typedef struct cli_dump {
  const char* folder;
  FILE* index;
  size_t count, byte_count;
} cli_dump;
bool cli_dump_open(const char* folder, cli_dump* out_dump);  // false: printed
bool cli_dump_value(cli_dump* dump, const char* node, const char* op, const char* name,
                    const kapell_value* value);  // false: printed
bool cli_dump_close(cli_dump* dump);

// One line of an index; the texts lie in one allocation, which |file| begins. file "-": a value of nothing.
typedef struct cli_dumped {
  char *file, *kind, *node, *op, *name, *type;
} cli_dumped;
bool cli_dump_read_index(const char* folder, cli_dumped** out_list, size_t* out_count);
void cli_dump_free_index(cli_dumped* list, size_t count);
kapell_value* cli_dump_read_value(const char* folder, const cli_dumped* entry);  // NULL: printed

// --- archives (tar.c) ----------------------------------------------------------------------------------------------------------
// A .tar in memory (ustar). |failed| is sticky.
typedef struct cli_tar {
  char* bytes;
  size_t size, capacity;
  bool failed;
} cli_tar;
void cli_tar_add(cli_tar* tar, const char* name, const void* bytes, size_t size);
void cli_tar_end(cli_tar* tar);

// --- printing (print.c) --------------------------------------------------------------------------------------------------------
void print_type(FILE* out, const kapell_type_info* type);             // "float32[N,3,224,224]"
void print_value_type(FILE* out, const kapell_value* value);          // "float32[1,10]"
void print_value(FILE* out, const kapell_value* value, size_t most);  // numbers, |most| of them

#endif  // KAPELL_CLI_CLI_H_
