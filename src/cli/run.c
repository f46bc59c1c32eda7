// kapell run: runs a model on inputs from files, a seed or pictures; prints, saves or compares what comes out.
//
// An input given several times makes several runs: the i-th run takes the i-th value of each such input; inputs given once are
// the same in all of them.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

static const cli_option kOptions[] = {
    {"input", "NAME=VALUE",
     "FILE.npy, .npz[:ARRAY], .pb, .png, .jpg or random[:SEED]; repeat for several runs"},
    {"dim", "SYMBOL=N", "a symbolic dimension of random inputs (default 1)"},
    {"image", "TEXT",
     "how pictures become inputs: \"gray; resize=area; range=0..1\" (default: the model's "
     "metadata)"},
    CLI_SESSION_OPTIONS,
    {"output", "NAME=FILE", "save an output as .npy or .pb"},
    {"expect", "NAME=FILE", "compare an output with a file; exit code 1 if it differs"},
    {"atol", "X", "absolute tolerance of --expect (default 1e-5)"},
    {"rtol", "X", "relative tolerance of --expect (default 1e-3)"},
    {"labels", NULL, "print the likeliest labels (metadata \"labels\") instead of numbers"},
    {"top", "N", "how many labels (default 3)"},
    {"show", "N", "how many numbers of an output to print (default 10)"},
    {"time", NULL, "print how long each run took"},
    {"placement", NULL, "print where the nodes ran"},
    {"shape", "NAME=1,3,224", "the shape of a random input; may be repeated"},
    {"dump", "DIR",
     "write every value of the run into DIR, for 'kapell compare'; nothing is fused then"},
    {"profile", "FILE", "write a Chrome trace (opens in Perfetto)"},
    {"shadow", "N", "compute the first of each N runs on the CPU as well, and compare"},
    {"metrics", "FILE", "write the counters of all runs in Prometheus' text form (-: print them)"},
    {0},
};

typedef struct job {
  cli_args args;
  kapell_session* session;
  const char* image;
  long runs, top, show;
  double atol, rtol;
  size_t input_count, output_count;
  cli_dump* dump;  // of --dump, else NULL
} job;

// --- what is given ---------------------------------------------------------------------------------------------------------
// The |index|-th value of --|option| NAME=..., the part after the first '='; the last one where there are fewer. *out_count: how many.
static const char* named_value(const cli_args* args, const char* option, const char* name,
                               long index, long* out_count) {
  const char* found = NULL;
  int at = 0;
  long count = 0;
  for (const char* text; (text = cli_next(args, option, &at)) != NULL;) {
    const size_t length = strlen(name);
    if (strncmp(text, name, length) != 0 || text[length] != '=') continue;
    if (count <= index) found = text + length + 1;
    ++count;
  }
  if (out_count) *out_count = count;
  return found;
}

// Every NAME of --|option| must be one of the model's.
static bool check_names(const job* j, const char* option, size_t count,
                        const kapell_io_info* (*get)(const kapell_session*, size_t)) {
  int at = 0;
  for (const char* text; (text = cli_next(&j->args, option, &at)) != NULL;) {
    const size_t length = strcspn(text, "=");
    bool known = false;
    for (size_t i = 0; i < count && text[length]; ++i)
      known = known || (strlen(get(j->session, i)->name) == length &&
                        !strncmp(get(j->session, i)->name, text, length));
    if (known) continue;
    fprintf(stderr, "kapell run: --%s '%s': NAME=... is wanted, where NAME is one of:", option,
            text);
    for (size_t i = 0; i < count; ++i) fprintf(stderr, " %s", get(j->session, i)->name);
    fprintf(stderr, "\n");
    return false;
  }
  return true;
}

static bool count_runs(job* j) {
  j->runs = 1;
  for (size_t i = 0; i < j->input_count; ++i) {
    const kapell_io_info* info = kapell_session_input(j->session, i);
    long given;
    named_value(&j->args, "input", info->name, 0, &given);
    if (given == 0 && !info->optional) {
      fprintf(stderr, "kapell run: input '%s' is missing: --input %s=FILE, or %s=random\n",
              info->name, info->name, info->name);
      return false;
    }
    if (given > 1 && j->runs > 1 && given != j->runs) {
      fprintf(stderr, "kapell run: input '%s' is given %ld times, another one %ld times\n",
              info->name, given, j->runs);
      return false;
    }
    if (given > j->runs) j->runs = given;
  }
  return true;
}

