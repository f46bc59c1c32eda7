// A first program: opens a model, fills its first input with ones, runs it and prints the start of its first output.
//
//   cc examples/hello.c $(pkg-config --cflags --libs kapell) -o hello && ./hello examples/digits/digits.onnx
#include <kapell/kapell.h>
#include <stdio.h>

static int fail(kapell_status* status) {
  fprintf(stderr, "%s\n", kapell_status_text(status));
  kapell_status_free(status);
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s MODEL.onnx [PROVIDERS]\n", argv[0]);
    return 2;
  }
  kapell_options options = KAPELL_OPTIONS_INIT;
  options.providers = argc > 2 ? argv[2] : NULL;
  kapell_session* session = NULL;
  kapell_status* status = kapell_session_open_file(argv[1], &options, &session);
  if (status) return fail(status);

  const kapell_type_info* type = kapell_session_input(session, 0)->type;
  int64_t dims[32];
  for (int32_t d = 0; d < type->rank; ++d)
    dims[d] = type->dims[d] < 0 ? 1 : type->dims[d];  // symbols become 1
  kapell_value *input = NULL, *output = NULL;
  status = kapell_tensor_create(type->element, dims, type->rank, &input);
  if (status) return fail(status);
  for (size_t i = 0; i < kapell_tensor_count(input); ++i) kapell_tensor_set_double(input, i, 1.0);

  status = kapell_session_run(session, NULL, NULL, &input, 1, NULL, &output, 1);
  if (status) return fail(status);
  printf("%s:", kapell_session_output(session, 0)->name);
  for (size_t i = 0; i < kapell_tensor_count(output) && i < 10; ++i)
    printf(" %g", kapell_tensor_get_double(output, i));
  printf("\n");

  char* report = NULL;
  status = kapell_session_placement_text(session, &report);
  if (status) return fail(status);
  fputs(report, stdout);
  kapell_free_text(report);
  kapell_value_release(output);
  kapell_value_release(input);
  kapell_session_close(session);
  return 0;
}
