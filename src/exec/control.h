// Between control.c and scan.c: bodies' frames, reading conditions, stacking the results of iterations.
#ifndef KP_EXEC_CONTROL_H_
#define KP_EXEC_CONTROL_H_

#include "exec/internal.h"

// The frame of a body, made at first use and kept with |frame|.
KP_MUST_USE kp_status* kp_body_frame(kp_frame* frame, uint32_t step, int body,
                                     kp_frame** out_frame);
kapell_value* kp_control_input(kp_frame* frame, const kp_step* step,
                               uint32_t index);  // NULL = absent
// Waits for everything that the step reads.
KP_MUST_USE kp_status* kp_control_ready(kp_frame* frame, const kp_step* step);
// The values that the bodies capture, in frame->given behind room for the body's inputs.
kapell_value** kp_control_captures(kp_frame* frame, const kp_step* step, const kp_plan* body);
KP_MUST_USE kp_status* kp_read_bool(const kapell_value* value, const char* what, bool* out);
// Makes |value|, which stays valid until the step runs again, the content of |slot|; copied only where the slot is an output.
KP_MUST_USE kp_status* kp_adopt(kp_frame* frame, uint32_t slot, kapell_value* value);

// Bits of an element where it lies in a tensor's data; strings: of the text's kp_str.
size_t kp_element_bits(kapell_type type);
// Copies |count| elements of |bits| bits each; places count elements. Where |to| and |from| are one, forwards only to lower places.
void kp_copy_elements_at(size_t bits, void* to, size_t to_place, const void* from,
                         size_t from_place, size_t count);

// A value carried around a Loop or Scan. The iterations write its two buffers in turn, so that a result never lies where the
// iteration reads; what a body passes through is not copied. The buffers stay for the next run.
typedef struct kp_carried {
  kapell_value* current;  // what the next iteration reads
  kapell_value* shells[2];
  kp_grown buffers[2];
  kapell_value* owned;  // current, where a provider or body handed it over (sequences...)
  kapell_value*
      next_owned;  // likewise, made by the iteration under way: others may still read the old one
  bool written;    // the iteration under way made a new one
} kp_carried;

KP_MUST_USE kp_status* kp_carried_init(kp_carried* carried, const kp_memory* memory);
void kp_carried_free(kp_carried* carried);
void kp_carried_start(kp_carried* carried, kapell_value* value);  // lent until the last iteration
// Room for the next value; *out_value is left alone for strings, which come by kp_carried_give.
KP_MUST_USE kp_status* kp_carried_place(kp_carried* carried, kp_run_state* run, kapell_type type,
                                        const int64_t* dims, int32_t rank,
                                        kapell_value** out_value);
KP_MUST_USE kp_status* kp_carried_give(kp_carried* carried, kp_run_state* run, kapell_value* value);
// After an iteration: what was written becomes current.
void kp_carried_turn(kp_carried* carried);

// Results of iterations, one after the other in memory: [count, dims...].
typedef struct kp_stack {
  kapell_value* shell;  // the slice being written, later the whole
  kp_grown buffer;
  kapell_type type;
  int32_t rank;  // of a slice
  int64_t dims[KP_MAX_RANK];
  int64_t count;
  size_t slice_bytes;
  kapell_value** strings;  // slices of strings, owned
  size_t string_capacity;
  kapell_value* joined;  // strings: the whole, owned
} kp_stack;

KP_MUST_USE kp_status* kp_stack_init(kp_stack* stack);
void kp_stack_begin(kp_stack* stack);  // forgets the slices, keeps the memory
void kp_stack_free(kp_stack* stack);
// Room for the next slice; all slices have one type and shape (RUN_FAILED otherwise). Earlier slices may move.
KP_MUST_USE kp_status* kp_stack_next(kp_stack* stack, kp_run_state* run, kapell_type type,
                                     const int64_t* dims, int32_t rank, kapell_value** out_slice);
// Appends a tensor: copied, or retained where it holds strings of its own. Errors: INVALID_MODEL for what is no tensor.
KP_MUST_USE kp_status* kp_stack_push(kp_stack* stack, kp_run_state* run, kapell_value* slice);
// The whole. Without any slice: [0, dims of |element| as far as they are numbers, else 0...].
KP_MUST_USE kp_status* kp_stack_end(kp_stack* stack, const kp_type* element,
                                    kapell_value** out_value);

#endif  // KP_EXEC_CONTROL_H_
