// KAPELL_REPORT: for programs that cannot be changed, the placement of every session they make, appended to a file.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "dropin/session.h"

// One write, so that sessions of several threads and processes do not mix.
static void append(const char* path, const kp_strbuf* text) {
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const bool written = file >= 0 && write(file, text->data, text->length) == (ssize_t)text->length;
  if (!written) KP_LOG(WARNING, "KAPELL_REPORT: '%s' was not written: %s", path, strerror(errno));
  if (file >= 0) close(file);
}

// "CPUExecutionProvider 10 of 11 nodes; CUDAExecutionProvider not in use: ...; 1 node is needed for no run"
static void summarise(const kapell_placement* placement, kp_strbuf* out) {
  size_t left = placement->node_count;
  for (size_t i = 0; i < placement->provider_count; ++i) {
    const kapell_placed_provider* p = &placement->providers[i];
    kp_strbuf_printf(out, "%s%s", i ? "; " : "", p->name);
    if (p->in_use)
      kp_strbuf_printf(out, " %zu of %zu nodes", p->nodes, placement->node_count);
    else
      kp_strbuf_printf(out, " not in use%s%s", p->reason ? ": " : "", p->reason ? p->reason : "");
    left -= p->nodes <= left ? p->nodes : left;
  }
  if (left)
    kp_strbuf_printf(out, "; %zu %s computed before the first run, or needed for no output", left,
                     left == 1 ? "is" : "are");
}

void dropin_report(const OrtSession* session, const char* model) {
  const char* path = getenv("KAPELL_REPORT");
  char* json = NULL;
  if (!path || !path[0]) return;
  kapell_status* status = kapell_session_placement_json(session->session, &json);
  if (status) {
    KP_LOG(WARNING, "KAPELL_REPORT: %s", kapell_status_message(status));
    kapell_status_free(status);
    return;
  }
  kp_strbuf line = {0};  // one JSON object a line
  kp_strbuf_printf(&line, "{\"process\": %ld, \"model\": ", (long)getpid());
  kp_strbuf_json(&line, kp_str_of(model ? model : "(bytes)"));
  kp_strbuf summary = {0};
  summarise(kapell_session_placement(session->session), &summary);
  kp_strbuf_puts(&line, ", \"summary\": ");
  kp_strbuf_json(&line, kp_str_of(summary.data ? summary.data : ""));
  kp_strbuf_free(&summary);
  kp_strbuf_puts(&line, ", \"placement\": ");
  for (const char* c = json; *c; ++c)
    if (*c != '\n') kp_strbuf_append(&line, c, 1);
  kp_strbuf_puts(&line, "}\n");
  if (!line.failed) append(path, &line);
  kp_strbuf_free(&line);
  kapell_free_text(json);
}
