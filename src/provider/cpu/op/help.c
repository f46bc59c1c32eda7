// Shared by operators of all families; see help.h.
#include "provider/cpu/op/help.h"

#include "base/element.h"

double kp_double_at(const kapell_value* value, size_t index) {
  switch (value->type) {
#define CASE(type, c_type) \
  case KAPELL_##type:      \
    return (double)((const c_type*)value->data)[index];
    KP_EACH_NUMBER(CASE)
    CASE(BOOL, uint8_t)
#undef CASE
    default:
      return kp_element_get(value->type, value->data, index);
  }
}

static int64_t cut(double x) {
  if (!(x > -9.2e18)) return x != x ? 0 : INT64_MIN;
  return x >= 9.2e18 ? INT64_MAX : (int64_t)x;
}

int64_t kp_int_at(const kapell_value* value, size_t index) {
  switch (value->type) {
#define CASE(type, c_type) \
  case KAPELL_##type:      \
    return (int64_t)((const c_type*)value->data)[index];
    KP_EACH_INT(CASE)
    CASE(BOOL, uint8_t)
#undef CASE
    default:
      return cut(kp_double_at(value, index));
  }
}

static kp_status* add_axis(int64_t axis, int32_t rank, uint32_t* mask) {
  int32_t normal;
  if (!kp_axis(axis, rank, &normal))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)axis, (int)rank);
  *mask |= UINT32_C(1) << normal;
  return NULL;
}

kp_status* kp_axes_mask(const kp_node* node, const char* name, const kapell_value* input,
                        int32_t rank, uint32_t* out_mask, bool* out_given) {
  *out_mask = 0;
  *out_given = false;
  if (input) {
    const size_t count = kp_value_count(input);
    for (size_t i = 0; i < count; ++i) KP_PASS(add_axis(kp_int_at(input, i), rank, out_mask));
    *out_given = count > 0;
    return NULL;
  }
  size_t count;
  const int64_t* axes = kp_node_attr_ints(node, name, &count);
  for (size_t i = 0; i < count; ++i) KP_PASS(add_axis(axes[i], rank, out_mask));
  *out_given = count > 0;
  return NULL;
}

kp_status* kp_zero_tensor(kapell_value* value) {
  if (value->type != KAPELL_STRING) {
    memset(value->data, 0, value->byte_count);
    return NULL;
  }
  for (size_t i = 0; i < kp_value_count(value); ++i)
    KP_PASS(kp_value_set_string(value, i, (kp_str){"", 0}));
  return NULL;
}

size_t* kp_batch_matrices(kp_arena* arena, const kapell_value* value, const kapell_value* y,
                          int32_t batch_rank, size_t batch) {
  size_t* matrices = kp_arena_new_array(arena, size_t, batch + 1);
  const int32_t own = value->rank > 2 ? value->rank - 2 : 0;
  for (size_t i = 0; matrices && i < batch; ++i) {
    size_t rest = i, stride = 1, at = 0;
    for (int32_t d = batch_rank; d-- > 0;) {
      const size_t position = rest % (size_t)y->dims[d];
      rest /= (size_t)y->dims[d];
      const int32_t o = d - (batch_rank - own);
      if (o < 0) continue;
      if (value->dims[o] != 1) at += position * stride;
      stride *= (size_t)value->dims[o];
    }
    matrices[i] = at;
  }
  return matrices;
}
