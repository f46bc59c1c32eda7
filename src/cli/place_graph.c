// The graph behind the pictures of a placement: items, links between them, and where they lie.
#include <stdlib.h>
#include <string.h>

#include "cli/place.h"

const char* place_colour(const kapell_placement* placement, size_t index) {
  static const char* const colours[] = {"#e69f00", "#56b4e9", "#009e73", "#cc79a7",
                                        "#0072b2", "#d55e00", "#b8a800", "#8a6fdf"};
  size_t next = 0;
  for (size_t p = 0; p <= index && p < placement->provider_count; ++p) {
    const bool cpu = !strcmp(placement->providers[p].name, "CPUExecutionProvider");
    if (p == index) return cpu ? "#8da2b8" : colours[next % (sizeof(colours) / sizeof(colours[0]))];
    next += !cpu;
  }
  return "#ffffff";
}

// An end of an edge at the border of the model.
typedef struct border {
  const char* name;
  size_t* item;
} border;

static int by_name(const void* a, const void* b) {
  return strcmp(((const border*)a)->name, ((const border*)b)->name);
}

// Makes one item for each name among |ends|, which are those of inputs, or of outputs.
static void make_items(place_graph* g, border* ends, size_t count) {
  if (count) qsort(ends, count, sizeof(*ends), by_name);
  for (size_t i = 0; i < count; ++i) {
    if (i == 0 || strcmp(ends[i].name, ends[i - 1].name) != 0)
      g->more[g->more_count++] = ends[i].name;
    *ends[i].item = g->placement->node_count + g->more_count - 1;
  }
}

static bool link_items(place_graph* g) {
  border* ends = malloc((g->edge_count + 1) * sizeof(*ends));
  size_t count = 0;
  g->links = calloc(g->edge_count + 1, sizeof(*g->links));
  g->more = malloc((2 * g->edge_count + 1) * sizeof(*g->more));
  const bool fine = ends && g->links && g->more;
  for (size_t i = 0; fine && i < g->edge_count; ++i) {
    g->links[i].from = g->edges[i].from;
    g->links[i].to = g->edges[i].to;
    if (g->edges[i].from == SIZE_MAX)
      ends[count++] = (border){g->edges[i].value, &g->links[i].from};
  }
  if (fine) make_items(g, ends, count);
  g->input_count = g->more_count;
  count = 0;
  for (size_t i = 0; fine && i < g->edge_count; ++i)
    if (g->edges[i].to == SIZE_MAX) ends[count++] = (border){g->edges[i].value, &g->links[i].to};
  if (fine) make_items(g, ends, count);
  free(ends);
  return fine;
}

bool place_graph_make(const kapell_session* session, place_graph* out_graph) {
  *out_graph = (place_graph){.placement = kapell_session_placement(session)};
  kapell_status* status =
      kapell_session_placement_edges(session, &out_graph->edges, &out_graph->edge_count);
  if (status) {
    cli_print_status(status);
    return false;
  }
  if (link_items(out_graph) &&
      layout_make(out_graph->placement->node_count + out_graph->more_count, out_graph->links,
                  out_graph->edge_count, &out_graph->layout))
    return true;
  fprintf(stderr, "no memory to draw %zu nodes\n", out_graph->placement->node_count);
  return false;
}

void place_graph_free(place_graph* graph) {
  kapell_edges_free(graph->edges);
  free(graph->links);
  free(graph->more);
  layout_free(&graph->layout);
}
