// kapell check: does a model do here what it should? For services at start-up, and for CI. Writes nothing.
//
// Opens the session with its clauses; compares the placement with a lock file; runs the test data that there is; and with --accuracy
// runs everything on the CPU too and says at which node the chain departs from it.
#include <stdlib.h>
#include <string.h>

#include "cli/cases.h"

static const cli_option kOptions[] = {
    CLI_SESSION_OPTIONS,
    {"lock", "FILE", "the placement has to be that of the lock ('kapell place --lock' writes one)"},
    {"data", "DIR",
     "test data: DIR/test_data_set_*/, or input_0.pb, output_0.pb, ... in it (default: the model's "
     "folder)"},
    {"accuracy", NULL,
     "run on the CPU too; where outputs depart, find the first node whose value does"},
    {"dim", "SYMBOL=N", "a symbolic dimension of random inputs, where --accuracy has no test data"},
    {"shape", "NAME=1,3,224", "the shape of such an input; may be repeated"},
    {"atol", "X", "absolute tolerance (default 1e-5)"},
    {"rtol", "X", "relative tolerance (default 1e-3)"},
    {"json", NULL,
     "print the results as JSON: {\"model\", \"ok\", \"checks\": [{\"check\", \"ok\", \"text\"}]}"},
    {0},
};

typedef struct checking {
  cli_args args;
  kapell_session* session;
  kapell_session* reference;  // on the CPU; opened for --accuracy
  cli_cases cases;
  double atol, rtol;
  bool failed;
  bool json;
  FILE* out;  // where results are printed: standard output, or |text|
  char* text;
  size_t text_size, checks;
} checking;

// --- what is printed -----------------------------------------------------------------------------------------------------------
static void put_json_text(const char* text, size_t length) {
  putchar('"');
  for (size_t i = 0; i < length; ++i) {
    const unsigned char ch = (unsigned char)text[i];
    if (ch < 32 || ch == '"' || ch == '\\')
      printf("\\u%04x", ch);
    else
      putchar(ch);
  }
  putchar('"');
}

// Ends the text of the check before, where results are JSON.
static void end_check(checking* c) {
  if (!c->json || !c->out) return;
  fclose(c->out);
  c->out = NULL;
  while (c->text_size && c->text[c->text_size - 1] == '\n') --c->text_size;
  put_json_text(c->text, c->text_size);
  putchar('}');
  free(c->text);
  c->text = NULL;
}

// Begins a result; what is printed to |out| until the next one belongs to it.
static void say_as(checking* c, const char* state, const char* what) {
  if (!c->json) {
    c->out = stdout;
    printf("%-7s %-18s ", state, what);
    return;
  }
  end_check(c);
  printf(c->checks++ ? ",\n{\"check\":" : "{\"check\":");
  put_json_text(what, strlen(what));
  printf(",\"ok\":%s,\"text\":", !strcmp(state, "FAILED") ? "false" : "true");
  c->out = open_memstream(&c->text, &c->text_size);
  if (!c->out) {
    fprintf(stderr, "kapell check: no memory\n");
    exit(CLI_FAILED);
  }
}

static void say(checking* c, bool fine, const char* what) {
  c->failed = c->failed || !fine;
  say_as(c, fine ? "ok" : "FAILED", what);
}

// An error belongs to the result that was begun last.
static void say_status(checking* c, kapell_status* status) {
  if (!status) return;
  fflush(c->out);
  if (!c->json) return cli_print_status(status);
  fprintf(c->out, "\n%s", kapell_status_text(status));
  kapell_status_free(status);
}

static void say_opened(checking* c) {
  const kapell_placement* p = kapell_session_placement(c->session);
  say(c, true, "opened");
  bool first = true;
  for (size_t i = 0; i < p->provider_count; ++i) {
    const kapell_placed_provider* provider = &p->providers[i];
    if (provider->in_use && provider->nodes)
      fprintf(c->out, "%s%s %zu of %zu nodes", first ? "" : ", ", provider->name, provider->nodes,
              p->node_count);
    else if (!provider->in_use)
      fprintf(c->out, "%s%s not in use: %s", first ? "" : ", ", provider->asked,
              provider->reason ? provider->reason : "no reason known");
    else
      continue;
    first = false;
  }
  fprintf(c->out, "\n");
}

