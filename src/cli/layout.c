// Layered layout. A *cell* is an item, or the place where a long edge passes a layer. Cells are put into layers by the longest path
// from a source, ordered within layers by the median of their neighbours in the layer before (swept down and up), and moved to the
// mean of their neighbours as far as order and distance allow, which is an isotonic regression of each layer. The cells of one long
// edge are drawn to the mean of them all, so that it is straight, and the last sweeps go down, so that chains are.
#include "cli/layout.h"

#include <stdint.h>
#include <stdlib.h>

#define SWEEPS 10
#define MOVES 30
#define BEND_GAP 0.3      // between the lines of two edges, where items want 1
#define BEND_WEIGHT 1.5   // long edges shall be straight rather than items in the middle
#define MOST_BENDS 60000  // in all; and so many for each item
#define BENDS_AN_ITEM 6

typedef struct adjacency {  // neighbours of cell i: list[start[i] .. start[i + 1])
  size_t *start, *list;
} adjacency;

typedef struct work {
  size_t items, cells, layers;
  size_t links;           // between cells of neighbouring layers
  size_t* layer;          // of a cell
  adjacency up, down;     // over the links
  size_t *first, *order;  // cells of layer l, left to right: order[first[l] .. first[l + 1])
  double *x, *key;        // of a cell
  double* straight;  // of a cell that is no item, less the items: mean of the cells of its edge
  size_t* blocks;    // working memory of place_layer
  double *sum, *weight;
} work;

// Fills |out| with, for each of |count| cells, the |to| of the links that have it as |from|. Negative numbers do not exist here: a link
// whose |from| is not below |count| is left out.
static bool adjacency_make(size_t count, const size_t* from, const size_t* to, size_t links,
                           adjacency* out) {
  out->start = calloc(count + 2, sizeof(*out->start));
  out->list = malloc((links + 1) * sizeof(*out->list));
  if (!out->start || !out->list) return false;
  for (size_t i = 0; i < links; ++i)
    if (from[i] < count) ++out->start[from[i] + 2];
  for (size_t i = 2; i <= count; ++i) out->start[i] += out->start[i - 1];
  for (size_t i = 0; i < links; ++i)  // start[i + 1] runs from the begin of i to its end
    if (from[i] < count) out->list[out->start[from[i] + 1]++] = to[i];
  return true;
}

static void adjacency_free(adjacency* a) {
  free(a->start);
  free(a->list);
}

// --- layers ------------------------------------------------------------------------------------------------------------------
// Each item one layer below the lowest that it depends on. What lies on a circle, or behind one, stays where it was found last.
static bool find_layers(work* w, const layout_edge* edges, size_t edge_count) {
  size_t* missing = calloc(w->items + 1, sizeof(*missing));
  size_t* ready = malloc((w->items + 1) * sizeof(*ready));
  size_t* from = malloc((edge_count + 1) * sizeof(*from));
  size_t* to = malloc((edge_count + 1) * sizeof(*to));
  adjacency down = {0};
  bool fine = missing && ready && from && to;
  for (size_t i = 0; fine && i < edge_count; ++i) {
    const bool real = edges[i].from != edges[i].to && edges[i].to < w->items;
    from[i] = real ? edges[i].from : w->items;
    to[i] = edges[i].to;
    if (from[i] < w->items) ++missing[to[i]];
  }
  fine = fine && adjacency_make(w->items, from, to, edge_count, &down);
  size_t count = 0;
  for (size_t i = 0; fine && i < w->items; ++i)
    if (!missing[i]) ready[count++] = i;
  for (size_t at = 0; fine && at < count; ++at) {
    for (size_t k = down.start[ready[at]]; k < down.start[ready[at] + 1]; ++k) {
      const size_t below = down.list[k];
      if (w->layer[below] <= w->layer[ready[at]]) w->layer[below] = w->layer[ready[at]] + 1;
      if (--missing[below] == 0) ready[count++] = below;
    }
  }
  free(missing);
  free(ready);
  free(from);
  free(to);
  adjacency_free(&down);
  return fine;
}

