// Inputs and expected outputs, made once for each batch size in a process of its own and handed on in a file in memory: so all engines
// get the same bytes, and none has the memory of making them.
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench/bench.h"

typedef struct head {
  uint64_t samples, inputs, outputs;
  double flops;
  uint64_t fixed_shapes;
} head;

typedef struct making {
  const cli_args* args;
  long batch;
  kapell_session* session;
  FILE* out;
  head head;
} making;

// --- values as bytes -------------------------------------------------------------------------------------------------------
static bool put_value(FILE* out, const char* name, const kapell_value* value) {
  char* bytes = NULL;
  size_t size = 0;
  kapell_status* status = kapell_value_write_pb(value, name, &bytes, &size);
  const uint64_t record[3] = {(uint64_t)kapell_value_kind(value), strlen(name), size};
  const bool fine = !status && fwrite(record, sizeof record, 1, out) == 1 &&
                    fwrite(name, record[1], 1, out) == 1 &&
                    (!size || fwrite(bytes, size, 1, out) == 1);
  cli_print_status(status);
  kapell_free_text(bytes);
  return fine;
}

static bool get_value(FILE* in, char** out_name, kapell_value** out_value) {
  uint64_t record[3];
  if (fread(record, sizeof record, 1, in) != 1) return false;
  char* bytes = malloc((size_t)(record[1] + record[2]) + 2);
  const bool read = bytes && (!record[1] || fread(bytes, (size_t)record[1], 1, in) == 1) &&
                    (!record[2] || fread(bytes + record[1] + 1, (size_t)record[2], 1, in) == 1);
  kapell_status* status = NULL;
  if (read) {
    bytes[record[1]] = 0;
    *out_name = strdup(bytes);
    status = kapell_value_read_pb(bytes + record[1] + 1, (size_t)record[2], (kapell_kind)record[0],
                                  out_value);
    cli_print_status(status);
  }
  free(bytes);
  return read && !status && *out_name;
}

// --- where inputs come from --------------------------------------------------------------------------------------------------
// The |index|-th source of input |name|: files given one by one and the files of folders, in order. free() it; NULL past the end.
static char* source_at(const cli_args* args, const char* name, size_t index) {
  const size_t length = strlen(name);
  int at = 0;
  for (const char* text; (text = cli_next(args, "input", &at)) != NULL;) {
    if (strncmp(text, name, length) != 0 || text[length] != '=') continue;
    struct dirent** entries = NULL;
    const int count = scandir(text + length + 1, &entries, NULL, alphasort);
    if (count < 0 && index-- == 0) return strdup(text + length + 1);
    char* found = NULL;
    for (int i = 0; i < count; ++i) {
      char path[4096];
      snprintf(path, sizeof path, "%s/%s", text + length + 1, entries[i]->d_name);
      if (entries[i]->d_name[0] != '.' && !found && index-- == 0) found = strdup(path);
      free(entries[i]);
    }
    free(entries);
    if (found) return found;
  }
  return NULL;
}

static size_t count_sources(const cli_args* args, const char* name) {
  size_t count = 0;
  for (char* text; (text = source_at(args, name, count)) != NULL; ++count) free(text);
  return count;
}

// |count| tensors of one type and shape, laid one behind the other along the first dimension; takes them. NULL: printed.
static kapell_value* stack(kapell_value** items, size_t count, const char* name) {
  kapell_value* whole = NULL;
  int64_t dims[CLI_MAX_RANK];
  const int32_t rank = kapell_tensor_rank(items[0]);
  bool fine = rank > 0 && rank <= CLI_MAX_RANK &&
              kapell_value_kind(items[0]) == KAPELL_KIND_TENSOR &&
              kapell_value_type(items[0]) != KAPELL_STRING;
  for (int32_t d = 0; fine && d < rank; ++d) dims[d] = kapell_tensor_dims(items[0])[d];
  for (size_t i = 1; fine && i < count; ++i)
    fine = kapell_tensor_rank(items[i]) == rank &&
           !memcmp(kapell_tensor_dims(items[i]), dims, (size_t)rank * sizeof(*dims)) &&
           kapell_value_type(items[i]) == kapell_value_type(items[0]);
  if (fine) {
    dims[0] *= (int64_t)count;
    kapell_status* status = kapell_tensor_create(kapell_value_type(items[0]), dims, rank, &whole);
    const size_t bytes = kapell_tensor_byte_count(items[0]);
    for (size_t i = 0; !status && i < count; ++i)
      memcpy((char*)kapell_tensor_data(whole) + i * bytes, kapell_tensor_const_data(items[i]),
             bytes);
    cli_print_status(status);
  } else {
    fprintf(stderr,
            "kapell bench: the values for input '%s' cannot be put together to a batch: they need "
            "one type and one shape\n",
            name);
  }
  for (size_t i = 0; i < count; ++i) kapell_value_release(items[i]);
  return whole;
}

