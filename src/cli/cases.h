// Test cases of a model: values of its inputs, and of its outputs as they should be.
//
// They lie beside the model as ONNX keeps its test data (test_data_set_0/input_0.pb, output_0.pb, ... by position), or in the model's
// metadata, where 'kapell embed-test' puts them: "kapell.test.0.input.NAME" and "kapell.test.0.output.NAME", each the .pb in Base64.
#ifndef KAPELL_CLI_CASES_H_
#define KAPELL_CLI_CASES_H_

#include "cli/cli.h"

#define CASE_PREFIX "kapell.test."

typedef struct cli_case {
  char name[280];           // "test_data_set_0", "embedded test 0", "random inputs"
  kapell_value** inputs;    // parallel to the session's inputs; NULL: not given
  kapell_value** expected;  // parallel to its outputs; NULL: not given
} cli_case;

typedef struct cli_cases {
  cli_case* list;
  size_t count;
  size_t input_count, output_count;  // of the session
} cli_cases;

// Reads the cases of |folder| (NULL: the model's own, where there may be none) and of the session's metadata. False: printed. Free in
// every case.
bool cli_cases_read(const cli_args* args, const kapell_session* session, const char* folder,
                    cli_cases* out_cases);
// Adds a case of random inputs, without outputs. False: printed.
bool cli_cases_add_random(const cli_args* args, const kapell_session* session, cli_cases* cases);
size_t cli_cases_embedded(const kapell_session* session);  // how many are in the metadata
void cli_cases_free(cli_cases* cases);

// Runs |session| on the case's inputs; |outputs| (one a session's output, zeroed) receives new values. The error, or NULL.
kapell_status* cli_case_run(const cli_case* one, kapell_session* session, kapell_value** outputs);

// Base64 (RFC 4648); free() the results. Decoding gives NULL for what is none.
char* base64_encode(const void* bytes, size_t size);
char* base64_decode(const char* text, size_t* out_size);

#endif  // KAPELL_CLI_CASES_H_