// Items that nothing leads to stand right above the first that reads them: an input far down does not need a long edge.
static bool pull_sources(work* w, const layout_edge* edges, size_t edge_count) {
  size_t* lowest = malloc((w->items + 1) * sizeof(*lowest));
  if (!lowest) return false;
  for (size_t i = 0; i < w->items; ++i) lowest[i] = SIZE_MAX;
  for (size_t i = 0; i < edge_count; ++i) {
    if (edges[i].from >= w->items || edges[i].to >= w->items) continue;
    const size_t below = w->layer[edges[i].to];
    if (lowest[edges[i].from] > below) lowest[edges[i].from] = below;
    lowest[edges[i].to] = 0;  // it is no source
  }
  for (size_t i = 0; i < w->items; ++i)
    if (w->layer[i] == 0 && lowest[i] != SIZE_MAX && lowest[i] > 1) w->layer[i] = lowest[i] - 1;
  free(lowest);
  return true;
}

// --- cells -------------------------------------------------------------------------------------------------------------------
static size_t span(const work* w, const layout_edge* e) {
  if (e->from >= w->items || e->to >= w->items) return 0;
  return w->layer[e->to] > w->layer[e->from] ? w->layer[e->to] - w->layer[e->from] : 0;
}

// The longest edge that may bend, so that all bends together are not too many.
static size_t longest_bending(const work* w, const layout_edge* edges, size_t edge_count) {
  const size_t most = MOST_BENDS + w->items * BENDS_AN_ITEM;
  size_t limit = w->items + 1;
  for (;;) {
    size_t bends = 0;
    for (size_t i = 0; i < edge_count; ++i) {
      const size_t n = span(w, &edges[i]);
      if (n > 1 && n <= limit) bends += n - 1;
    }
    if (bends <= most || limit == 1) return limit;
    limit /= 2;
  }
}

// Gives long edges a cell in each layer between, and links cells of neighbouring layers.
static bool make_links(work* w, layout_edge* edges, size_t edge_count) {
  const size_t limit = longest_bending(w, edges, edge_count);
  size_t bends = 0;
  for (size_t i = 0; i < edge_count; ++i) {
    const size_t n = span(w, &edges[i]);
    edges[i].bend = bends;
    edges[i].bend_count = n > 1 && n <= limit ? n - 1 : 0;
    bends += edges[i].bend_count;
  }
  w->cells = w->items + bends;
  size_t* layer = realloc(w->layer, (w->cells + 1) * sizeof(*layer));
  if (!layer) return false;
  w->layer = layer;
  size_t* from = malloc((bends + edge_count + 1) * sizeof(*from));
  size_t* to = malloc((bends + edge_count + 1) * sizeof(*to));
  bool fine = from && to;
  for (size_t i = 0; fine && i < edge_count; ++i) {
    const layout_edge* e = &edges[i];
    if (span(w, e) != e->bend_count + 1) continue;  // too long to bend
    for (size_t k = 0; k <= e->bend_count; ++k) {
      const size_t cell = w->items + e->bend + k;
      from[w->links] = k ? cell - 1 : e->from;
      to[w->links++] = k < e->bend_count ? cell : e->to;
      if (k < e->bend_count) layer[cell] = layer[e->from] + k + 1;
    }
  }
  fine = fine && adjacency_make(w->cells, from, to, w->links, &w->down) &&
         adjacency_make(w->cells, to, from, w->links, &w->up);
  free(from);
  free(to);
  return fine;
}

