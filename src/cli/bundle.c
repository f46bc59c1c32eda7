// kapell bundle: one .tar for a bug report: the graph without its weights, options, placement, environment, timings.
//
// A model that cannot be opened or run is what reports are about: the bundle is written all the same, and says so.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/bundle.h"

static const cli_option kOptions[] = {
    {"o", "FILE", "the archive to write, a .tar (needed; -o FILE will do)"},
    {"force", NULL, "replace FILE if it is there"},
    {"keep-metadata", NULL, "keep doc strings and metadata in the model"},
    CLI_SESSION_OPTIONS,
    {"dim", "SYMBOL=N", "a symbolic dimension of the inputs drawn (default 1)"},
    {"shape", "NAME=1,3,224", "the shape of an input, likewise; may be repeated"},
    {"runs", "N", "how many runs to time, 0 to 1000 (default 5)"},
    {0}};

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

// --- runs --------------------------------------------------------------------------------------------------------------------
// |text| without the folder of the model, which messages name.
static void put_message(const bundle* b, FILE* out, const char* text) {
  const char* slash = strrchr(b->args.model, '/');
  const size_t length = slash ? (size_t)(slash - b->args.model) + 1 : 0;
  while (*text)
    if (length > 1 && !strncmp(text, b->args.model, length))
      text += length;
    else
      fputc(*text++, out);
  fputc('\n', out);
}

// Takes and frees |status|; false where there was one.
static bool tell_status(const bundle* b, FILE* out, const char* what, kapell_status* status) {
  if (!status) return true;
  fprintf(out, "%s:\n", what);
  put_message(b, out, kapell_status_text(status));
  kapell_status_free(status);
  return false;
}

// A drawn value for each input that a run must give. False: said in |out|.
static bool draw_inputs(const bundle* b, const kapell_session* session, FILE* out,
                        kapell_value** values) {
  for (size_t i = 0; i < kapell_session_input_count(session); ++i) {
    const kapell_io_info* info = kapell_session_input(session, i);
    int64_t dims[CLI_MAX_RANK];
    int32_t rank = -1;
    if (!cli_choose_shape(&b->args, info, dims, &rank) || rank < 0 ||
        !(values[i] = cli_random_value(info, dims, rank, i))) {
      fprintf(out, "not run: input '%s' cannot be drawn; --shape %s=1,3,224 gives a shape\n",
              info->name, info->name);
      return false;
    }
    fprintf(out, "input %s: ", info->name);
    print_value_type(out, values[i]);
    fprintf(out, "\n");
  }
  return true;
}

static bool run_once(const bundle* b, kapell_session* session, kapell_value** inputs, FILE* out) {
  const size_t count = kapell_session_output_count(session);
  kapell_value** outputs = calloc(count + 1, sizeof(*outputs));
  if (!outputs) return false;
  const double start = now_ms();
  kapell_status* status = kapell_session_run(
      session, NULL, NULL, inputs, kapell_session_input_count(session), NULL, outputs, count);
  const double took = now_ms() - start;
  for (size_t i = 0; i < count; ++i) kapell_value_release(outputs[i]);
  free(outputs);
  if (!tell_status(b, out, "the run failed", status)) return false;
  fprintf(out, "run: %.3f ms\n", took);
  return true;
}

// Opens what |how| names and runs it; what comes of it goes into |out|, the placement of a session into |place| and |json| (may be
// NULL). False: a wrong call, printed.
static bool try_model(const bundle* b, cli_opening* how, long runs, FILE* out, FILE* place,
                      FILE* json, bool* out_works) {
  kapell_session* session;
  kapell_status* status = NULL;
  const double start = now_ms();
  *out_works = false;
  how->out_status = &status;
  if (cli_open_as(&b->args, how, &session) == CLI_USAGE) return false;
  if (!session) {
    if (place) put_message(b, place, kapell_status_text(status));
    tell_status(b, out, "it cannot be opened", status);
    return true;
  }
  fprintf(out, "opened in %.3f ms\n", now_ms() - start);
  if (place) bundle_placement(session, place, json);
  const size_t count = kapell_session_input_count(session);
  kapell_value** inputs = calloc(count + 1, sizeof(*inputs));
  bool fine = inputs && (runs == 0 || draw_inputs(b, session, out, inputs));
  for (long i = 0; fine && i < runs; ++i) fine = run_once(b, session, inputs, out);
  for (size_t i = 0; inputs && i < count; ++i) kapell_value_release(inputs[i]);
  free(inputs);
  kapell_session_close(session);
  *out_works = fine;
  return true;
}

// --- the archive ---------------------------------------------------------------------------------------------------------------
// A text that becomes a file of the archive.
typedef struct part {
  const char* name;
  FILE* out;
  char* text;
  size_t size;
} part;

enum { READ_ME, OPTIONS, ENVIRONMENT, PLACEMENT, PLACEMENT_JSON, TIMINGS, PART_COUNT };

static bool open_parts(part* parts) {
  static const char* const kNames[] = {"README.txt",    "options.txt",    "environment.txt",
                                       "placement.txt", "placement.json", "timings.txt"};
  for (size_t i = 0; i < PART_COUNT; ++i) {
    parts[i] = (part){.name = kNames[i]};
    parts[i].out = open_memstream(&parts[i].text, &parts[i].size);
    if (!parts[i].out) return false;
  }
  return true;
}