// --- what comes out ------------------------------------------------------------------------------------------------------------
// The |index|-th line of |labels|; the number itself where there are none.
static void print_label(const char* labels, size_t index) {
  const char* at = labels;
  for (size_t i = 0; at && i < index; ++i) at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
  if (at && *at)
    printf("%-8.*s", (int)strcspn(at, "\n"), at);
  else
    printf("#%-7zu", index);
}

static void print_top(const job* j, const kapell_value* value) {
  const char* labels = kapell_session_metadata_find(j->session, "labels");
  const size_t count = kapell_tensor_count(value);
  double last = INFINITY;
  size_t last_at = SIZE_MAX;
  for (long n = 0; n < j->top && (size_t)n < count; ++n) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; ++i) {
      const double v = kapell_tensor_get_double(value, i);
      const bool later = v < last || (v == last && last_at != SIZE_MAX && i > last_at);
      if (later && (best == SIZE_MAX || v > kapell_tensor_get_double(value, best))) best = i;
    }
    if (best == SIZE_MAX) return;
    last = kapell_tensor_get_double(value, best);
    last_at = best;
    print_label(labels, best);
    printf("%6.2f %%   ", 100 * last);
  }
}

// Largest differences of |value| from |expected|; true if all are within the tolerances.
static bool compare(const job* j, const char* name, const kapell_value* value,
                    const kapell_value* expected) {
  kapell_difference d = {.struct_size = sizeof(d)};
  kapell_value_difference(value, expected, j->atol, j->rtol, &d);
  if (!d.comparable) {
    printf("%s: expected ", name);
    print_value_type(stdout, expected);
    printf(", got ");
    print_value_type(stdout, value);
    printf("\n");
    return false;
  }
  printf("%s: %s, largest difference %.3g", name, d.wrong ? "differs" : "as expected", d.most);
  if (d.wrong)
    printf(" at element %zu; %zu of %zu elements are out of tolerance", d.worst, d.wrong, d.count);
  printf("\n");
  return d.wrong == 0;
}

static bool check_expected(const job* j, long run, const kapell_io_info* info,
                           const kapell_value* value) {
  const char* path = named_value(&j->args, "expect", info->name, run, NULL);
  if (!path) return true;
  kapell_value* expected = cli_read_value(path, info, NULL, j->session, &j->args);
  const bool fine = expected && compare(j, info->name, value, expected);
  kapell_value_release(expected);
  return fine;
}

static bool print_output(const job* j, long run, size_t index, const kapell_value* value) {
  const kapell_io_info* info = kapell_session_output(j->session, index);
  const char* path = named_value(&j->args, "output", info->name, run, NULL);
  if (j->dump)
    return (!path || cli_save_value(path, info->name, value)) &&
           check_expected(j, run, info, value);
  if (cli_has(&j->args, "labels") && index == 0 && kapell_value_kind(value) == KAPELL_KIND_TENSOR) {
    print_top(j, value);
  } else {
    printf("%s ", info->name);
    print_value_type(stdout, value);
    printf(": ");
    print_value(stdout, value, (size_t)j->show);
    printf("\n");
  }
  if (path && !cli_save_value(path, info->name, value)) return false;
  return check_expected(j, run, info, value);
}

// --- a run ---------------------------------------------------------------------------------------------------------------------------
// What a run is called: the file names of the inputs that change from run to run.
static void print_case(const job* j, long run) {
  for (size_t i = 0; i < j->input_count; ++i) {
    const kapell_io_info* info = kapell_session_input(j->session, i);
    long given;
    const char* text = named_value(&j->args, "input", info->name, run, &given);
    if (!text || j->runs == 1) continue;
    const char* slash = strrchr(text, '/');
    if (given > 1) printf("%-14s ", slash ? slash + 1 : text);
  }
}

