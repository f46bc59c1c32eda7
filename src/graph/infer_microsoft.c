// Inference of com.microsoft: quantized and fused forms of ai.onnx's operators. Attention and transformer blocks are in
// infer_microsoft_attention.c. Source: ONNX Runtime, docs/ContribOperators.md.
#include "graph/infer_quant.h"

// --- fused products -----------------------------------------------------------------------------------------------------
static kp_status* fused_gemm(kp_infer* infer) {
  return kp_infer_gemm(infer, 0, 1, 2, kp_in_element(infer, 0));
}

static kp_status* qgemm(kp_infer* infer) {
  const kapell_type zero = kp_in_element(infer, 8);
  return kp_infer_gemm(infer, 0, 3, 6, kp_in_given(infer, 8) ? zero : kp_in_element(infer, 1));
}

static kp_status* matmul_integer_to_float(kp_infer* infer) {
  return kp_infer_matmul(infer, 0, 1, kp_in_element(infer, 2));
}
static kp_status* dynamic_quantize_matmul(kp_infer* infer) {
  return kp_infer_matmul(infer, 0, 1, kp_in_element(infer, 0));
}
static kp_status* matmul_integer16(kp_infer* infer) {
  // The result is int32, or uint32 where both sides are unsigned.
  const bool is_unsigned =
      kp_in_element(infer, 0) == KAPELL_UINT16 && kp_in_element(infer, 1) == KAPELL_UINT16;
  return kp_infer_matmul(infer, 0, 1, is_unsigned ? KAPELL_UINT32 : KAPELL_INT32);
}

// A [..., rows] times a packed matrix of rows x columns.
static kp_status* packed_product(kp_infer* infer, int64_t rows, int64_t columns) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, -1));
  if (rows < 1 || columns < 1)
    return kp_node_error(infer, "attributes 'K' and 'N' are %lld and %lld", (long long)rows,
                         (long long)columns);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  KP_PASS(kp_in_check_dim(infer, 0, rank - 1, rows, "the rows of the packed matrix"));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank - 1; ++d) dims[d] = kp_in_dim(infer, 0, d);
  dims[rank - 1] = columns;
  return NULL;
}
static kp_status* matmul_nbits(kp_infer* infer) {
  return packed_product(infer, kp_node_attr_i(infer->node, "K", 0),
                        kp_node_attr_i(infer->node, "N", 0));
}
static kp_status* matmul_bnb4(kp_infer* infer) {
  const int64_t k = kp_node_attr_i(infer->node, "K", 0), n = kp_node_attr_i(infer->node, "N", 0);
  return kp_node_attr_i(infer->node, "transB", 1) ? packed_product(infer, k, n)
                                                  : packed_product(infer, n, k);
}
static kp_status* matmul_fp_q4(kp_infer* infer) {
  kp_ints shape;
  if (!kp_in_numbers(infer, 2, &shape) || shape.n != 2) {
    const int32_t rank = kp_in_rank(infer, 0);
    if (rank > 0) return kp_out_fresh(infer, 0, kp_in_element(infer, 0), rank);
    kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
    return NULL;
  }
  return packed_product(infer, shape.v[0], shape.v[1]);
}

// --- convolutions and poolings, with "channels_last" ----------------------------------------------------------------------
// The bias, input 2, has an entry a filter of W.
static kp_status* conv_bias(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 2, 1, 1));
  if (kp_in_rank(infer, 2) != 1 || kp_in_rank(infer, 1) < 1) return NULL;
  return kp_in_check_dim(infer, 2, 0, kp_in_dim(infer, 1, 0), "the filters of W");
}

static kp_status* fused_conv(kp_infer* infer) {
  KP_PASS(kp_infer_convolution(infer, 0, 1, kp_in_element(infer, 0)));
  return conv_bias(infer);
}