static bool fill_layers(work* w) {
  for (size_t c = 0; c < w->cells; ++c)
    if (w->layer[c] >= w->layers) w->layers = w->layer[c] + 1;
  w->first = calloc(w->layers + 2, sizeof(*w->first));
  w->order = malloc((w->cells + 1) * sizeof(*w->order));
  w->x = calloc(w->cells + 1, sizeof(*w->x));
  w->key = calloc(w->cells + 1, sizeof(*w->key));
  w->straight = calloc(w->cells + 1, sizeof(*w->straight));
  w->blocks = malloc((w->cells + 1) * sizeof(*w->blocks));
  w->sum = malloc((w->cells + 1) * sizeof(*w->sum));
  w->weight = malloc((w->cells + 1) * sizeof(*w->weight));
  if (!w->first || !w->order || !w->x || !w->key || !w->straight || !w->blocks || !w->sum ||
      !w->weight)
    return false;
  for (size_t c = 0; c < w->cells; ++c) ++w->first[w->layer[c] + 1];
  for (size_t l = 0; l < w->layers; ++l) w->first[l + 1] += w->first[l];
  for (size_t c = w->cells; c-- > 0;) w->order[--w->first[w->layer[c] + 1]] = c;
  for (size_t l = 0; l < w->layers; ++l)
    w->first[l] = w->first[l + 1];  // moved down by the filling
  w->first[w->layers] = w->cells;
  return true;
}

// --- order -------------------------------------------------------------------------------------------------------------------
static int by_number(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

typedef struct keyed {
  double key;
  size_t cell, place;
} keyed;

static int by_key(const void* a, const void* b) {
  const keyed *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->place > y->place) - (x->place < y->place);
}

// Orders layer |l| by the medians of its neighbours' places. |few|: room for as many numbers as the layer's cells have neighbours.
static void order_layer(work* w, size_t l, const adjacency* next, keyed* room, double* few) {
  const size_t begin = w->first[l], count = w->first[l + 1] - begin;
  for (size_t i = 0; i < count; ++i) {
    const size_t cell = w->order[begin + i], from = next->start[cell];
    const size_t degree = next->start[cell + 1] - from;
    for (size_t k = 0; k < degree; ++k) few[k] = w->x[next->list[from + k]];
    if (degree > 2) qsort(few, degree, sizeof(*few), by_number);
    const double key = degree ? (few[(degree - 1) / 2] + few[degree / 2]) / 2 : w->x[cell];
    room[i] = (keyed){key, cell, i};
  }
  qsort(room, count, sizeof(*room), by_key);
  for (size_t i = 0; i < count; ++i) {
    w->order[begin + i] = room[i].cell;
    w->x[room[i].cell] = (double)i - (double)count / 2;
  }
}

static bool order_cells(work* w) {
  keyed* room = malloc((w->cells + 1) * sizeof(*room));
  double* few = malloc((w->links + 1) * sizeof(*few));
  for (size_t l = 0; l < w->layers; ++l)
    for (size_t i = w->first[l]; i < w->first[l + 1]; ++i)
      w->x[w->order[i]] = (double)(i - w->first[l]) - (double)(w->first[l + 1] - w->first[l]) / 2;
  for (int sweep = 0; room && few && sweep < SWEEPS; ++sweep) {
    for (size_t k = 1; k < w->layers; ++k) {
      const bool down = sweep % 2 == 0;
      order_layer(w, down ? k : w->layers - 1 - k, down ? &w->up : &w->down, room, few);
    }
  }
  const bool fine = room && few;
  free(room);
  free(few);
  return fine;
}

// --- places ------------------------------------------------------------------------------------------------------------------
static double size_of(const work* w, size_t cell) { return cell < w->items ? 1 : BEND_GAP; }

