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
  const char* model;  // the positional argument, NULL where none was given
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
void cli_help(const cli_command* command, FILE* out);

extern const cli_command cli_run_command, cli_inspect_command, cli_place_command,
    cli_providers_command;

// --- limits (limits.c) -------------------------------------------------------------------------------------------------------
// Sets --untrusted and every --limit in |options|. False: printed.
bool cli_read_limits(const cli_args* args, kapell_options* options);

// --- sessions (session.c) ----------------------------------------------------------------------------------------------------
// Options that every command with a model has.
#define CLI_SESSION_OPTIONS                                                                      \
  {"providers", "LIST",                                                                          \
   "providers in order of priority, as in \"CUDA?,CPU\" (default CPU); docs/providers.md"},      \
      {"option", "NAME.KEY=VALUE", "an option of a provider; may be repeated"},                  \
      {"untrusted", NULL,                                                                        \
       "the model may come from anyone: limits, and no file but its own (docs/untrusted.md)"},   \
      {"limit", "NAME=VALUE",                                                                    \
       "memory, nodes, iterations, open-seconds, run-seconds, fold-bytes, fold-seconds; may be " \
       "repeated"},                                                                              \
      {"threads", "N", "threads of a run (default: what this process may use)"}, {               \
    "cpu-mask", "LEVEL", "take instruction sets away: avx2, sse, scalar, -avx512f"               \
  }
// Opens the model of |args|, with a progress bar on a terminal when it takes over a second. Gives an exit code:
// CLI_USAGE or CLI_OPEN, printed, leave *out_session NULL.
int cli_open(const cli_args* args, const char* profile_path, kapell_session** out_session);
void cli_print_status(kapell_status* status);  // to standard error; frees it

// --- tensors in files (tensor_file.c, npy.c, npz.c, picture.c) ---------------------------------------------------------------
// Reads the value for input |info| from |text|: FILE.npy, FILE.npz (the array of the input's name, or the only one), FILE.npz:NAME,
// FILE.pb, FILE.png or .jpg (by |image|, see picture.c), or random[:SEED]. |dims| overrides symbols for random (NULL: 1).
// NULL: printed.
kapell_value* cli_read_value(const char* text, const kapell_io_info* info, const char* image,
                             const kapell_session* session, const cli_args* args);
// The value of --dim NAME=N for a symbolic dimension (may be NULL); 1 where it is not given. False: printed.
bool cli_symbol_dim(const cli_args* args, const char* symbol, int64_t* out);
bool cli_read_file(const char* path, char** out_bytes,
                   size_t* out_size);  // false: printed; free() the bytes
bool cli_write_file(const char* path, const void* bytes, size_t size);  // false: printed

kapell_value* npy_parse(const char* what, const char* bytes, size_t size);  // NULL: printed
// Serialises as .npy, version 1.0; false: printed. free() the bytes.
bool npy_write(const kapell_value* value, char** out_bytes, size_t* out_size);
// Gives the .npy bytes of array |name| in the archive (NULL: the only one, or of several the one called |otherwise|). free()
// them. False: printed.
bool npz_find(const char* path, const char* bytes, size_t size, const char* name,
              const char* otherwise, char** out_bytes, size_t* out_size);
// A picture as a float32 tensor for |type| ([N,C,H,W] or [N,H,W,C]), by |how|. NULL: printed.
kapell_value* picture_read(const char* path, const char* bytes, size_t size,
                           const kapell_type_info* type, const char* how);

// --- printing (print.c) --------------------------------------------------------------------------------------------------------
void print_type(FILE* out, const kapell_type_info* type);             // "float32[N,3,224,224]"
void print_value_type(FILE* out, const kapell_value* value);          // "float32[1,10]"
void print_value(FILE* out, const kapell_value* value, size_t most);  // numbers, |most| of them

#endif  // KAPELL_CLI_CLI_H_