// Axis |d| of the spatial ones in a picture of either layout.
static int32_t spatial_axis(int32_t d, bool last) { return last ? d + 1 : d + 2; }
static int32_t channel_axis(int32_t rank, bool last) { return last ? rank - 1 : 1; }

static kp_status* pool_in(kp_infer* infer, bool last) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, -1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  kp_window window;
  KP_PASS(kp_window_read(infer, rank - 2, NULL, &window));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[channel_axis(rank, last)] = kp_in_dim(infer, 0, channel_axis(rank, last));
  for (int32_t d = 0; d < rank - 2; ++d) {
    const int32_t axis = spatial_axis(d, last);
    KP_PASS(kp_window_size(infer, &window, 0, d, kp_in_dim(infer, 0, axis), &dims[axis]));
  }
  return NULL;
}
static kp_status* nhwc_max_pool(kp_infer* infer) { return pool_in(infer, true); }
static kp_status* qlinear_average_pool(kp_infer* infer) {
  return pool_in(infer, kp_node_attr_i(infer->node, "channels_last", 0) != 0);
}

static kp_status* qlinear_global_average_pool(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  const bool last = kp_node_attr_i(infer->node, "channels_last", 0) != 0;
  KP_PASS(kp_in_check_rank(infer, 0, 3, -1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d)
    dims[d] = d == 0 || d == channel_axis(rank, last) ? kp_in_dim(infer, 0, d) : 1;
  return NULL;
}

// A convolution of a picture whose channels come last; input |w| has the filters, laid out as always.
static kp_status* convolution_last(kp_infer* infer, uint32_t w, kapell_type element) {
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, -1));
  if (rank < 0 || kp_in_rank(infer, w) < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  KP_PASS(kp_in_check_rank(infer, w, rank, rank));
  kp_window window;
  KP_PASS(kp_window_read(infer, rank - 2, infer->inputs[w]->dims + 2, &window));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[rank - 1] = kp_in_dim(infer, w, 0);
  for (int32_t d = 0; d < rank - 2; ++d)
    KP_PASS(kp_window_size(infer, &window, 0, d, kp_in_dim(infer, 0, d + 1), &dims[d + 1]));
  return NULL;
}

static kp_status* qlinear_conv(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 7);
  if (!kp_node_attr_i(infer->node, "channels_last", 0))
    return kp_infer_convolution(infer, 0, 3, element);
  return convolution_last(infer, 3, element);
}

static kp_status* nhwc_conv(kp_infer* infer) {
  KP_PASS(convolution_last(infer, 1, kp_in_element(infer, 0)));
  return conv_bias(infer);
}

// --- elementwise ----------------------------------------------------------------------------------------------------------
static kp_status* broadcast_of(kp_infer* infer, const uint32_t* inputs, uint32_t count,
                               kapell_type element) {
  int32_t rank = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const int32_t have = kp_in_rank(infer, inputs[k]);
    if (have < 0) {
      kp_out_any_rank(infer, 0, element);
      return NULL;
    }
    if (have > rank) rank = have;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = 1;
  for (uint32_t k = 0; k < count; ++k) {
    const kp_type* type = infer->inputs[inputs[k]];
    KP_PASS(kp_broadcast_into(infer, inputs[k], type->dims, type->rank, dims, rank));
  }
  return NULL;
}
static kp_status* qlinear_binary(kp_infer* infer) {
  return broadcast_of(infer, (const uint32_t[]){0, 3}, 2, kp_in_element(infer, 0));
}
static kp_status* qlinear_where(kp_infer* infer) {
  return broadcast_of(infer, (const uint32_t[]){0, 1, 4}, 3, kp_in_element(infer, 1));
}
static kp_status* mul_integer(kp_infer* infer) {
  return broadcast_of(infer, (const uint32_t[]){0, 2}, 2, KAPELL_INT32);
}
static kp_status* qlinear_concat(kp_infer* infer) { return kp_infer_concat(infer, 2, 3); }
static kp_status* qlinear_reduce_mean(kp_infer* infer) {
  return kp_infer_reduce(infer, -1, kp_in_element(infer, 0));
}
static kp_status* reduce_sum_integer(kp_infer* infer) {
  const bool is_unsigned = kp_in_element(infer, 0) == KAPELL_UINT8;
  return kp_infer_reduce(infer, -1, is_unsigned ? KAPELL_UINT32 : KAPELL_INT32);
}