// Prints how |value| stands to |expected|.
static bool print_difference(const checking* c, const char* what, const char* name,
                             const kapell_value* value, const kapell_value* expected) {
  kapell_difference d = {.struct_size = sizeof(d)};
  kapell_value_difference(value, expected, c->atol, c->rtol, &d);
  if (!d.comparable) {
    fprintf(c->out, "%s '%s' is ", what, name);
    print_value_type(c->out, value);
    fprintf(c->out, " and should be ");
    print_value_type(c->out, expected);
    fprintf(c->out, "\n");
    return false;
  }
  fprintf(c->out, "%s '%s': largest difference %.3g, relative RMS %.2g", what, name, d.most,
          d.relative_rms);
  if (d.wrong)
    fprintf(
        c->out,
        "; %zu of %zu elements are out of tolerance (atol %g, rtol %g), the worst is element %zu",
        d.wrong, d.count, c->atol, c->rtol, d.worst);
  fprintf(c->out, "\n");
  return d.wrong == 0;
}

static bool near(const checking* c, const kapell_value* value, const kapell_value* expected) {
  kapell_difference d = {.struct_size = sizeof(d)};
  kapell_value_difference(value, expected, c->atol, c->rtol, &d);
  return d.comparable && d.wrong == 0;
}

// --- the lock ------------------------------------------------------------------------------------------------------------------
static void check_lock(checking* c, const char* path) {
  char *lock, *diff = NULL;
  size_t size;
  if (!cli_read_file(path, &lock, &size)) {
    say(c, false, "lock");
    fprintf(c->out, "%s\n", path);
    return;
  }
  kapell_status* status = kapell_session_check_lock(c->session, lock, size, &diff);
  say(c, !status, "lock");
  fprintf(c->out, "%s\n", path);
  if (diff) fputs(diff, c->out);

  say_status(c, status);
  kapell_free_text(diff);
  free(lock);
}

// --- accuracy ------------------------------------------------------------------------------------------------------------------
// A session with every value as an output, on |providers|; NULL: it could not be opened (printed).
static kapell_session* open_kept(const checking* c, const char* providers) {
  kapell_session* session = NULL;
  const cli_opening how = {.keep_values = true, .providers = providers};
  return cli_open_as(&c->args, &how, &session) == CLI_OK ? session : NULL;
}

static void print_departure(const kapell_session* session, size_t index, const kapell_value* value,
                            const kapell_value* expected, const checking* c) {
  const kapell_placed_node* node = kapell_session_output_node(session, index);
  const char* name = kapell_session_output(session, index)->name;
  if (node)
    fprintf(c->out, "        first departure: node '%s' (%s) on %s: ", node->name, node->op,
            node->provider ? node->provider : "the executor");
  else
    fprintf(c->out, "        first departure: ");
  print_difference(c, "value", name, value, expected);
}

// The first value, in the order of execution, that departs from the reference's.
static bool find_departure(const checking* c, kapell_session* chain, kapell_session* reference,
                           kapell_value** got, kapell_value** wanted) {
  const size_t count = kapell_session_output_count(reference);
  const size_t others = kapell_session_output_count(chain);
  for (size_t i = 0, k = 0; i < count; ++i) {
    const char* name = kapell_session_output(reference, i)->name;
    k = i;
    if (k >= others || strcmp(kapell_session_output(chain, k)->name, name) != 0)
      for (k = 0; k < others && strcmp(kapell_session_output(chain, k)->name, name) != 0;) ++k;
    if (k == others || near(c, got[k], wanted[i])) continue;
    print_departure(chain, k, got[k], wanted[i], c);
    return true;
  }
  return false;
}

static void release_all(kapell_value** values, size_t count) {
  for (size_t i = 0; values && i < count; ++i) kapell_value_release(values[i]);
  free(values);
}

// Runs |one| with all values kept, on the chain and on the CPU. Nothing is fused then: it says so where that hides the fault.
static void locate_departure(checking* c, const cli_case* one) {
  char* list = cli_without_limits(kapell_session_placement(c->session)->list);
  kapell_session* chain = list ? open_kept(c, list) : NULL;
  kapell_session* reference = chain ? open_kept(c, CLI_REFERENCE) : NULL;
  const size_t got_count = chain ? kapell_session_output_count(chain) : 0;
  const size_t wanted_count = reference ? kapell_session_output_count(reference) : 0;
  kapell_value** got = calloc(got_count + 1, sizeof(*got));
  kapell_value** wanted = calloc(wanted_count + 1, sizeof(*wanted));
  kapell_status* status = NULL;
  if (reference && got && wanted) {
    status = cli_case_run(one, chain, got);
    if (!status) status = cli_case_run(one, reference, wanted);
    if (!status && !find_departure(c, chain, reference, got, wanted))
      fprintf(
          c->out,
          "        no single node departs when every value is kept and nothing is fused: the fault "
          "lies in a fusion,\n        or in a partition as a whole ('kapell place' lists both)\n");
  }
  say_status(c, status);
  release_all(got, got_count);
  release_all(wanted, wanted_count);
  kapell_session_close(chain);
  kapell_session_close(reference);
  free(list);
}

