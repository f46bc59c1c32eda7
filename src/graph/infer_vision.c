// Inference of operators on images and regions: Resize, Upsample, GridSample, AffineGrid, RoiAlign, MaxRoiPool, NonMaxSuppression, Col2Im,
// ImageDecoder.
#include <math.h>

#include "graph/infer_rule.h"

// --- Resize -------------------------------------------------------------------------------------------------------------
// floor(size * scale). A symbol times a scale that is a small fraction of powers of two stays an expression.
static kp_status* scaled(kp_infer* infer, uint32_t i, kp_expr size, double scale, kp_expr* out) {
  if (!(scale > 0) || !(scale < 1e9)) return kp_in_error(infer, i, "a scale of %g", scale);
  if (kp_is_number(size)) {
    const double exact = floor((double)size * scale);
    if (!(exact < 1e15))
      return kp_in_error(infer, i, "a scale of %g for a dim of %lld", scale, (long long)size);
    *out = (int64_t)exact;
    return NULL;
  }
  kp_expr whole;
  *out = KP_DIM_UNKNOWN;
  for (int64_t parts = 1; parts <= 1024 && *out == KP_DIM_UNKNOWN; parts *= 2) {
    if (kp_data_whole(scale * (double)parts, &whole))
      *out = kp_dim_div(infer, kp_dim_mul(infer, size, whole), parts);
  }
  if (*out == KP_DIM_UNKNOWN) *out = kp_dim_fresh(infer);
  return NULL;
}

static kp_status* resize_by_scales(kp_infer* infer, uint32_t input, kp_doubles scales,
                                   const int32_t* axes, size_t count, kp_expr* dims) {
  if (scales.n != count)
    return kp_in_error(infer, input, "%u entries; expected %zu", scales.n, count);
  for (size_t k = 0; k < count; ++k)
    KP_PASS(scaled(infer, input, dims[axes[k]], scales.v[k], &dims[axes[k]]));
  return NULL;
}

// keep_aspect_ratio_policy: one scale for all axes, the smallest or largest of those that the sizes ask for.
static void keep_aspect(kp_infer* infer, bool smallest, const kp_expr* sizes, const int32_t* axes,
                        size_t count, kp_expr* dims) {
  double scale = smallest ? INFINITY : 0;
  bool known = true;
  for (size_t k = 0; k < count; ++k) {
    known = known && kp_is_number(sizes[k]) && kp_is_number(dims[axes[k]]) && dims[axes[k]] > 0;
    const double own = known ? (double)sizes[k] / (double)dims[axes[k]] : 0;
    scale = smallest ? fmin(scale, own) : fmax(scale, own);
  }
  for (size_t k = 0; k < count; ++k) {
    const double exact = known ? round(scale * (double)dims[axes[k]]) : -1;
    dims[axes[k]] = exact >= 0 && exact < 1e15 ? (int64_t)exact : kp_dim_fresh(infer);
  }
}

static kp_status* resize_by_sizes(kp_infer* infer, kp_ints sizes, const int32_t* axes, size_t count,
                                  kp_expr* dims) {
  if (sizes.n != count) return kp_in_error(infer, 3, "%u entries; expected %zu", sizes.n, count);
  kp_expr wanted[KP_MAX_RANK];
  for (size_t k = 0; k < count; ++k) KP_PASS(kp_dim_of_data(infer, 3, sizes.v[k], &wanted[k]));
  const kp_str policy = kp_node_attr_s(infer->node, "keep_aspect_ratio_policy", "stretch");
  if (kp_str_is(policy, "not_larger") || kp_str_is(policy, "not_smaller")) {
    keep_aspect(infer, kp_str_is(policy, "not_larger"), wanted, axes, count, dims);
    return NULL;
  }
  if (!kp_str_is(policy, "stretch"))
    return kp_node_error(infer, "attribute 'keep_aspect_ratio_policy' is '%.*s'",
                         KP_STR_ARG(policy));
  for (size_t k = 0; k < count; ++k) dims[axes[k]] = wanted[k];
  return NULL;
}