static void add_parts(part* parts, cli_tar* tar) {
  for (size_t i = 0; i < PART_COUNT; ++i) {
    tar->failed = !parts[i].out || fclose(parts[i].out) != 0 || tar->failed;
    char name[64];
    snprintf(name, sizeof(name), "bundle/%s", parts[i].name);
    if (parts[i].size) cli_tar_add(tar, name, parts[i].text, parts[i].size);
    free(parts[i].text);
  }
}

static bool write_archive(const bundle* b, const cli_tar* tar) {
  FILE* file = fopen(b->path, b->force ? "wb" : "wbx");
  const bool written = file && fwrite(tar->bytes, 1, tar->size, file) == tar->size;
  const bool closed = !file || fclose(file) == 0;
  if (written && closed) return true;
  fprintf(stderr, "%s cannot be written: %s%s\n", b->path, strerror(errno),
          !file && errno == EEXIST ? "; --force replaces it" : "");
  return false;
}

static void say(const bundle* b, const cli_tar* tar, FILE* out, bool works) {
  const kapell_synthesis* s = &b->synthesis;
  if (tar) fprintf(out, "%s: %.1f MiB. ", b->path, (double)tar->size / (1 << 20));
  fprintf(out,
          "The model in it %s.\n"
          "In it: the graph with its names; %llu tensors drawn anew, %llu kept (indices, shapes, "
          "flags, single numbers; %llu came\n"
          "from external data); options as given; placement; versions and processor; timings.\n"
          "Not in it: the values of weights beyond their mean, spread, bounds and zeros; inputs%s; "
          "training information;\n"
          "the model's folder; environment variables other than KAPELL_*.\n",
          works ? "opens and runs" : "did not run: timings.txt says why",
          (unsigned long long)s->replaced, (unsigned long long)s->kept,
          (unsigned long long)s->external,
          b->synthesis.keep_metadata ? "" : "; doc strings and metadata");
}

static bool fill(bundle* b, part* parts, const char* model, size_t size, bool* out_works) {
  FILE* out = parts[TIMINGS].out;
  cli_opening own = {0}, drawn = {.bytes = model, .byte_count = size};
  bundle_options(b, parts[OPTIONS].out);
  bundle_environment(parts[ENVIRONMENT].out);
  fprintf(out, "-- the model itself, on drawn inputs\n");
  if (!try_model(b, &own, b->runs, out, parts[PLACEMENT].out, parts[PLACEMENT_JSON].out, out_works))
    return false;
  fprintf(out, "\n-- the model of this bundle, likewise\n");
  return try_model(b, &drawn, b->runs ? 1 : 0, out, NULL, NULL, out_works);
}

static int write_bundle(bundle* b, const char* model, size_t size) {
  part parts[PART_COUNT] = {0};
  cli_tar tar = {0};
  bool works = false, fine = open_parts(parts) && fill(b, parts, model, size, &works);
  if (fine) say(b, NULL, parts[READ_ME].out, works);
  cli_tar_add(&tar, "bundle/model.onnx", model, size);
  add_parts(parts, &tar);
  cli_tar_end(&tar);
  int exit_code = fine ? CLI_FAILED : CLI_USAGE;
  if (tar.failed) fprintf(stderr, "%s: out of memory, or over 8 GiB\n", b->path);
  if (fine && !tar.failed && write_archive(b, &tar)) {
    say(b, &tar, stdout, works);
    exit_code = CLI_OK;
  }
  free(tar.bytes);
  return exit_code;
}

static bool check_path(const bundle* b) {
  if (!b->path) {
    fprintf(stderr, "kapell bundle: -o FILE is missing; see 'kapell bundle --help'\n");
    return false;
  }
  if (b->force || access(b->path, F_OK) != 0) return true;
  fprintf(stderr, "kapell bundle: %s is there already; --force replaces it\n", b->path);
  return false;
}

static int run(const cli_command* command, int argc, char** argv) {
  bundle b = {.synthesis = {.struct_size = sizeof(b.synthesis)}};
  int exit_code;
  if (!cli_parse(command, argc, argv, &b.args, &exit_code)) return exit_code;
  b.path = cli_get(&b.args, "o");
  b.force = cli_has(&b.args, "force");
  b.synthesis.keep_metadata = cli_has(&b.args, "keep-metadata");
  b.synthesis.untrusted = cli_has(&b.args, "untrusted");
  if (!cli_int(&b.args, "runs", 0, 1000, 5, &b.runs) || !check_path(&b)) return CLI_USAGE;
  char* model;
  size_t size;
  kapell_status* status = kapell_model_synthesise(b.args.model, &b.synthesis, &model, &size);
  if (status) {
    cli_print_status(status);
    return CLI_OPEN;
  }
  exit_code = write_bundle(&b, model, size);
  kapell_free_text(model);
  return exit_code;
}

const cli_command cli_bundle_command = {
    .name = "bundle",
    .arguments = "MODEL",
    .summary = "pack what a bug report needs into a .tar, without the weights",
    .examples =
        "  kapell bundle model.onnx -o report.tar --dim batch=4\n"
        "  kapell bundle model.onnx -o report.tar --providers \"CUDA?,CPU\" --keep-metadata\n",
    .options = kOptions,
    .run = run,
};
