// kapell embed-test: puts a test case into a model's metadata, where 'kapell check' finds it. The model itself stays byte for byte: a
// field that is written behind a message's end is part of it in the wire format.
#include <stdlib.h>
#include <string.h>

#include "cli/cases.h"

#define METADATA_TAG 0x72  // field 14 of ModelProto, length-delimited

static const cli_option kOptions[] = {
    {"o", "FILE",
     "the model to write; beside the original where weights lie in files of their own"},
    {"input", "NAME=VALUE",
     "FILE.npy, .npz[:ARRAY], .pb, .png, .jpg or random[:SEED] (default random:1)"},
    {"expect", "NAME=FILE", "an output as it should be (default: what the CPU computes now)"},
    {"dim", "SYMBOL=N", "a symbolic dimension of random inputs (default 1)"},
    {"shape", "NAME=1,3,224", "the shape of a random input; may be repeated"},
    CLI_SESSION_OPTIONS,
    {0},
};

typedef struct bytes {
  char* data;
  size_t size, capacity;
  bool failed;
} bytes;

static void put(bytes* b, const void* data, size_t size) {
  if (b->failed || !size) return;
  if (b->size + size > b->capacity) {
    const size_t capacity = (b->size + size) * 2;
    char* grown = realloc(b->data, capacity);
    b->failed = !grown;
    if (!grown) return;
    b->data = grown;
    b->capacity = capacity;
  }
  memcpy(b->data + b->size, data, size);
  b->size += size;
}

static size_t varint(size_t number, unsigned char out[10]) {
  size_t n = 0;
  for (; number >= 128; number >>= 7) out[n++] = (unsigned char)(number | 128);
  out[n++] = (unsigned char)number;
  return n;
}

static void put_text(bytes* b, unsigned char tag, const char* text, size_t length) {
  unsigned char size[10];
  put(b, &tag, 1);
  put(b, size, varint(length, size));
  put(b, text, length);
}

// A StringStringEntryProto of the model's metadata.
static void put_entry(bytes* b, const char* key, const char* value) {
  bytes entry = {0};
  put_text(&entry, 0x0a, key, strlen(key));
  put_text(&entry, 0x12, value, strlen(value));
  put_text(b, METADATA_TAG, entry.data, entry.size);
  b->failed = b->failed || entry.failed;
  free(entry.data);
}

static bool put_value(bytes* b, size_t number, const char* kind, const char* name,
                      const kapell_value* value) {
  char *pb = NULL, key[1200];
  size_t size = 0;
  snprintf(key, sizeof(key), CASE_PREFIX "%zu.%s.%.1000s", number, kind, name);
  kapell_status* status = kapell_value_write_pb(value, name, &pb, &size);
  char* text = status ? NULL : base64_encode(pb, size);
  if (text) put_entry(b, key, text);
  b->failed = b->failed || (!text && !status);
  const bool fine = !status;
  cli_print_status(status);
  kapell_free_text(pb);
  free(text);
  return fine;
}

// The value of --|option| NAME=..., or NULL.
static const char* named(const cli_args* args, const char* option, const char* name) {
  int at = 0;
  const size_t length = strlen(name);
  for (const char* text; (text = cli_next(args, option, &at)) != NULL;)
    if (!strncmp(text, name, length) && text[length] == '=') return text + length + 1;
  return NULL;
}

static bool check_names(const cli_args* args, const char* option, const kapell_session* session,
                        const kapell_io_info* (*get)(const kapell_session*, size_t)) {
  int at = 0;
  for (const char* text; (text = cli_next(args, option, &at)) != NULL;) {
    const size_t length = strcspn(text, "=");
    bool known = false;
    for (size_t i = 0; text[length] && get(session, i); ++i)
      known |=
          strlen(get(session, i)->name) == length && !strncmp(get(session, i)->name, text, length);
    if (known) continue;
    fprintf(stderr, "kapell embed-test: --%s '%s': the model has no such %s, or '=' is missing\n",
            option, text, !strcmp(option, "input") ? "input" : "output");
    return false;
  }
  return true;
}

