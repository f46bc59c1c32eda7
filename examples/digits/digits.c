// Reads one digit with the C API: digits MODEL. Build it against an installed Kapell:
//   cc digits.c $(pkg-config --cflags --libs kapell) -o digits && ./digits digits.onnx
#include <kapell/kapell.h>
#include <stdio.h>

static const char picture[] =  // a one: '#' is ink
    "  ###   "
    "  ###   "
    " ####   "
    "  ###   "
    "  ###   "
    "  ###   "
    "  ###   "
    "  ####  ";

int main(int argc, char** argv) {
  const int64_t dims[] = {1, 1, 8, 8};
  float pixels[64];
  for (int i = 0; i < 64; ++i) pixels[i] = picture[i] == '#' ? 1.0f : 0.0f;

  kapell_session* session = NULL;
  kapell_value *image = NULL, *probabilities = NULL;
  kapell_status* status =
      kapell_session_open_file(argc > 1 ? argv[1] : "digits.onnx", NULL, &session);
  if (!status)
    status = kapell_tensor_wrap(KAPELL_FLOAT, dims, 4, pixels, sizeof(pixels), NULL, NULL, &image);
  if (!status) status = kapell_session_run(session, NULL, NULL, &image, 1, NULL, &probabilities, 1);
  if (!status) {
    const float* p = kapell_tensor_const_data(probabilities);
    for (int digit = 0; digit < 10; ++digit) printf("%d %6.2f %%\n", digit, 100 * (double)p[digit]);
  } else {
    fprintf(stderr, "%s\n", kapell_status_text(status));
  }
  const int failed = status != NULL;
  kapell_status_free(status);
  kapell_value_release(probabilities);
  kapell_value_release(image);
  kapell_session_close(session);
  return failed;
}