static kp_status* resize_axes(kp_infer* infer, int32_t rank, int32_t* axes, size_t* out_count) {
  size_t count;
  const int64_t* list = kp_node_attr_ints(infer->node, "axes", &count);
  if (!list || count == 0) {
    for (int32_t d = 0; d < rank; ++d) axes[d] = d;
    *out_count = (size_t)rank;
    return NULL;
  }
  uint64_t mask;
  bool known, given;
  KP_PASS(kp_infer_axes(infer, "axes", -1, rank, &mask, &known,
                        &given));  // in range, each once: at most |rank|
  for (size_t k = 0; k < count; ++k) KP_PASS(kp_infer_axis(infer, "axis", list[k], rank, &axes[k]));
  *out_count = count;
  return NULL;
}

// Present, and not the empty tensor that stands for "not given".
static bool resize_given(kp_infer* infer, uint32_t i) {
  return kp_in_given(infer, i) && !(kp_in_rank(infer, i) == 1 && kp_in_dim(infer, i, 0) == 0);
}

static kp_status* resize(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  const bool early = infer->node->version < 11;  // X, scales
  const uint32_t scales_input = early ? 1 : 2;
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  KP_PASS(kp_in_check_rank(infer, scales_input, 1, 1));
  const bool by_sizes = !early && resize_given(infer, 3),
             by_scales = resize_given(infer, scales_input);
  if (by_sizes) KP_PASS(kp_in_check_rank(infer, 3, 1, 1));
  if (by_sizes == by_scales && (infer->node->version >= 13 || !by_sizes))
    return kp_node_error(
        infer, by_sizes ? "both scales and sizes are given" : "neither scales nor sizes are given");
  int32_t axes[KP_MAX_RANK];
  size_t count;
  KP_PASS(resize_axes(infer, rank, axes, &count));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  kp_ints sizes;
  kp_doubles scales;
  if (by_sizes && kp_in_ints(infer, 3, &sizes))
    return resize_by_sizes(infer, sizes, axes, count, dims);
  if (!by_sizes && kp_in_doubles(infer, scales_input, &scales))
    return resize_by_scales(infer, scales_input, scales, axes, count, dims);
  for (size_t k = 0; k < count; ++k) dims[axes[k]] = kp_dim_fresh(infer);
  return NULL;
}

static kp_status* upsample(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  kp_doubles scales = {0};
  size_t count = 0;
  if (infer->node->version < 7) {  // NCHW, two factors
    KP_PASS(kp_in_check_rank(infer, 0, 4, 4));
    KP_PASS(scaled(infer, 0, dims[2], (double)kp_node_attr_f(infer->node, "height_scale", 1),
                   &dims[2]));
    return scaled(infer, 0, dims[3], (double)kp_node_attr_f(infer->node, "width_scale", 1),
                  &dims[3]);
  }
  if (infer->node->version < 9) {
    const float* list = kp_node_attr_floats(infer->node, "scales", &count);
    if (count != (size_t)rank)
      return kp_node_error(infer, "attribute 'scales' has %zu entries; expected %d", count, rank);
    for (int32_t d = 0; d < rank; ++d)
      KP_PASS(scaled(infer, 0, dims[d], (double)list[d], &dims[d]));
    return NULL;
  }
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  int32_t axes[KP_MAX_RANK];
  for (int32_t d = 0; d < rank; ++d) axes[d] = d;
  if (kp_in_doubles(infer, 1, &scales))
    return resize_by_scales(infer, 1, scales, axes, (size_t)rank, dims);
  return kp_out_fresh(infer, 0, element, rank);
}