static kp_status* dropout_with_mask(kp_infer* infer) {
  kp_out_shape_of(infer, 1, KAPELL_BOOL, 0);
  return kp_infer_same(infer);
}

static kp_status* murmur_hash(kp_infer* infer) {
  kp_out_shape_of(infer, 0,
                  kp_node_attr_i(infer->node, "positive", 1) ? KAPELL_UINT32 : KAPELL_INT32, 0);
  return NULL;
}

static kp_status* is_all_finite(kp_infer* infer) {
  kp_out_scalar(infer, 0, KAPELL_BOOL);
  return NULL;
}

// Windows of |size| elements along a dim, |step| apart; what is in one is a new last dim.
static kp_status* unfold_tensor(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  const int64_t size = kp_node_attr_i(infer->node, "size", 1),
                step = kp_node_attr_i(infer->node, "step", 1);
  if (size < 1 || step < 1)
    return kp_node_error(infer, "windows of %lld elements, %lld apart", (long long)size,
                         (long long)step);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
    return NULL;
  }
  int32_t axis;
  kp_expr* dims;
  KP_PASS(
      kp_infer_axis(infer, "attribute 'dim'", kp_node_attr_i(infer->node, "dim", -1), rank, &axis));
  KP_PASS(kp_in_check_rank(infer, 0, 1, KP_MAX_RANK - 1));
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), rank + 1, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  if (kp_is_number(dims[axis]) && dims[axis] < size)
    return kp_in_error(infer, 0, "%lld elements for windows of %lld", (long long)dims[axis],
                       (long long)size);
  dims[axis] = kp_dim_add(infer, kp_dim_div(infer, kp_dim_sub(infer, dims[axis], size), step), 1);
  dims[rank] = size;
  return NULL;
}

static kp_status* ngram_repeat_block(kp_infer* infer) {
  kp_out_shape_of(infer, 0, kp_in_element(infer, 1), 1);
  return NULL;
}

// --- shapes -----------------------------------------------------------------------------------------------------------------
static kp_status* expand_dims(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  kp_ints at;
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  if (!kp_in_numbers(infer, 1, &at) || at.n != 1) return kp_out_fresh(infer, 0, element, rank + 1);
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "axis", at.v[0], rank + 1, &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank + 1, &dims));
  for (int32_t d = 0; d <= rank; ++d)
    dims[d] = d == axis ? 1 : kp_in_dim(infer, 0, d < axis ? d : d - 1);
  kp_out_data_of(infer, 0, 0);
  return NULL;
}

static kp_status* inverse(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, -1));
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank >= 2)
    KP_PASS(kp_in_check_dim(infer, 0, rank - 1, kp_in_dim(infer, 0, -2), "square matrices"));
  return kp_infer_same(infer);
}

static kp_status* crop_and_resize(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 4, 4));
  KP_PASS(kp_in_check_rank(infer, 1, 2, 2));
  kp_ints size;
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), 4, &dims));
  dims[0] = kp_in_rank(infer, 1) == 2 ? kp_in_dim(infer, 1, 0) : kp_dim_fresh(infer);
  dims[1] = kp_in_rank(infer, 0) == 4 ? kp_in_dim(infer, 0, 1) : kp_dim_fresh(infer);
  const bool known = kp_in_ints(infer, 3, &size);
  if (known && size.n != 2) return kp_in_error(infer, 3, "%u entries; expected 2", size.n);
  for (int32_t d = 0; d < 2; ++d) {
    if (known)
      KP_PASS(kp_dim_of_data(infer, 3, size.v[d], &dims[d + 2]));
    else
      dims[d + 2] = kp_dim_fresh(infer);
  }
  return NULL;
}

