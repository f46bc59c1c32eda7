// The page of a placement: place.html, which the build embeds, with the report, the layout and a profile in it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/place.h"

extern const unsigned char kapell_place_page[];
static const char kMark[] = "KAPELL_DATA";

// JSON within a script element: '<' as \u003c, so that nothing in a name ends the element.
static void put_json(FILE* out, const char* json, size_t size) {
  for (size_t i = 0; i < size; ++i)
    if (json[i] == '<')
      fputs("\\u003c", out);
    else
      fputc(json[i], out);
}

static void put_text(FILE* out, const char* text) {
  fputc('"', out);
  for (; *text; ++text) {
    const unsigned char c = (unsigned char)*text;
    if (c < 32 || c == '"' || c == '\\' || c == '<' || c == 127)
      fprintf(out, "\\u%04x", c);
    else
      fputc(c, out);
  }
  fputc('"', out);
}

static void put_items(FILE* out, const place_graph* g) {
  fputs(",\n\"items\":[", out);
  for (size_t i = 0; i < g->placement->node_count + g->more_count; ++i)
    fprintf(out, "%s[%.6g,%g]", i ? "," : "", g->layout.items[i].x, g->layout.items[i].y);
  fputs("],\n\"more\":[", out);
  for (size_t i = 0; i < g->more_count; ++i) {
    fprintf(out, "%s{\"kind\":\"%s\",\"name\":", i ? "," : "",
            i < g->input_count ? "input" : "output");
    put_text(out, g->more[i]);
    fputc('}', out);
  }
  fputc(']', out);
}

// Names of values are listed once for edges that follow each other with the same.
static void put_edges(FILE* out, const place_graph* g) {
  size_t names = 0;
  fputs(",\n\"edges\":[", out);
  for (size_t i = 0; i < g->edge_count; ++i) {
    const layout_edge* e = &g->links[i];
    names += i && strcmp(g->edges[i].value, g->edges[i - 1].value) != 0;
    fprintf(out, "%s[%zu,%zu,%zu", i ? "," : "", e->from, e->to, names);
    for (size_t k = 0; k < e->bend_count; ++k)
      fprintf(out, "%s%.6g,%g", k ? "," : ",[", g->layout.bends[e->bend + k].x,
              g->layout.bends[e->bend + k].y);
    fputs(e->bend_count ? "]]" : "]", out);
  }
  fputs("],\n\"names\":[", out);
  for (size_t i = 0; i < g->edge_count; ++i) {
    if (i && !strcmp(g->edges[i].value, g->edges[i - 1].value)) continue;
    if (i) fputc(',', out);
    put_text(out, g->edges[i].value);
  }
  fputc(']', out);
}

static bool put_data(FILE* out, const kapell_session* session, const place_graph* g,
                     const char* model, const char* profile) {
  char* text = NULL;
  kapell_status* status = kapell_session_placement_json(session, &text);
  if (!status) {
    fputs("{\"model\":", out);
    put_text(out, model);
    fputs(",\"placement\":", out);
    put_json(out, text, strlen(text));
    put_items(out, g);
    put_edges(out, g);
    fputs(",\n\"profile\":", out);
    put_json(out, profile, strlen(profile));
    fputc('}', out);
  }
  const bool fine = !status;
  cli_print_status(status);
  kapell_free_text(text);
  return fine;
}

// A profile as 'kapell run --profile' writes it, with a NUL at its end; "null" where there is none. NULL: printed.
static char* read_profile(const char* path) {
  static const char kBegin[] = "{\"displayTimeUnit\"";
  char* text;
  size_t size;
  if (!path) return strdup("null");
  if (!cli_read_file(path, &text, &size)) return NULL;
  char* grown = realloc(text, size + 1);
  if (grown) (text = grown)[size] = 0;
  if (grown && !strncmp(text, kBegin, strlen(kBegin)) && strlen(text) == size) return text;
  fprintf(stderr, "%s: not a profile that 'kapell run --profile' wrote\n", path);
  free(text);
  return NULL;
}

int place_html(const kapell_session* session, const char* model, const char* profile,
               const char* path) {
  const char* page = (const char*)kapell_place_page;
  // The first mark is in a comment that explains it.
  const char* mark = strstr(strstr(page, kMark) + 1, kMark);
  const char* slash = strrchr(model, '/');
  place_graph graph = {0};
  char* times = read_profile(profile);
  bool fine = times && place_graph_make(session, &graph);
  FILE* out = fine ? fopen(path, "wb") : NULL;
  if (out) {
    fwrite(page, 1, (size_t)(mark - page), out);
    fine = put_data(out, session, &graph, slash ? slash + 1 : model, times);
    fputs(mark + strlen(kMark), out);
  }
  const bool written = out && !ferror(out);
  if (fine && (!out || (fclose(out) != 0) || !written)) {
    fprintf(stderr, "%s cannot be written: %s\n", path, strerror(errno));
    fine = false;
  }
  place_graph_free(&graph);
  free(times);
  return fine ? CLI_OK : CLI_FAILED;
}