// A random input of |m->batch|: the first dimension, where it is none of the model's own numbers.
static kapell_value* draw(const making* m, const kapell_io_info* io, uint64_t seed) {
  int64_t dims[CLI_MAX_RANK];
  int32_t rank;
  if (!cli_choose_shape(m->args, io, dims, &rank)) return NULL;
  if (m->batch && rank > 0 && io->type->rank > 0 && io->type->dims[0] < 0) dims[0] = m->batch;
  return cli_random_value(io, dims, rank, seed);
}

static kapell_value* read_sample(const making* m, const kapell_io_info* io, size_t sample) {
  const size_t count = count_sources(m->args, io->name);
  if (!count) return draw(m, io, sample + 1);
  const size_t batch = m->batch ? (size_t)m->batch : 1;
  kapell_value** items = calloc(batch, sizeof(*items));
  size_t read = 0;
  for (; items && read < batch; ++read) {
    char* text = source_at(m->args, io->name, (sample * batch + read) % count);
    items[read] =
        text ? cli_read_value(text, io, cli_get(m->args, "image"), m->session, m->args) : NULL;
    free(text);
    if (!items[read]) break;
  }
  kapell_value* value = NULL;
  if (items && read == batch) {
    value = batch > 1 ? stack(items, batch, io->name) : items[0];
  } else {
    while (read > 0) kapell_value_release(items[--read]);
  }
  free(items);
  return value;
}

// --- making --------------------------------------------------------------------------------------------------------------------
static double sum_flops(kapell_session* session) {
  char* text = NULL;
  double sum = 0;
  kapell_status_free(kapell_session_profile_json(session, &text));
  for (const char* at = text; at && (at = strstr(at, "\"args\":{")) != NULL; ++at) {
    const char *end = strchr(at, '}'), *flops = strstr(at, "\"flops\":");
    if (flops && end && flops < end && strncmp(at, "\"args\":{\"op\":\"partition\"", 23) != 0)
      sum += strtod(flops + 8, NULL);
  }
  kapell_free_text(text);
  return sum;
}

static bool put_samples(making* m) {
  bool fine = true;
  for (size_t s = 0; s < m->head.samples && fine; ++s)
    for (size_t i = 0; i < m->head.inputs && fine; ++i) {
      const kapell_io_info* io = kapell_session_input(m->session, i);
      kapell_value* value = read_sample(m, io, s);
      fine = value && put_value(m->out, io->name, value);
      kapell_value_release(value);
    }
  return fine;
}

static bool put_expected(making* m) {
  kapell_value** inputs = calloc(m->head.inputs + 1, sizeof(*inputs));
  kapell_value** outputs = calloc(m->head.outputs + 1, sizeof(*outputs));
  bool fine = inputs && outputs;
  for (size_t i = 0; i < m->head.inputs && fine; ++i)
    fine = (inputs[i] = read_sample(m, kapell_session_input(m->session, i), 0)) != NULL;
  kapell_status* status = fine ? kapell_session_run(m->session, NULL, NULL, inputs, m->head.inputs,
                                                    NULL, outputs, m->head.outputs)
                               : NULL;
  fine = fine && !status;
  cli_print_status(status);
  for (size_t i = 0; i < m->head.outputs && fine; ++i)
    fine = put_value(m->out, kapell_session_output(m->session, i)->name, outputs[i]);
  for (size_t i = 0; i < m->head.inputs && inputs; ++i) kapell_value_release(inputs[i]);
  for (size_t i = 0; i < m->head.outputs && outputs; ++i) kapell_value_release(outputs[i]);
  free(inputs);
  free(outputs);
  return fine;
}