static kp_status* sparse_to_dense_matmul(kp_infer* infer) {
  return kp_infer_gemm(infer, 0, 1, UINT32_MAX, kp_in_element(infer, 1));
}

static kp_status* unique(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 1, 1));
  const kp_expr count = kp_dim_fresh(infer);
  KP_PASS(kp_out_vector(infer, 0, kp_in_element(infer, 0), count));
  KP_PASS(kp_out_vector(infer, 1, KAPELL_INT64,
                        kp_in_rank(infer, 0) == 1 ? kp_in_dim(infer, 0, 0) : kp_dim_fresh(infer)));
  return kp_out_vector(infer, 2, KAPELL_INT64, count);
}

static kp_status* bias_split_gelu(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 3, 3));
  if (rank < 0) return kp_out_fresh(infer, 0, kp_in_element(infer, 0), 3);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), 3, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[1] = kp_in_dim(infer, 0, 1);
  dims[2] = kp_dim_div(infer, kp_in_dim(infer, 0, 2), 2);
  return NULL;
}

static kp_status* cdist(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, 2));
  KP_PASS(kp_in_check_rank(infer, 1, 2, 2));
  const bool both = kp_in_rank(infer, 0) == 2 && kp_in_rank(infer, 1) == 2;
  if (both) KP_PASS(kp_in_check_dim(infer, 1, 1, kp_in_dim(infer, 0, 1), "the columns of A"));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), 2, &dims));
  dims[0] = kp_in_rank(infer, 0) == 2 ? kp_in_dim(infer, 0, 0) : kp_dim_fresh(infer);
  dims[1] = kp_in_rank(infer, 1) == 2 ? kp_in_dim(infer, 1, 0) : kp_dim_fresh(infer);
  return NULL;
}

// Packed elements: a byte of data holds 8 / bits of them along the last axis.
static kp_status* gather_block_quantized(kp_infer* infer) {
  const int64_t bits = kp_node_attr_i(infer->node, "bits", 4);
  if (bits != 2 && bits != 4 && bits != 8)
    return kp_node_error(infer, "attribute 'bits' is %lld; expected 2, 4 or 8", (long long)bits);
  const int64_t factor = kp_in_element(infer, 0) == KAPELL_UINT8 ? 8 / bits : 1;
  return kp_infer_gather(infer, kp_node_attr_i(infer->node, "gather_axis", 0),
                         kp_in_element(infer, 2), factor);
}

static kp_status* torch_embedding(kp_infer* infer) {
  return kp_infer_gather(infer, 0, kp_in_element(infer, 0), 1);
}

#define MS "com.microsoft"
#define MSAME(op) \
  { MS, op, 1, kp_infer_same, 0, 0 }
