// SVG of a placement by the layout of our own; PNG by Graphviz, which is asked for by name and opened only then.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/place.h"

#define WIDTH 156.0
#define HEIGHT 38.0
#define STEP_X 180.0
#define STEP_Y 84.0
#define MARGIN 20.0
#define LEGEND 26.0     // height of the line of colours
#define LEGEND_X 270.0  // and a provider's width in it

static bool few_enough(const place_graph* g) {
  if (g->placement->node_count <= PLACE_MOST_DRAWN) return true;
  fprintf(
      stderr,
      "%zu nodes are too many for a picture (%d are not); 'kapell place --html' can be looked at\n",
      g->placement->node_count, PLACE_MOST_DRAWN);
  return false;
}

// |text| within XML, the last |most| characters of it.
static void put_xml(FILE* out, const char* text, size_t most) {
  const size_t length = strlen(text);
  if (length > most) {
    text += length - most + 1;
    while (((unsigned char)*text & 0xc0) == 0x80) ++text;  // not within a character
    fputs("\xe2\x80\xa6", out);
  }
  for (; *text; ++text) {
    const char* entity = *text == '<'   ? "&lt;"
                         : *text == '>' ? "&gt;"
                         : *text == '&' ? "&amp;"
                         : *text == '"' ? "&quot;"
                                        : NULL;
    if (entity)
      fputs(entity, out);
    else if ((unsigned char)*text >= 32)
      fputc(*text, out);
  }
}

// Index of the provider that runs item |i|; provider_count: none.
static size_t provider_of(const place_graph* g, size_t i) {
  const kapell_placement* p = g->placement;
  size_t at = 0;
  if (i >= p->node_count || !p->nodes[i].provider) return p->provider_count;
  while (at < p->provider_count && strcmp(p->providers[at].name, p->nodes[i].provider) != 0) ++at;
  return at;
}

static double x_of(double x) { return MARGIN + x * STEP_X + WIDTH / 2; }
static double y_of(double y) { return MARGIN + LEGEND + y * STEP_Y; }

static void svg_curve(FILE* out, layout_point a, layout_point b) {
  const double y0 = y_of(a.y) + HEIGHT, y1 = y_of(b.y), middle = (y0 + y1) / 2;
  fprintf(out, "C%.1f %.1f %.1f %.1f %.1f %.1f", x_of(a.x), middle, x_of(b.x), middle, x_of(b.x),
          y1);
}

static void svg_edge(FILE* out, const place_graph* g, size_t index) {
  const layout_edge* e = &g->links[index];
  layout_point at = g->layout.items[e->from];
  const size_t from = provider_of(g, e->from), to = provider_of(g, e->to);
  const size_t none = g->placement->provider_count;
  const bool crosses = from != to && from != none && to != none;
  fprintf(out, "<path%s d=\"M%.1f %.1f", crosses ? " class=\"x\"" : "", x_of(at.x),
          y_of(at.y) + HEIGHT);
  for (size_t k = 0; k < e->bend_count; ++k) {
    const layout_point bend = g->layout.bends[e->bend + k];
    svg_curve(out, at, bend);
    fprintf(out, "V%.1f", y_of(bend.y) + HEIGHT);
    at = bend;
  }
  svg_curve(out, at, g->layout.items[e->to]);
  fputs("\"><title>", out);
  put_xml(out, g->edges[index].value, 200);
  fputs("</title></path>\n", out);
}

static void svg_reasons(FILE* out, const kapell_placed_node* node) {
  for (size_t r = 0; r < node->refusal_count; ++r) {
    fprintf(out, "\nnot on %s: ", node->refusals[r].provider);
    put_xml(out, node->refusals[r].reason, 400);
  }
}

static void svg_item(FILE* out, const place_graph* g, size_t i) {
  const kapell_placement* p = g->placement;
  const size_t provider = provider_of(g, i);
  const kapell_placed_node* node = i < p->node_count ? &p->nodes[i] : NULL;
  const char* name = node ? node->name : g->more[i - p->node_count];
  const double x = x_of(g->layout.items[i].x), y = y_of(g->layout.items[i].y);
  fprintf(out, "<g><title>");
  put_xml(out, name, 200);
  if (node) fprintf(out, " on %s", node->provider ? node->provider : node->how);
  if (node) svg_reasons(out, node);
  fprintf(out,
          "</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%g\" height=\"%g\" rx=\"%d\" fill=\"%s\"/>",
          x - WIDTH / 2, y, WIDTH, HEIGHT, node ? 7 : 19, place_colour(p, provider));
  fprintf(out, "<text class=\"o\" x=\"%.1f\" y=\"%.1f\">", x, y + 16);
  put_xml(out, node ? node->op : name, 20);
  fprintf(out, "</text><text x=\"%.1f\" y=\"%.1f\">", x, y + 31);
  put_xml(out, node ? name : i - p->node_count < g->input_count ? "input" : "output", 24);
  fputs("</text></g>\n", out);
}

