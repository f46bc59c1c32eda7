// Inference of spectral operators: DFT, STFT, com.microsoft's Rfft and Irfft.
#include "graph/infer_rule.h"

// The scalar in input |i|: its expression where known, else fresh.
static kp_status* scalar_dim(kp_infer* infer, uint32_t i, kp_expr* out) {
  kp_expr e;
  KP_PASS(kp_in_check_single(infer, i));
  if (kp_in_int(infer, i, &e)) return kp_dim_of_data(infer, i, e, out);
  *out = kp_dim_fresh(infer);
  return NULL;
}

static kp_expr half_plus_one(kp_infer* infer, kp_expr length) {
  return kp_dim_add(infer, kp_dim_div(infer, length, 2), 1);
}

static kp_status* check_parts(kp_infer* infer, bool onesided, bool inverse) {
  const kp_expr parts = kp_in_dim(infer, 0, -1);
  if (kp_is_symbol(parts)) return NULL;
  const bool good = onesided ? parts == (inverse ? 2 : 1) : parts == 1 || parts == 2;
  if (good) return NULL;
  return kp_in_error(infer, 0, "its last dim is %lld; expected %s", (long long)parts,
                     !onesided ? "1 (real) or 2 (complex)"
                     : inverse ? "2 (complex)"
                               : "1 (real)");
}

// The axis, or -1 where its input is not known.
static kp_status* dft_axis(kp_infer* infer, int32_t rank, int32_t* out) {
  int64_t axis = kp_node_attr_i(infer->node, "axis", 1);
  *out = -1;
  if (infer->node->version >= 20) {
    kp_ints known;
    axis = -2;
    KP_PASS(kp_in_check_single(infer, 2));
    if (kp_in_given(infer, 2)) {
      if (!kp_in_numbers(infer, 2, &known) || known.n != 1) return NULL;
      axis = known.v[0];
    }
  }
  KP_PASS(kp_infer_axis(infer, "axis", axis, rank, out));
  if (*out == rank - 1)
    return kp_node_error(infer, "axis %lld is the one of real and imaginary parts",
                         (long long)axis);
  return NULL;
}

static kp_status* dft(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const bool onesided = kp_node_attr_i(infer->node, "onesided", 0) != 0,
             inverse = kp_node_attr_i(infer->node, "inverse", 0) != 0;
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  KP_PASS(check_parts(infer, onesided, inverse));
  int32_t axis;
  KP_PASS(dft_axis(infer, rank, &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  const bool resizes = onesided || kp_in_given(infer, 1);
  for (int32_t d = 0; d < rank - 1; ++d)
    dims[d] = axis < 0 && resizes ? kp_dim_fresh(infer) : kp_in_dim(infer, 0, d);
  dims[rank - 1] = onesided && inverse ? 1 : 2;
  if (axis < 0 || !resizes) return NULL;
  kp_expr length = dims[axis];
  if (kp_in_given(infer, 1))
    KP_PASS(scalar_dim(infer, 1, &length));
  else if (inverse)  // what is left of an even length
    length = kp_dim_mul(infer, 2, kp_dim_sub(infer, length, 1));
  dims[axis] = onesided && !inverse ? half_plus_one(infer, length) : length;
  return NULL;
}

static kp_status* stft(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 2, 3));
  KP_PASS(kp_in_check_rank(infer, 2, 1, 1));
  const int32_t rank = kp_in_rank(infer, 0);
  const kp_expr signal = rank >= 2 ? kp_in_dim(infer, 0, 1) : kp_dim_fresh(infer);
  kp_expr step, length = signal, *dims;
  KP_PASS(scalar_dim(infer, 1, &step));
  if (kp_is_number(step) && step < 1)
    return kp_in_error(infer, 1, "%lld; expected 1 or more", (long long)step);
  if (kp_in_given(infer, 3))
    KP_PASS(scalar_dim(infer, 3, &length));
  else if (kp_in_given(infer, 2))
    length = kp_in_rank(infer, 2) == 1 ? kp_in_dim(infer, 2, 0) : kp_dim_fresh(infer);
  if (kp_in_given(infer, 3) && kp_in_rank(infer, 2) == 1) {
    KP_PASS(kp_in_check_dim(infer, 2, 0, length, "frame_length"));
    length = kp_dim_merge(length, kp_in_dim(infer, 2, 0));
  }
  if (kp_is_number(signal) && kp_is_number(length) && length > signal)
    return kp_in_error(infer, 0, "%lld samples; expected at least one frame of %lld",
                       (long long)signal, (long long)length);
  KP_PASS(kp_out_dims(infer, 0, element, 4, &dims));
  dims[0] = rank >= 1 ? kp_in_dim(infer, 0, 0) : kp_dim_fresh(infer);
  dims[1] = kp_dim_add(infer, kp_dim_div(infer, kp_dim_sub(infer, signal, length), step), 1);
  dims[2] = kp_node_attr_i(infer->node, "onesided", 1) != 0 ? half_plus_one(infer, length) : length;
  dims[3] = 2;
  return NULL;
}

static kp_status* rfft(kp_infer* infer) {
  const int64_t axes = kp_node_attr_i(infer->node, "signal_ndim", 1);
  const int32_t rank = kp_in_rank(infer, 0);
  if (axes < 1 || axes > KP_MAX_RANK)
    return kp_node_error(infer, "attribute 'signal_ndim' is %lld", (long long)axes);
  KP_PASS(kp_in_check_rank(infer, 0, (int32_t)axes, KP_MAX_RANK - 1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), rank + 1, &dims));
  for (int32_t d = 0; d < rank - 1; ++d) dims[d] = kp_in_dim(infer, 0, d);
  dims[rank - 1] = half_plus_one(infer, kp_in_dim(infer, 0, rank - 1));
  dims[rank] = 2;
  return NULL;
}

static kp_status* irfft(kp_infer* infer) {
  const int64_t axes = kp_node_attr_i(infer->node, "signal_ndim", 1);
  const int32_t rank = kp_in_rank(infer, 0);
  if (axes < 1 || axes >= KP_MAX_RANK)
    return kp_node_error(infer, "attribute 'signal_ndim' is %lld", (long long)axes);
  KP_PASS(kp_in_check_rank(infer, 0, (int32_t)axes + 1, KP_MAX_RANK));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
    return NULL;
  }
  KP_PASS(kp_in_check_dim(infer, 0, rank - 1, 2, "real and imaginary parts"));
  const kp_expr bins = kp_in_dim(infer, 0, rank - 2);
  if (bins == 0) return kp_in_error(infer, 0, "a spectrum without bins");
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), rank - 1, &dims));
  for (int32_t d = 0; d < rank - 2; ++d) dims[d] = kp_in_dim(infer, 0, d);
  dims[rank - 2] = kp_dim_mul(infer, 2, kp_dim_sub(infer, bins, 1));
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_signal[] = {
    {"", "DFT", 17, dft, 1u << 1, 0},
    {"", "DFT", 20, dft, 1u << 1 | 1u << 2, 0},
    {"", "STFT", 17, stft, 1u << 1 | 1u << 3, 0},
    {"com.microsoft", "Rfft", 1, rfft, 0, 0},
    {"com.microsoft", "Irfft", 1, irfft, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
