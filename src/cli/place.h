// Pictures of a placement: a page that stands alone, SVG, PNG.
#ifndef KAPELL_CLI_PLACE_H_
#define KAPELL_CLI_PLACE_H_

#include "cli/cli.h"
#include "cli/layout.h"

// The graph to draw: the nodes of the placement, then the inputs and outputs of the model as items of their own.
typedef struct place_graph {
  const kapell_placement* placement;
  kapell_placed_edge* edges;
  layout_edge* links;  // parallel to edges: between items
  size_t edge_count;
  const char** more;  // names of the inputs and outputs: item placement->node_count + i
  size_t input_count, more_count;
  layout layout;
} place_graph;

// Reads the edges and lays them out. False: printed. Free in every case.
bool place_graph_make(const kapell_session* session, place_graph* out_graph);
void place_graph_free(place_graph* graph);

// Write a picture of |session|'s placement; |model| is its title; exit codes. |profile| (NULL: none): file of 'run --profile'.
int place_html(const kapell_session* session, const char* model, const char* profile,
               const char* path);
int place_svg(const kapell_session* session, const char* path);
int place_png(const kapell_session* session, const char* path);  // by Graphviz
#define PLACE_MOST_DRAWN 600                                     // nodes of an SVG or PNG

// The colour of provider |index| of the placement.
const char* place_colour(const kapell_placement* placement, size_t index);

#endif  // KAPELL_CLI_PLACE_H_
