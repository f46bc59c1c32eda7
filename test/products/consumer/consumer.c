// The smallest user of the library: prints the version it runs with, and shows that an error can be read and freed.
#include <kapell/kapell.h>
#include <stdio.h>

int main(void) {
  kapell_session* session = NULL;
  kapell_status* status = kapell_session_open_file("there-is-no-such-model.onnx", NULL, &session);
  if (!status || session) return 1;
  printf("%s %s\n", kapell_version(), kapell_code_name(kapell_status_code(status)));
  kapell_status_free(status);
  return 0;
}