static void print_tail(const job* j, const kapell_counters* counters) {
  const bool tail =
      cli_has(&j->args, "time") || cli_has(&j->args, "placement") || counters->failovers;
  if (cli_has(&j->args, "time")) printf("%8.3f ms   ", (double)counters->time_ns * 1e-6);
  for (size_t p = 0; cli_has(&j->args, "placement") && p < counters->provider_count; ++p)
    if (counters->providers[p].nodes)
      printf("%s: %llu nodes  ", counters->providers[p].provider,
             (unsigned long long)counters->providers[p].nodes);
  if (cli_has(&j->args, "placement") && counters->copies)
    printf("copies: %llu of %llu bytes  ", (unsigned long long)counters->copies,
           (unsigned long long)counters->copied_bytes);
  if (counters->failovers)
    printf("started again without a provider that failed: %llu  ",
           (unsigned long long)counters->failovers);
  if (tail || cli_has(&j->args, "labels")) printf("\n");
}

static bool give_inputs(const job* j, long run, kapell_value** values, const char** names,
                        size_t* out_count) {
  *out_count = 0;
  for (size_t i = 0; i < j->input_count; ++i) {
    const kapell_io_info* info = kapell_session_input(j->session, i);
    const char* text = named_value(&j->args, "input", info->name, run, NULL);
    if (!text) continue;
    names[*out_count] = info->name;
    values[*out_count] = cli_read_value(text, info, j->image, j->session, &j->args);
    if (!values[(*out_count)++]) return false;
  }
  return true;
}

// Writes what the nodes took and made, in the order of execution.
static bool dump_values(const job* j, const char* const* names, kapell_value* const* inputs,
                        size_t given, kapell_value* const* outputs) {
  bool fine = true;
  for (size_t i = 0; fine && i < given; ++i)
    fine = cli_dump_value(j->dump, "", "(input)", names[i], inputs[i]);
  for (size_t i = 0; fine && i < j->output_count; ++i) {
    const kapell_placed_node* node = kapell_session_output_node(j->session, i);
    fine = cli_dump_value(j->dump, node ? node->name : "", node ? node->op : "(constant)",
                          kapell_session_output(j->session, i)->name, outputs[i]);
  }
  return fine;
}

static int run_once(const job* j, long run) {
  kapell_value** inputs = calloc(j->input_count + 1, sizeof(*inputs));
  kapell_value** outputs = calloc(j->output_count + 1, sizeof(*outputs));
  const char** names = calloc(j->input_count + 1, sizeof(*names));
  kapell_counters counters = {.struct_size = sizeof(counters)};
  kapell_run_options options = KAPELL_RUN_OPTIONS_INIT;
  options.counters = &counters;
  size_t given = 0;
  bool fine = inputs && outputs && names;
  int exit_code = CLI_FAILED;
  if (fine && !give_inputs(j, run, inputs, names, &given)) {
    fine = false;
    exit_code = CLI_USAGE;
  }
  kapell_status* status = fine ? kapell_session_run(j->session, &options, names, inputs, given,
                                                    NULL, outputs, j->output_count)
                               : NULL;
  fine = fine && !status;
  cli_print_status(status);
  if (fine && j->dump) fine = dump_values(j, names, inputs, given, outputs);
  if (fine) print_case(j, run);
  for (size_t i = 0; fine && i < j->output_count; ++i) fine = print_output(j, run, i, outputs[i]);
  if (fine) print_tail(j, &counters);
  for (size_t i = 0; inputs && i < j->input_count; ++i) kapell_value_release(inputs[i]);
  for (size_t i = 0; outputs && i < j->output_count; ++i) kapell_value_release(outputs[i]);
  free(inputs);
  free(outputs);
  free(names);
  return fine ? CLI_OK : exit_code;
}

// Prints a shadow check as the run ends.
static void print_shadow(void* user, const kapell_shadow_report* report) {
  (void)user;
  if (report->failure) printf("shadow: the CPU failed: %s\n", report->failure);
  for (size_t i = 0; i < report->output_count; ++i) {
    const kapell_shadow_output* o = &report->outputs[i];
    printf("shadow: run %llu, output '%s' %s the CPU's", (unsigned long long)report->run, o->name,
           o->alarm ? "DEPARTS from" : "is near");
    if (o->difference.comparable)
      printf(", largest difference %.3g, %zu of %zu elements out of tolerance\n",
             o->difference.most, o->difference.wrong, o->difference.count);
    else
      printf(": another type or shape\n");
  }
}