static void check_accuracy(checking* c, const cli_case* one, kapell_value** outputs) {
  const size_t count = kapell_session_output_count(c->session);
  kapell_value** wanted = calloc(count + 1, sizeof(*wanted));
  kapell_status* status = wanted ? cli_case_run(one, c->reference, wanted) : NULL;
  bool fine = !status;
  for (size_t i = 0; !status && wanted && i < count; ++i) {
    const bool agrees = near(c, outputs[i], wanted[i]);
    say(c, agrees, "accuracy");
    fprintf(c->out, "%s beside the CPU, ", one->name);
    print_difference(c, "output", kapell_session_output(c->session, i)->name, outputs[i],
                     wanted[i]);
    fine = fine && agrees;
  }
  if (status) say(c, false, "accuracy"), fprintf(c->out, "%s: the CPU failed\n", one->name);
  say_status(c, status);
  if (!fine && !status) locate_departure(c, one);
  release_all(wanted, count);
}

// --- cases ---------------------------------------------------------------------------------------------------------------------
static void check_case(checking* c, const cli_case* one) {
  const size_t count = kapell_session_output_count(c->session);
  kapell_value** outputs = calloc(count + 1, sizeof(*outputs));
  kapell_status* status = outputs ? cli_case_run(one, c->session, outputs) : NULL;
  size_t compared = 0;
  if (status || !outputs) {
    say(c, false, one->name);
    fprintf(c->out, "the run failed\n");

    say_status(c, status);
    free(outputs);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!one->expected[i]) continue;
    ++compared;
    say(c, near(c, outputs[i], one->expected[i]), one->name);
    print_difference(c, "output", kapell_session_output(c->session, i)->name, outputs[i],
                     one->expected[i]);
  }
  if (!compared)
    say(c, true, one->name), fprintf(c->out, "ran; no outputs are given to compare with\n");
  if (c->reference) check_accuracy(c, one, outputs);
  release_all(outputs, count);
}

static bool check_all(checking* c) {
  const char* lock = cli_get(&c->args, "lock");
  if (lock) check_lock(c, lock);
  if (!cli_cases_read(&c->args, c->session, cli_get(&c->args, "data"), &c->cases)) return false;
  if (!c->cases.count && !cli_has(&c->args, "accuracy")) {
    say_as(c, "-", "test data");
    fprintf(c->out, "none beside the model or in it; 'kapell embed-test' puts it there\n");
    return true;
  }
  if (!c->cases.count && !cli_cases_add_random(&c->args, c->session, &c->cases)) return false;
  for (size_t i = 0; i < c->cases.count; ++i) check_case(c, &c->cases.list[i]);
  return true;
}

static int run_checks(checking* c) {
  kapell_status* status = NULL;
  const cli_opening how = {.out_status = &status};
  int exit_code = cli_open_as(&c->args, &how, &c->session);
  if (exit_code) {
    say(c, false, "opened");
    fprintf(c->out, "%s\n", c->args.model);
    say_status(c, status);
    return exit_code;
  }
  say_opened(c);
  const cli_opening reference = {.providers = CLI_REFERENCE};
  if (cli_has(&c->args, "accuracy")) exit_code = cli_open_as(&c->args, &reference, &c->reference);
  if (!exit_code && !check_all(c)) {
    say(c, false, "test data");
    fprintf(c->out, "cannot be read: see standard error\n");
  }
  return exit_code ? exit_code : c->failed ? CLI_FAILED : CLI_OK;
}

static int run(const cli_command* command, int argc, char** argv) {
  checking c = {0};
  int exit_code;
  if (!cli_parse(command, argc, argv, &c.args, &exit_code)) return exit_code;
  if (!cli_real(&c.args, "atol", 1e-5, &c.atol) || !cli_real(&c.args, "rtol", 1e-3, &c.rtol))
    return CLI_USAGE;
  c.json = cli_has(&c.args, "json");
  if (c.json) {
    printf("{\"model\":");
    put_json_text(c.args.model, strlen(c.args.model));
    printf(",\"checks\":[");
  }
  exit_code = run_checks(&c);
  end_check(&c);
  if (c.json) printf("],\"ok\":%s}\n", exit_code ? "false" : "true");
  cli_cases_free(&c.cases);
  kapell_session_close(c.reference);
  kapell_session_close(c.session);
  return exit_code;
}

const cli_command cli_check_command = {
    .name = "check",
    .arguments = "MODEL",
    .summary = "whether a model does here what it should: placement, test data, accuracy",
    .examples =
        "  kapell check model.onnx --providers \"CUDA>=90%,CPU; copies<=2\"\n"
        "  kapell check model.onnx --providers \"CUDA,CPU\" --lock model.lock --accuracy\n"
        "  kapell check model.onnx --data tests --rtol 1e-4\n",
    .options = kOptions,
    .run = run,
};