// --- sampling -----------------------------------------------------------------------------------------------------------
kp_status* kp_infer_grid_sample(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0) >= 0 ? kp_in_rank(infer, 0) : kp_in_rank(infer, 1);
  KP_PASS(kp_in_check_rank(infer, 0, 3, -1));
  KP_PASS(kp_in_check_rank(infer, 1, 3, -1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  KP_PASS(kp_in_check_rank(infer, 1, rank, rank));
  if (kp_in_rank(infer, 1) >= 0)
    KP_PASS(kp_in_check_dim(infer, 1, rank - 1, rank - 2, "one coordinate a spatial axis"));
  if (kp_in_rank(infer, 0) >= 0 && kp_in_rank(infer, 1) >= 0)
    KP_PASS(kp_in_check_dim(infer, 1, 0, kp_in_dim(infer, 0, 0), "the batch of X"));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  const bool have_x = kp_in_rank(infer, 0) >= 0, have_grid = kp_in_rank(infer, 1) >= 0;
  dims[0] = have_x ? kp_in_dim(infer, 0, 0) : kp_in_dim(infer, 1, 0);
  if (have_x && have_grid) dims[0] = kp_dim_merge(dims[0], kp_in_dim(infer, 1, 0));
  dims[1] = have_x ? kp_in_dim(infer, 0, 1) : kp_dim_fresh(infer);
  for (int32_t d = 2; d < rank; ++d)
    dims[d] = have_grid ? kp_in_dim(infer, 1, d - 1) : kp_dim_fresh(infer);
  return NULL;
}

static kp_status* affine_grid(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, 3));
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  kp_ints size;
  if (!kp_in_ints(infer, 1, &size)) {
    const kp_expr count = kp_in_rank(infer, 1) == 1 ? kp_in_dim(infer, 1, 0) : KP_DIM_UNKNOWN;
    if (count == 4 || count == 5) return kp_out_fresh(infer, 0, element, (int32_t)count);
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (size.n != 4 && size.n != 5)
    return kp_in_error(infer, 1, "%u entries; expected 4 or 5", size.n);
  const int32_t rank = (int32_t)size.n;
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  KP_PASS(kp_dim_of_data(infer, 1, size.v[0], &dims[0]));
  for (int32_t d = 1; d < rank - 1; ++d) KP_PASS(kp_dim_of_data(infer, 1, size.v[d + 1], &dims[d]));
  dims[rank - 1] = rank - 2;
  return NULL;
}

static kp_status* col2im(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, 3));
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  KP_PASS(kp_in_check_rank(infer, 2, 1, 1));
  kp_ints image, block;
  const bool have_image = kp_in_ints(infer, 1, &image), have_block = kp_in_ints(infer, 2, &block);
  kp_expr spatial = have_image ? (kp_expr)image.n : have_block ? (kp_expr)block.n : KP_DIM_UNKNOWN;
  for (uint32_t i = 1; i < 3 && kp_is_symbol(spatial); ++i) {
    if (kp_in_rank(infer, i) == 1) spatial = kp_in_dim(infer, i, 0);
  }
  if (kp_is_symbol(spatial) || spatial > KP_MAX_RANK - 2) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if ((have_image && image.n != spatial) || (have_block && block.n != spatial))
    return kp_node_error(infer, "image_shape and block_shape are of different lengths");
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, (int32_t)spatial + 2, &dims));
  const bool have_input = kp_in_rank(infer, 0) == 3;
  dims[0] = have_input ? kp_in_dim(infer, 0, 0) : kp_dim_fresh(infer);
  dims[1] = KP_DIM_UNKNOWN;
  if (have_input && have_block) {
    kp_expr sizes[KP_MAX_RANK];
    for (uint32_t d = 0; d < block.n; ++d) KP_PASS(kp_dim_of_data(infer, 2, block.v[d], &sizes[d]));
    const kp_expr area = kp_dim_product(infer, sizes, (int32_t)block.n),
                  packed = kp_in_dim(infer, 0, 1);
    if (kp_is_number(area) && kp_is_number(packed) && (area < 1 || packed % area != 0))
      return kp_in_error(infer, 0, "dim 1 is %lld; expected a multiple of the block's %lld",
                         (long long)packed, (long long)area);
    dims[1] = kp_dim_div(infer, packed, area);
  }
  if (dims[1] == KP_DIM_UNKNOWN) dims[1] = kp_dim_fresh(infer);
  for (int32_t d = 0; d < (int32_t)spatial; ++d) {
    if (have_image)
      KP_PASS(kp_dim_of_data(infer, 1, image.v[d], &dims[d + 2]));
    else
      dims[d + 2] = kp_dim_fresh(infer);
  }
  return NULL;
}

