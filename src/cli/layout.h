// Lays a graph out in layers, top to bottom: Sugiyama's method (longest path, crossings by medians, positions by isotonic regression).
#ifndef KAPELL_CLI_LAYOUT_H_
#define KAPELL_CLI_LAYOUT_H_

#include <stdbool.h>
#include <stddef.h>

typedef struct layout_edge {
  size_t from, to;  // items; from == to is left out of account
  size_t bend,
      bend_count;  // out: layout.bends[bend .. bend + bend_count): where it passes the layers between
} layout_edge;

// Coordinates are in units: neighbours in a layer are |gap| apart at least (1 by default: widths), layers are 1 apart.
typedef struct layout_point {
  double x, y;
} layout_point;

typedef struct layout {
  layout_point* items;  // parallel to the items
  layout_point* bends;
  size_t bend_count;
  double width, height;  // largest x and y; the smallest is 0
} layout;

// Takes time in O((items + bends) log) a sweep; long edges bend only as long as there are not too many bends in all. False: no
// memory. Free in every case.
bool layout_make(size_t item_count, layout_edge* edges, size_t edge_count, layout* out_layout);
void layout_free(layout* old);

#endif  // KAPELL_CLI_LAYOUT_H_