// clang-format off
const kp_infer_rule kp_infer_rules_microsoft[] = {
    MSAME("Gelu"), MSAME("FastGelu"), MSAME("QuickGelu"), MSAME("BiasGelu"), MSAME("BiasAdd"), MSAME("BiasSoftmax"), MSAME("ScaledSiLU"),
    MSAME("QLinearSigmoid"), MSAME("QLinearLeakyRelu"), MSAME("QOrderedGelu"), MSAME("QOrderedLayerNormalization"), MSAME("GroupNorm"),
    MSAME("GatedRMSNorm"),
    {MS, "BiasDropout", 1, dropout_with_mask, 0, 0},
    {MS, "FusedConv", 1, fused_conv, 0, 0},
    {MS, "NhwcConv", 1, nhwc_conv, 0, 0},
    {MS, "NhwcFusedConv", 1, nhwc_conv, 0, 0},
    {MS, "FusedGemm", 1, fused_gemm, 0, 0},
    {MS, "FusedMatMul", 1, kp_infer_fused_matmul, 0, 0},
    {MS, "FusedMatMulActivation", 1, kp_infer_fused_matmul, 0, 0},
    {MS, "TransposeMatMul", 1, kp_infer_fused_matmul, 0, 0},
    {MS, "GemmFastGelu", 1, dynamic_quantize_matmul, 0, 0},
    {MS, "MatMulNBits", 1, matmul_nbits, 0, 0},
    {MS, "MatMulBnb4", 1, matmul_bnb4, 0, 0},
    {MS, "MatMulFpQ4", 1, matmul_fp_q4, 1u << 2, 0},
    {MS, "MatMulIntegerToFloat", 1, matmul_integer_to_float, 0, 0},
    {MS, "MatMulInteger16", 1, matmul_integer16, 0, 0},
    {MS, "DynamicQuantizeMatMul", 1, dynamic_quantize_matmul, 0, 0},
    {MS, "QGemm", 1, qgemm, 0, 0},
    {MS, "QLinearAdd", 1, qlinear_binary, 0, 0},
    {MS, "QLinearMul", 1, qlinear_binary, 0, 0},
    {MS, "QLinearWhere", 1, qlinear_where, 0, 0},
    {MS, "QLinearConcat", 1, qlinear_concat, 0, 0},
    {MS, "QLinearConv", 1, qlinear_conv, 0, 0},
    {MS, "QLinearSoftmax", 1, kp_infer_softmax, 0, 0},
    {MS, "QLinearAveragePool", 1, qlinear_average_pool, 0, 0},
    {MS, "QLinearGlobalAveragePool", 1, qlinear_global_average_pool, 0, 0},
    {MS, "QLinearReduceMean", 1, qlinear_reduce_mean, 0, 0},
    {MS, "ReduceSumInteger", 1, reduce_sum_integer, 0, 0},
    {MS, "NhwcMaxPool", 1, nhwc_max_pool, 0, 0},
    {MS, "MulInteger", 1, mul_integer, 0, 0},
    {MS, "QuantizeLinear", 1, kp_infer_quantize, 0, 0},
    {MS, "DequantizeLinear", 1, kp_infer_dequantize, 0, 0},
    {MS, "GatherBlockQuantized", 1, gather_block_quantized, 0, 0},
    {MS, "TorchEmbedding", 1, torch_embedding, 0, 0},
    {MS, "UnfoldTensor", 1, unfold_tensor, 0, 0},
    {MS, "GatherND", 1, kp_infer_gather_nd, 0, 0},
    {MS, "GridSample", 1, kp_infer_grid_sample, 0, 0},
    {MS, "Pad", 1, kp_infer_pad, 1u << 1, 0},
    {MS, "Range", 1, kp_infer_range, 7, KP_INFER_FROM_DATA},
    {MS, "Trilu", 1, kp_infer_trilu, 0, 0},
    {MS, "ExpandDims", 1, expand_dims, 1u << 1, KP_INFER_FROM_DATA},
    {MS, "Unique", 1, unique, 0, KP_INFER_DYNAMIC},
    {MS, "Inverse", 1, inverse, 0, 0},
    {MS, "CropAndResize", 1, crop_and_resize, 1u << 3, 0},
    {MS, "SparseToDenseMatMul", 1, sparse_to_dense_matmul, 0, 0},
    {MS, "BiasSplitGelu", 1, bias_split_gelu, 0, 0},
    {MS, "CDist", 1, cdist, 0, 0},
    {MS, "ComplexMul", 1, kp_infer_broadcast2, 0, 0},
    {MS, "ComplexMulConj", 1, kp_infer_broadcast2, 0, 0},
    {MS, "MurmurHash3", 1, murmur_hash, 0, 0},
    {MS, "IsAllFinite", 1, is_all_finite, 0, 0},
    {MS, "NGramRepeatBlock", 1, ngram_repeat_block, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