// --- regions ------------------------------------------------------------------------------------------------------------
static kp_status* regions(kp_infer* infer, int64_t height, int64_t width) {
  const int32_t rank = kp_in_rank(infer, 0);
  if (height < 1 || width < 1)
    return kp_node_error(infer, "an output of %lld by %lld a region", (long long)height,
                         (long long)width);
  KP_PASS(kp_in_check_rank(infer, 0, 4, 4));
  KP_PASS(kp_in_check_rank(infer, 1, 2, 2));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), 4, &dims));
  dims[0] = kp_in_rank(infer, 1) == 2 ? kp_in_dim(infer, 1, 0) : kp_dim_fresh(infer);
  dims[1] = rank == 4 ? kp_in_dim(infer, 0, 1) : kp_dim_fresh(infer);
  dims[2] = height;
  dims[3] = width;
  return NULL;
}

static kp_status* roi_align(kp_infer* infer) {
  KP_PASS(regions(infer, kp_node_attr_i(infer->node, "output_height", 1),
                  kp_node_attr_i(infer->node, "output_width", 1)));
  KP_PASS(kp_in_check_rank(infer, 2, 1, 1));
  if (kp_in_rank(infer, 1) == 2) KP_PASS(kp_in_check_dim(infer, 1, 1, 4, "corners of a region"));
  if (kp_in_rank(infer, 1) == 2 && kp_in_rank(infer, 2) == 1)
    KP_PASS(kp_in_check_dim(infer, 2, 0, kp_in_dim(infer, 1, 0), "the number of rois"));
  return NULL;
}

static kp_status* max_roi_pool(kp_infer* infer) {
  size_t count;
  const int64_t* shape = kp_node_attr_ints(infer->node, "pooled_shape", &count);
  if (count != 2)
    return kp_node_error(infer, "attribute 'pooled_shape' has %zu entries; expected 2", count);
  return regions(infer, shape[0], shape[1]);
}

static kp_status* non_max_suppression(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 3, 3));
  KP_PASS(kp_in_check_rank(infer, 1, 3, 3));
  if (kp_in_rank(infer, 0) == 3) KP_PASS(kp_in_check_dim(infer, 0, 2, 4, "corners of a box"));
  if (kp_in_rank(infer, 0) == 3 && kp_in_rank(infer, 1) == 3) {
    KP_PASS(kp_in_check_dim(infer, 1, 0, kp_in_dim(infer, 0, 0), "the batch of boxes"));
    KP_PASS(kp_in_check_dim(infer, 1, 2, kp_in_dim(infer, 0, 1), "the number of boxes"));
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_INT64, 2, &dims));
  dims[0] = kp_dim_fresh(infer);
  dims[1] = 3;
  return NULL;
}

static kp_status* image_decoder(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 1, 1));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_UINT8, 3, &dims));
  dims[0] = kp_dim_fresh(infer);
  dims[1] = kp_dim_fresh(infer);
  dims[2] = kp_str_is(kp_node_attr_s(infer->node, "pixel_format", "RGB"), "Grayscale") ? 1 : 3;
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_vision[] = {
    {"", "Resize", 10, resize, 1u << 1, 0},
    {"", "Resize", 11, resize, 1u << 2 | 1u << 3, 0},
    {"", "Upsample", 1, upsample, 1u << 1, 0},
    {"", "GridSample", 16, kp_infer_grid_sample, 0, 0},
    {"", "AffineGrid", 20, affine_grid, 1u << 1, 0},
    {"", "Col2Im", 18, col2im, 1u << 1 | 1u << 2, 0},
    {"", "RoiAlign", 10, roi_align, 0, 0},
    {"", "MaxRoiPool", 1, max_roi_pool, 0, 0},
    {"", "NonMaxSuppression", 10, non_max_suppression, 0, KP_INFER_DYNAMIC},
    {"", "ImageDecoder", 20, image_decoder, 0, KP_INFER_DYNAMIC},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
