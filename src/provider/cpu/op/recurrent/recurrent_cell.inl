// Included by recurrent_cell.c once for each REAL; NAME(x) is x for that type.
static void NAME(gate)(const kp_cell* cell, const kp_gate_act* act, size_t count, REAL* x) {
  const REAL bound = (REAL)cell->clip;
  if (cell->clip < INFINITY)
    for (size_t i = 0; i < count; ++i) x[i] = x[i] > bound ? bound : x[i] < -bound ? -bound : x[i];
  NAME(activate)(cell, act, count, x);
}

static void NAME(add_product)(size_t count, const REAL* a, const REAL* b, REAL* sum) {
  for (size_t i = 0; i < count; ++i) sum[i] += a[i] * b[i];
}

static void NAME(rnn)(const kp_cell* cell, const kp_cell_row* row) {
  NAME(gate)(cell, &cell->acts[0], row->count, row->gates[0]);
  memcpy(row->h_after, row->gates[0], row->count * sizeof(REAL));
}

static void NAME(gru_reset)(const kp_cell* cell, const kp_cell_row* row) {
  REAL *r = row->gates[1], *h = row->gates[2], *mixed = row->mixed;
  const REAL* before = row->h_before;
  NAME(gate)(cell, &cell->acts[0], row->count, row->gates[0]);
  NAME(gate)(cell, &cell->acts[0], row->count, r);
  if (cell->reset_after)
    NAME(add_product)(row->count, r, mixed, h);
  else
    for (size_t i = 0; i < row->count; ++i) mixed[i] = r[i] * before[i];
}

static void NAME(gru_finish)(const kp_cell* cell, const kp_cell_row* row) {
  const REAL *z = row->gates[0], *before = row->h_before;
  REAL *h = row->gates[2], *after = row->h_after;
  NAME(gate)(cell, &cell->acts[1], row->count, h);
  for (size_t i = 0; i < row->count; ++i) after[i] = (1 - z[i]) * h[i] + z[i] * before[i];
}

static void NAME(lstm)(const kp_cell* cell, const kp_cell_row* row) {
  REAL *in = row->gates[0], *out = row->gates[1], *forget = row->gates[2], *update = row->gates[3];
  REAL *c = row->c, *after = row->h_after;
  const size_t count = row->count;
  const bool peeks = row->peephole[0] != NULL;
  if (peeks) {
    NAME(add_product)(count, row->peephole[0], c, in);
    NAME(add_product)(count, row->peephole[2], c, forget);
  }
  NAME(gate)(cell, &cell->acts[0], count, in);
  NAME(gate)(cell, &cell->acts[1], count, update);
  if (cell->input_forget)
    for (size_t i = 0; i < count; ++i) forget[i] = 1 - in[i];
  else
    NAME(gate)(cell, &cell->acts[0], count, forget);
  for (size_t i = 0; i < count; ++i) c[i] = forget[i] * c[i] + in[i] * update[i];
  if (peeks) NAME(add_product)(count, row->peephole[1], c, out);
  NAME(gate)(cell, &cell->acts[0], count, out);
  memcpy(after, c, count * sizeof(REAL));
  NAME(activate)(cell, &cell->acts[2], count, after);
  for (size_t i = 0; i < count; ++i) after[i] *= out[i];
}