static bool make(making* m) {
  const cli_opening how = {.profile_path = "/dev/null", .providers = CLI_REFERENCE, .threads = 1};
  if (cli_open_as(m->args, &how, &m->session) != CLI_OK) return false;
  m->head = (head){.samples = 1,
                   .inputs = kapell_session_input_count(m->session),
                   .outputs = kapell_session_output_count(m->session),
                   .fixed_shapes = 1};
  for (size_t i = 0; i < m->head.inputs; ++i) {
    const kapell_io_info* io = kapell_session_input(m->session, i);
    const size_t count = count_sources(m->args, io->name) / (m->batch ? (size_t)m->batch : 1);
    if (count > m->head.samples) m->head.samples = count > 64 ? 64 : count;
    for (int32_t d = 0; d < io->type->rank; ++d)
      if (io->type->dims[d] < 0) m->head.fixed_shapes = 0;
  }
  bool fine = fwrite(&m->head, sizeof m->head, 1, m->out) == 1 && put_samples(m) && put_expected(m);
  m->head.flops = sum_flops(m->session);
  fine = fine && fseek(m->out, 0, SEEK_SET) == 0 &&
         fwrite(&m->head, sizeof m->head, 1, m->out) == 1 && fflush(m->out) == 0;
  kapell_session_close(m->session);
  return fine;
}

bool bench_prepare(const cli_args* args, long batch, int* out_file, double* out_flops,
                   bool* out_fixed) {
  *out_file = memfd_create("kapell-bench", MFD_CLOEXEC);
  if (*out_file < 0) return perror("kapell bench: a file in memory"), false;
  const pid_t pid = fork();
  if (pid == 0) {
    making m = {.args = args, .batch = batch, .out = fdopen(*out_file, "w")};
    _exit(m.out && make(&m) ? 0 : 1);
  }
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  head h = {0};
  if (pid < 0 || status != 0 || pread(*out_file, &h, sizeof h, 0) != (ssize_t)sizeof h)
    return false;
  *out_flops = h.flops;
  *out_fixed = h.fixed_shapes != 0;
  return true;
}

bool bench_load(int file, bench_data* out_data) {
  *out_data = (bench_data){0};
  const int copy = dup(file);
  FILE* in = copy < 0 || lseek(copy, 0, SEEK_SET) < 0 ? NULL : fdopen(copy, "r");
  head h;
  bool fine = in && fread(&h, sizeof h, 1, in) == 1;
  if (fine) {
    *out_data = (bench_data){.samples = (size_t)h.samples,
                             .inputs = (size_t)h.inputs,
                             .outputs = (size_t)h.outputs,
                             .flops = h.flops,
                             .fixed_shapes = h.fixed_shapes != 0};
    const size_t values = out_data->samples * out_data->inputs;
    out_data->input_names = calloc(values + 1, sizeof(char*));
    out_data->output_names = calloc(out_data->outputs + 1, sizeof(char*));
    out_data->values = calloc(values + 1, sizeof(kapell_value*));
    out_data->expected = calloc(out_data->outputs + 1, sizeof(kapell_value*));
    fine =
        out_data->input_names && out_data->output_names && out_data->values && out_data->expected;
    for (size_t i = 0; i < values && fine; ++i)
      fine = get_value(in, &out_data->input_names[i], &out_data->values[i]);
    for (size_t i = 0; i < out_data->outputs && fine; ++i)
      fine = get_value(in, &out_data->output_names[i], &out_data->expected[i]);
  }
  if (in) fclose(in);
  return fine;
}

void bench_unload(bench_data* data) {
  for (size_t i = 0; i < data->samples * data->inputs && data->values; ++i)
    kapell_value_release(data->values[i]), free(data->input_names[i]);
  for (size_t i = 0; i < data->outputs && data->expected; ++i)
    kapell_value_release(data->expected[i]), free(data->output_names[i]);
  free(data->input_names);
  free(data->output_names);
  free(data->values);
  free(data->expected);
}