static void write_svg(FILE* out, const place_graph* g) {
  const kapell_placement* p = g->placement;
  const double legend = MARGIN + (double)p->provider_count * LEGEND_X;
  const double drawn = x_of(g->layout.width) + WIDTH / 2 + MARGIN;
  const double width = drawn > legend ? drawn : legend;
  const double height = y_of(g->layout.height) + HEIGHT + MARGIN;
  fprintf(out,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
          "height=\"%.0f\">\n<style>text{font:11px sans-serif;text-anchor:middle;fill:#10151b}"
          ".o{font-weight:bold;font-size:13px}.l{text-anchor:start;font-size:13px}"
          "rect{stroke:#555}path{fill:none;stroke:#8c959f}.x{stroke:#d1242f;stroke-width:2;"
          "stroke-dasharray:6 3}</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\" "
          "style=\"stroke:none\"/>\n",
          width, height, width, height);
  for (size_t k = 0; k < p->provider_count; ++k)
    fprintf(out,
            "<rect x=\"%.0f\" y=\"8\" width=\"12\" height=\"12\" fill=\"%s\"/><text class=\"l\" "
            "x=\"%.0f\" y=\"19\">%s: %zu nodes</text>\n",
            MARGIN + (double)k * LEGEND_X, place_colour(p, k), MARGIN + 18 + (double)k * LEGEND_X,
            p->providers[k].name, p->providers[k].nodes);
  for (size_t i = 0; i < g->edge_count; ++i) svg_edge(out, g, i);
  for (size_t i = 0; i < p->node_count + g->more_count; ++i) svg_item(out, g, i);
  fputs("</svg>\n", out);
}

int place_svg(const kapell_session* session, const char* path) {
  place_graph graph;
  bool fine = place_graph_make(session, &graph) && few_enough(&graph);
  if (fine) {
    FILE* out = fopen(path, "wb");
    if (out) write_svg(out, &graph);
    const bool written = out && !ferror(out);
    fine = out && fclose(out) == 0 && written;
    if (!fine) fprintf(stderr, "%s cannot be written: %s\n", path, strerror(errno));
  }
  place_graph_free(&graph);
  return fine ? CLI_OK : CLI_FAILED;
}

// --- Graphviz ------------------------------------------------------------------------------------------------------------------
static void put_dot(FILE* out, const char* text) {
  for (size_t i = 0; text[i] && i < 60; ++i)
    if (text[i] == '"' || text[i] == '\\')
      fprintf(out, "\\%c", text[i]);
    else if ((unsigned char)text[i] >= 32)
      fputc(text[i], out);
}

static void write_dot(FILE* out, const place_graph* g) {
  const kapell_placement* p = g->placement;
  fputs("digraph { node [shape=box style=\"filled,rounded\" fontname=\"sans\" fontsize=11]\n", out);
  for (size_t i = 0; i < p->node_count + g->more_count; ++i) {
    const kapell_placed_node* node = i < p->node_count ? &p->nodes[i] : NULL;
    fprintf(out, "n%zu [fillcolor=\"%s\" label=\"", i, place_colour(p, provider_of(g, i)));
    if (node) put_dot(out, node->op), fputs("\\n", out);
    put_dot(out, node ? node->name : g->more[i - p->node_count]);
    fputs("\"]\n", out);
  }
  for (size_t i = 0; i < g->edge_count; ++i)
    fprintf(out, "n%zu -> n%zu\n", g->links[i].from, g->links[i].to);
  fputs("}\n", out);
}

// Runs "dot -Tpng -o PATH" on |text|, without a shell. False: printed.
static bool run_dot(FILE* text, const char* path) {
  int result = 0;
  const pid_t child = fork();
  if (child == 0) {
    if (dup2(fileno(text), STDIN_FILENO) < 0) _exit(126);
    execlp("dot", "dot", "-Tpng", "-o", path, (char*)NULL);
    _exit(127);
  }
  if (child > 0 && waitpid(child, &result, 0) == child && WIFEXITED(result) && !WEXITSTATUS(result))
    return true;
  if (child > 0 && WIFEXITED(result) && WEXITSTATUS(result) == 127)
    fprintf(stderr,
            "Graphviz's program 'dot' is not on the path: install the package graphviz, or "
            "use --svg, which needs nothing\n");
  else
    fprintf(stderr, "Graphviz's program 'dot' did not write %s\n", path);
  return false;
}

int place_png(const kapell_session* session, const char* path) {
  place_graph graph;
  bool fine = place_graph_make(session, &graph) && few_enough(&graph);
  if (fine) {
    FILE* text = tmpfile();
    if (text) write_dot(text, &graph), rewind(text);
    if (!text) fprintf(stderr, "no temporary file: %s\n", strerror(errno));
    fine = text && run_dot(text, path);
    if (text) fclose(text);
  }
  place_graph_free(&graph);
  return fine ? CLI_OK : CLI_FAILED;
}
