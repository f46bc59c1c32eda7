// Stacks what the iterations of a Loop or Scan give, in one buffer that grows geometrically.
#include "base/alloc.h"
#include "base/size.h"
#include "exec/control.h"

size_t kp_element_bits(kapell_type type) {
  return type == KAPELL_STRING ? sizeof(kp_str) * 8 : kp_type_bits(type);
}

void kp_copy_elements_at(size_t bits, void* to, size_t to_place, const void* from,
                         size_t from_place, size_t count) {
  if (!count) return;
  if (bits % 8 == 0) {
    const size_t size = bits / 8;
    memmove((char*)to + to_place * size, (const char*)from + from_place * size, count * size);
    return;
  }
  const size_t each = 8 / bits;
  const unsigned mask = (1u << bits) - 1;
  for (size_t i = 0; i < count; ++i) {
    const size_t source = from_place + i, target = to_place + i;
    const unsigned shift = (unsigned)(target % each * bits);
    const unsigned raw = ((const uint8_t*)from)[source / each] >> (source % each * bits) & mask;
    uint8_t* cell = (uint8_t*)to + target / each;
    *cell = (uint8_t)((*cell & ~(mask << shift)) | raw << shift);
  }
}

kp_status* kp_stack_init(kp_stack* stack) {
  *stack = (kp_stack){0};
  return kp_value_create_shell(&stack->shell);
}

void kp_stack_begin(kp_stack* stack) {
  for (int64_t i = 0; stack->strings && i < stack->count; ++i) kp_value_release(stack->strings[i]);
  kp_value_release(stack->joined);
  stack->joined = NULL;
  stack->count = 0;
}

void kp_stack_free(kp_stack* stack) {
  kp_stack_begin(stack);
  kp_value_release(stack->shell);
  kp_grown_free(&stack->buffer);
  kp_free(stack->strings);
}

// All slices must look like the first.
static kp_status* check_slice(kp_stack* stack, kapell_type type, const int64_t* dims,
                              int32_t rank) {
  if (rank >= KP_MAX_RANK)
    return KP_ERROR(LIMIT, "a stacked value would have rank %d; at most %d is supported", rank + 1,
                    KP_MAX_RANK);
  if (stack->count == 0) {
    stack->type = type;
    stack->rank = rank;
    for (int32_t d = 0; d < rank; ++d) stack->dims[d] = dims[d];
    return NULL;
  }
  bool same = type == stack->type && rank == stack->rank;
  for (int32_t d = 0; same && d < rank; ++d) same = dims[d] == stack->dims[d];
  if (same) return NULL;
  return KP_ERROR(RUN_FAILED,
                  "an iteration gives a result of another shape or type than the first; such "
                  "results cannot be stacked");
}

kp_status* kp_stack_next(kp_stack* stack, kp_run_state* run, kapell_type type, const int64_t* dims,
                         int32_t rank, kapell_value** out_slice) {
  size_t count, offset, end;
  KP_PASS(check_slice(stack, type, dims, rank));
  KP_PASS(kp_value_check_dims(type, dims, rank, &count, &stack->slice_bytes));
  if (!kp_mul_size(stack->slice_bytes, (size_t)stack->count, &offset) ||
      !kp_add_size(offset, stack->slice_bytes, &end))
    return KP_ERROR(OUT_OF_MEMORY, "stacked results");
  KP_PASS(kp_grow(run, &stack->buffer, end, true));
  KP_PASS(
      kp_value_reset_tensor(stack->shell, type, dims, rank, (char*)stack->buffer.data + offset));
  ++stack->count;
  *out_slice = stack->shell;
  return NULL;
}

static kp_status* push_strings(kp_stack* stack, kapell_value* slice) {
  KP_PASS(check_slice(stack, slice->type, slice->dims, slice->rank));
  if ((size_t)stack->count == stack->string_capacity) {
    const size_t capacity = stack->string_capacity ? stack->string_capacity * 2 : 8;
    kapell_value** grown = kp_realloc_array(stack->strings, capacity, sizeof(*grown));
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "stacked strings");
    stack->strings = grown;
    stack->string_capacity = capacity;
  }
  kapell_value* kept = NULL;
  if (slice->buffer)
    kept = kp_value_retain(slice);
  else
    KP_PASS(kp_value_clone(slice, &kept));  // a view that its owner patches again
  stack->strings[stack->count++] = kept;
  return NULL;
}

kp_status* kp_stack_push(kp_stack* stack, kp_run_state* run, kapell_value* slice) {
  if (slice->kind != KAPELL_KIND_TENSOR)
    return KP_ERROR(INVALID_MODEL, "results of iterations that are stacked must be tensors");
  if (slice->type == KAPELL_STRING) return push_strings(stack, slice);
  kapell_value* to;
  KP_PASS(kp_stack_next(stack, run, slice->type, slice->dims, slice->rank, &to));
  return kp_copy_value(run, slice, to);
}

static kp_status* join_strings(kp_stack* stack, const int64_t* dims) {
  KP_PASS(kp_value_create_tensor(KAPELL_STRING, dims, stack->rank + 1, &stack->joined));
  size_t at = 0;
  for (int64_t i = 0; i < stack->count; ++i) {
    const size_t n = kp_value_count(stack->strings[i]);
    for (size_t k = 0; k < n; ++k)
      KP_PASS(kp_value_set_string(stack->joined, at++, kp_value_string(stack->strings[i], k)));
  }
  return NULL;
}

// Slices of 4- and 2-bit types begin at whole bytes; in the whole they do not.
static void close_gaps(const kp_stack* stack) {
  const size_t bits = kp_element_bits(stack->type);
  size_t each = 1;
  for (int32_t d = 0; d < stack->rank; ++d) each *= (size_t)stack->dims[d];
  if (each * bits % 8 == 0) return;
  for (int64_t i = 1; i < stack->count; ++i)
    kp_copy_elements_at(bits, stack->buffer.data, (size_t)i * each, stack->buffer.data,
                        (size_t)i * stack->slice_bytes * 8 / bits, each);
}

kp_status* kp_stack_end(kp_stack* stack, const kp_type* element, kapell_value** out_value) {
  int64_t dims[KP_MAX_RANK + 1] = {stack->count};
  if (stack->count == 0) {
    stack->type =
        element->kind == KAPELL_KIND_TENSOR && element->element ? element->element : KAPELL_FLOAT;
    stack->rank = element->kind == KAPELL_KIND_TENSOR && element->rank > 0 ? element->rank : 0;
    for (int32_t d = 0; d < stack->rank; ++d)
      stack->dims[d] = kp_is_number(element->dims[d]) ? element->dims[d] : 0;
  }
  for (int32_t d = 0; d < stack->rank; ++d) dims[d + 1] = stack->dims[d];
  if (stack->type == KAPELL_STRING) {
    KP_PASS(join_strings(stack, dims));
    *out_value = stack->joined;
    return NULL;
  }
  close_gaps(stack);
  KP_PASS(
      kp_value_reset_tensor(stack->shell, stack->type, dims, stack->rank + 1, stack->buffer.data));
  *out_value = stack->shell;
  return NULL;
}