// Moves the cells of layer |l| as near to the means of their neighbours as their order and sizes allow: least squares by pooling
// neighbours that would overlap.
static void place_layer(work* w, size_t l, const adjacency* a) {
  const size_t begin = w->first[l], count = w->first[l + 1] - begin;
  double offset = 0;
  size_t blocks = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t cell = w->order[begin + i];
    double sum = 0, n = 0;
    for (size_t k = a->start[cell]; k < a->start[cell + 1]; ++k, ++n) sum += w->x[a->list[k]];
    if (i) offset += (size_of(w, cell) + size_of(w, w->order[begin + i - 1])) / 2;
    w->key[i] = offset;
    const bool bend = cell >= w->items;
    const double weight = bend ? BEND_WEIGHT : n > 0 ? 1 : 0.05;
    const double wanted = bend ? w->straight[cell - w->items] : n > 0 ? sum / n : w->x[cell];
    w->sum[blocks] = weight * (wanted - offset);
    w->weight[blocks] = weight;
    w->blocks[blocks++] = i;
    while (blocks > 1 && w->sum[blocks - 2] * w->weight[blocks - 1] >
                             w->sum[blocks - 1] * w->weight[blocks - 2]) {
      w->sum[blocks - 2] += w->sum[blocks - 1];
      w->weight[blocks - 2] += w->weight[blocks - 1];
      --blocks;
    }
  }
  for (size_t k = 0; k < blocks; ++k)
    for (size_t i = w->blocks[k]; i < (k + 1 < blocks ? w->blocks[k + 1] : count); ++i)
      w->x[w->order[begin + i]] = w->sum[k] / w->weight[k] + w->key[i];
}

static void straighten(work* w, const layout_edge* edges, size_t edge_count) {
  for (size_t i = 0; i < edge_count; ++i) {
    const size_t first = w->items + edges[i].bend;
    double sum = 0;
    for (size_t k = 0; k < edges[i].bend_count; ++k) sum += w->x[first + k];
    for (size_t k = 0; k < edges[i].bend_count; ++k)
      w->straight[edges[i].bend + k] = sum / (double)edges[i].bend_count;
  }
}

static void place_cells(work* w, const layout_edge* edges, size_t edge_count) {
  for (int move = 0; move < MOVES; ++move) {
    const bool down = move % 2 == 0 || move >= MOVES / 2;
    straighten(w, edges, edge_count);
    for (size_t k = 0; k < w->layers; ++k)
      place_layer(w, down ? k : w->layers - 1 - k, down ? &w->up : &w->down);
  }
}

static bool hand_out(const work* w, layout* out) {
  double least = 0, most = 0;
  for (size_t c = 0; c < w->cells; ++c) {
    if (c == 0 || w->x[c] < least) least = w->x[c];
    if (c == 0 || w->x[c] > most) most = w->x[c];
  }
  out->items = malloc((w->items + 1) * sizeof(*out->items));
  out->bend_count = w->cells - w->items;
  out->bends = malloc((out->bend_count + 1) * sizeof(*out->bends));
  if (!out->items || !out->bends) return false;
  for (size_t c = 0; c < w->cells; ++c) {
    layout_point* point = c < w->items ? &out->items[c] : &out->bends[c - w->items];
    *point = (layout_point){w->x[c] - least, (double)w->layer[c]};
  }
  out->width = most - least;
  out->height = w->layers ? (double)(w->layers - 1) : 0;
  return true;
}

bool layout_make(size_t item_count, layout_edge* edges, size_t edge_count, layout* out_layout) {
  *out_layout = (layout){0};
  work w = {.items = item_count, .layer = calloc(item_count + 1, sizeof(*w.layer))};
  bool fine = w.layer && find_layers(&w, edges, edge_count) &&
              pull_sources(&w, edges, edge_count) && make_links(&w, edges, edge_count) &&
              fill_layers(&w) && order_cells(&w);
  if (fine) place_cells(&w, edges, edge_count);
  fine = fine && hand_out(&w, out_layout);
  free(w.layer);
  adjacency_free(&w.up);
  adjacency_free(&w.down);
  free(w.first);
  free(w.order);
  free(w.x);
  free(w.key);
  free(w.straight);
  free(w.blocks);
  free(w.sum);
  free(w.weight);
  return fine;
}

void layout_free(layout* old) {
  free(old->items);
  free(old->bends);
}