static bool write_metrics(const job* j, const char* path) {
  char* text = NULL;
  const char* slash = strrchr(j->args.model, '/');
  kapell_status* status =
      kapell_session_metrics(j->session, slash ? slash + 1 : j->args.model, &text);
  const bool print = !strcmp(path, "-");
  if (text && print) fputs(text, stdout);
  const bool fine = text && (print || cli_write_file(path, text, strlen(text)));
  cli_print_status(status);
  kapell_free_text(text);
  return fine;
}

static int run_all(job* j) {
  int exit_code = CLI_OK;
  for (long run = 0; run < j->runs && exit_code == CLI_OK; ++run) exit_code = run_once(j, run);
  const char* metrics = cli_get(&j->args, "metrics");
  if (metrics && !write_metrics(j, metrics)) exit_code = CLI_FAILED;
  if (exit_code != CLI_OK || !cli_has(&j->args, "placement")) return exit_code;
  char* text = NULL;
  kapell_status* status = kapell_session_placement_text(j->session, &text);
  if (!status) printf("\n%s", text);
  cli_print_status(status);
  kapell_free_text(text);
  return exit_code;
}

// One run into the folder of --dump. Says what it does not show: what fusions would have changed.
static int run_dump(job* j) {
  cli_dump dump;
  if (j->runs != 1)
    return fprintf(stderr, "kapell run: --dump takes one run, not %ld\n", j->runs), CLI_USAGE;
  if (!cli_dump_open(cli_get(&j->args, "dump"), &dump)) return CLI_USAGE;
  j->dump = &dump;
  int exit_code = run_all(j);
  if (!cli_dump_close(&dump) && exit_code == CLI_OK) exit_code = CLI_FAILED;
  if (exit_code == CLI_OK)
    printf(
        "%zu values, %.1f MiB, are in %s. Opened without rewrites and fusions, so that every value "
        "of the file is there;\n"
        "rounding may differ from a usual run. Not in it: weights, and values inside bodies of If, "
        "Loop and Scan.\n",
        dump.count, (double)dump.byte_count / (1 << 20), dump.folder);
  return exit_code;
}

static int run(const cli_command* command, int argc, char** argv) {
  job j = {0};
  int exit_code;
  long shadow_every;
  if (!cli_parse(command, argc, argv, &j.args, &exit_code)) return exit_code;
  if (!cli_int(&j.args, "top", 1, 1000, 3, &j.top) ||
      !cli_int(&j.args, "show", 0, 1000000, 10, &j.show) ||
      !cli_real(&j.args, "atol", 1e-5, &j.atol) || !cli_real(&j.args, "rtol", 1e-3, &j.rtol))
    return CLI_USAGE;
  if (!cli_int(&j.args, "shadow", 1, 1000000000, 0, &shadow_every)) return CLI_USAGE;
  const cli_opening how = {.profile_path = cli_get(&j.args, "profile"),
                           .shadow_every = (uint32_t)shadow_every,
                           .shadow = print_shadow,
                           .keep_values = cli_has(&j.args, "dump")};
  exit_code = cli_open_as(&j.args, &how, &j.session);
  if (exit_code) return exit_code;
  j.image = cli_get(&j.args, "image");
  j.input_count =
      kapell_session_input_count(j.session) + kapell_session_overridable_count(j.session);
  j.output_count = kapell_session_output_count(j.session);
  const bool fine = check_names(&j, "input", j.input_count, kapell_session_input) &&
                    check_names(&j, "output", j.output_count, kapell_session_output) &&
                    check_names(&j, "expect", j.output_count, kapell_session_output) &&
                    count_runs(&j);
  exit_code = !fine ? CLI_USAGE : how.keep_values ? run_dump(&j) : run_all(&j);
  kapell_session_close(j.session);
  return exit_code;
}

const cli_command cli_run_command = {
    .name = "run",
    .arguments = "MODEL",
    .summary = "run a model on files, pictures or random inputs",
    .examples =
        "  kapell run examples/digits/digits.onnx --input "
        "image=examples/digits/pictures/3-0836.png --labels --time\n"
        "  kapell run model.onnx --input x=random:7 --dim batch=4 --providers \"CUDA?,CPU\" "
        "--placement\n"
        "  kapell run model.onnx --input x=x.npy --expect y=y.npy --rtol 1e-4\n",
    .options = kOptions,
    .run = run,
};
