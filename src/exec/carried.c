// Values that a Loop or Scan carries from one iteration to the next; see control.h.
#include "exec/control.h"

kp_status* kp_carried_init(kp_carried* c, const kp_memory* memory) {
  for (int k = 0; k < 2; ++k) {
    c->buffers[k].memory = memory;
    KP_PASS(kp_value_create_shell(&c->shells[k]));
  }
  return NULL;
}

void kp_carried_free(kp_carried* c) {
  for (int k = 0; k < 2; ++k) {
    kp_value_release(c->shells[k]);
    kp_grown_free(&c->buffers[k]);
  }
  kp_value_release(c->owned);
  kp_value_release(c->next_owned);
}

void kp_carried_start(kp_carried* c, kapell_value* value) {
  kp_value_release(c->next_owned);  // of a run that failed
  c->next_owned = NULL;
  c->written = false;
  c->current = value;
}

kp_status* kp_carried_place(kp_carried* c, kp_run_state* run, kapell_type type, const int64_t* dims,
                            int32_t rank, kapell_value** out_value) {
  size_t count, bytes;
  KP_PASS(kp_value_check_dims(type, dims, rank, &count, &bytes));
  if (type == KAPELL_STRING) return NULL;
  const int k = c->current == c->shells[0] ? 1 : 0;
  KP_PASS(kp_grow(run, &c->buffers[k], bytes, false));
  KP_PASS(kp_value_reset_tensor(c->shells[k], type, dims, rank, c->buffers[k].data));
  c->shells[k]->memory = c->buffers[k].memory;
  c->written = true;
  *out_value = c->shells[k];
  return NULL;
}

kp_status* kp_carried_give(kp_carried* c, kp_run_state* run, kapell_value* value) {
  if (value == c->current) return NULL;  // passed through
  if (value->kind == KAPELL_KIND_TENSOR && value->type != KAPELL_STRING) {
    kapell_value* to = NULL;
    KP_PASS(kp_carried_place(c, run, value->type, value->dims, value->rank, &to));
    return kp_copy_value(run, value, to);
  }
  kapell_value* kept = NULL;
  if (value->kind == KAPELL_KIND_TENSOR && !value->buffer)
    KP_PASS(kp_value_clone(value, &kept));  // a view that its owner patches again
  else
    kept = kp_value_retain(value);
  kp_value_release(c->next_owned);
  c->next_owned = kept;
  c->written = true;
  return NULL;
}

void kp_carried_turn(kp_carried* c) {
  if (!c->written) return;
  c->written = false;
  if (c->next_owned) {
    kp_value_release(c->owned);
    c->current = c->owned = c->next_owned;
    c->next_owned = NULL;
  } else {
    c->current = c->current == c->shells[0] ? c->shells[1] : c->shells[0];
  }
}