static bool fill_case(const cli_args* args, kapell_session* session, cli_cases* cases) {
  cli_case* one = &cases->list[0];
  for (size_t i = 0; i < cases->input_count; ++i) {
    const kapell_io_info* info = kapell_session_input(session, i);
    const char* text = named(args, "input", info->name);
    if (!text) continue;
    kapell_value_release(one->inputs[i]);
    one->inputs[i] = cli_read_value(text, info, NULL, session, args);
    if (!one->inputs[i]) return false;
  }
  kapell_status* status = cli_case_run(one, session, one->expected);
  cli_print_status(status);
  for (size_t i = 0; !status && i < cases->output_count; ++i) {
    const kapell_io_info* info = kapell_session_output(session, i);
    const char* text = named(args, "expect", info->name);
    if (!text) continue;
    kapell_value_release(one->expected[i]);
    one->expected[i] = cli_read_value(text, info, NULL, session, args);
    if (!one->expected[i]) return false;
  }
  return !status;
}

static bool write_model(const cli_args* args, const kapell_session* session, const cli_case* one,
                        const char* path) {
  bytes b = {0};
  char* model;
  size_t size;
  const size_t number = cli_cases_embedded(session);
  if (!cli_read_file(args->model, &model, &size)) return false;
  put(&b, model, size);
  free(model);
  bool fine = true;
  for (size_t i = 0; fine && kapell_session_input(session, i); ++i)
    if (i < kapell_session_input_count(session) && one->inputs[i])
      fine = put_value(&b, number, "input", kapell_session_input(session, i)->name, one->inputs[i]);
  for (size_t i = 0; fine && i < kapell_session_output_count(session); ++i)
    fine =
        put_value(&b, number, "output", kapell_session_output(session, i)->name, one->expected[i]);
  if (fine && (b.failed || b.size >= (size_t)1 << 31)) {
    fprintf(
        stderr, "kapell embed-test: %s\n",
        b.failed ? "no memory" : "with the test the file would be over 2 GiB, which ONNX forbids");
    fine = false;
  }
  fine = fine && cli_write_file(path, b.data, b.size);
  if (fine) printf("%s: embedded test %zu, %zu bytes\n", path, number, b.size - size);
  free(b.data);
  return fine;
}

// Opens what was written: weights in files of their own are found from its folder only.
static bool opens(const cli_args* args, const char* path) {
  cli_args written = *args;
  kapell_session* session = NULL;
  const cli_opening how = {.providers = CLI_REFERENCE};
  written.model = path;
  const bool fine = cli_open_as(&written, &how, &session) == CLI_OK;
  if (!fine) fprintf(stderr, "%s was written, but does not open from where it lies\n", path);
  kapell_session_close(session);
  return fine;
}

static int run(const cli_command* command, int argc, char** argv) {
  cli_args args;
  cli_cases cases = {0};
  kapell_session* session;
  int exit_code;
  if (!cli_parse(command, argc, argv, &args, &exit_code)) return exit_code;
  const char* path = cli_get(&args, "o");
  if (!path) return fprintf(stderr, "kapell embed-test: -o FILE is missing\n"), CLI_USAGE;
  const cli_opening how = {.providers = CLI_REFERENCE};
  exit_code = cli_open_as(&args, &how, &session);
  if (exit_code) return exit_code;
  exit_code = CLI_USAGE;
  if (check_names(&args, "input", session, kapell_session_input) &&
      check_names(&args, "expect", session, kapell_session_output)) {
    const bool fine = cli_cases_add_random(&args, session, &cases) &&
                      fill_case(&args, session, &cases) &&
                      write_model(&args, session, &cases.list[0], path) && opens(&args, path);
    exit_code = fine ? CLI_OK : CLI_FAILED;
  }
  cli_cases_free(&cases);
  kapell_session_close(session);
  return exit_code;
}

const cli_command cli_embed_command = {
    .name = "embed-test",
    .arguments = "MODEL",
    .summary = "store a test case in a model, for 'kapell check'",
    .examples =
        "  kapell embed-test model.onnx -o tested.onnx --input image=dog.npy\n"
        "  kapell embed-test model.onnx -o tested.onnx --input x=x.npy --expect y=y.npy\n",
    .options = kOptions,
    .run = run,
};
