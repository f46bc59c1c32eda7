// Inference of ai.onnx.ml. Scores have one row a sample; a vector is one sample.
#include "graph/infer_rule.h"

static size_t list_length(const kp_infer* infer, const char* name) {
  const kp_attr* attr = kp_node_attr(infer->node, name);
  return attr ? attr->count : 0;
}

static kp_expr samples(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  return rank == 1 ? 1 : rank >= 2 ? kp_in_dim(infer, 0, 0) : kp_dim_fresh(infer);
}

static kp_status* out_rows(kp_infer* infer, uint32_t o, kapell_type element, kp_expr rows,
                           kp_expr columns) {
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, o, element, 2, &dims));
  dims[0] = rows;
  dims[1] = columns;
  return NULL;
}

static kp_status* same_as_float(kp_infer* infer) {
  kp_out_shape_of(infer, 0, KAPELL_FLOAT, 0);
  return NULL;
}

// --- classifiers, regressors --------------------------------------------------------------------------------------------
static kp_status* out_classes(kp_infer* infer, size_t columns) {
  const bool strings = list_length(infer, "classlabels_strings") > 0;
  KP_PASS(kp_in_check_rank(infer, 0, 1, 2));
  const kp_expr rows = samples(infer);
  KP_PASS(kp_out_vector(infer, 0, strings ? KAPELL_STRING : KAPELL_INT64, rows));
  return out_rows(infer, 1, KAPELL_FLOAT, rows, (int64_t)columns);
}

static size_t label_count(const kp_infer* infer, const char* int_labels) {
  const size_t strings = list_length(infer, "classlabels_strings");
  return strings ? strings : list_length(infer, int_labels);
}

static kp_status* linear_classifier(kp_infer* infer) {
  const size_t labels = label_count(infer, "classlabels_ints"),
               intercepts = list_length(infer, "intercepts");
  // One function for two classes: the score of the second is the complement.
  return out_classes(infer,
                     intercepts == 0 || (intercepts == 1 && labels == 2) ? labels : intercepts);
}

static kp_status* svm_classifier(kp_infer* infer) {
  size_t labels = label_count(infer, "classlabels_ints"), count;
  if (labels == 0) labels = 1;
  const int64_t* vectors = kp_node_attr_ints(infer->node, "vectors_per_class", &count);
  bool has_vectors = false;
  for (size_t k = 0; k < count; ++k) has_vectors = has_vectors || vectors[k] > 0;
  // Without probabilities the scores are those of the pairs of classes.
  const bool pairs = has_vectors && list_length(infer, "prob_a") == 0;
  if (labels > 1u << 20) return kp_node_error(infer, "%zu classes", labels);
  return out_classes(infer, !pairs ? labels : labels > 2 ? labels * (labels - 1) / 2 : 2);
}

static kp_status* tree_classifier(kp_infer* infer) {
  return out_classes(infer, label_count(infer, "classlabels_int64s"));
}

static kp_status* regressor(kp_infer* infer, kapell_type element, int64_t targets) {
  KP_PASS(kp_in_check_rank(infer, 0, 1, 2));
  if (targets < 0) return kp_node_error(infer, "%lld targets", (long long)targets);
  return out_rows(infer, 0, element, samples(infer), targets);
}
static kp_status* linear_regressor(kp_infer* infer) {
  return regressor(infer, KAPELL_FLOAT, kp_node_attr_i(infer->node, "targets", 1));
}
static kp_status* svm_regressor(kp_infer* infer) { return regressor(infer, KAPELL_FLOAT, 1); }
static kp_status* tree_regressor(kp_infer* infer) {
  return regressor(infer, KAPELL_FLOAT, kp_node_attr_i(infer->node, "n_targets", 1));
}
static kp_status* tree_ensemble(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 2, 2));
  return regressor(infer, kp_in_element(infer, 0), kp_node_attr_i(infer->node, "n_targets", 1));
}

// --- encoders, maps -----------------------------------------------------------------------------------------------------
static kp_status* label_encoder(kp_infer* infer) {
  static const struct {
    const char* name;
    kapell_type element;
  } lists[] = {{"values_strings", KAPELL_STRING},
               {"values_int64s", KAPELL_INT64},
               {"values_floats", KAPELL_FLOAT}};
  kapell_type element = KAPELL_UNDEFINED;
  const kp_attr* tensor = kp_node_attr(infer->node, "values_tensor");
  if (tensor && tensor->type == KP_ONNX_ATTR_TENSOR && tensor->tensor)
    element = tensor->tensor->type;
  for (size_t k = 0; k < KP_COUNT_OF(lists) && element == KAPELL_UNDEFINED; ++k) {
    if (list_length(infer, lists[k].name)) element = lists[k].element;
  }
  if (infer->node->version < 2)
    element = kp_in_element(infer, 0) == KAPELL_STRING ? KAPELL_INT64 : KAPELL_STRING;
  kp_out_shape_of(infer, 0, element, 0);
  return NULL;
}

static kp_status* category_mapper(kp_infer* infer) {
  const kapell_type from = kp_in_element(infer, 0);
  kp_out_shape_of(infer, 0,
                  from == KAPELL_STRING  ? KAPELL_INT64
                  : from == KAPELL_INT64 ? KAPELL_STRING
                                         : KAPELL_UNDEFINED,
                  0);
  return NULL;
}

static kp_status* one_hot_encoder(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  const size_t ints = list_length(infer, "cats_int64s"),
               strings = list_length(infer, "cats_strings");
  if (rank < 0) {
    kp_out_any_rank(infer, 0, KAPELL_FLOAT);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_FLOAT, rank + 1, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  dims[rank] = (int64_t)(ints ? ints : strings);
  return NULL;
}

static kp_status* feature_vectorizer(kp_infer* infer) {
  size_t count;
  const int64_t* widths = kp_node_attr_ints(infer->node, "inputdimensions", &count);
  kp_expr width = 0;
  for (uint32_t i = 0; i < infer->node->input_count; ++i) {
    KP_PASS(kp_in_check_rank(infer, i, 1, 2));
    if (i < count && widths[i] < 0)
      return kp_node_error(infer, "attribute 'inputdimensions' has %lld", (long long)widths[i]);
    if (i < count)
      width = kp_dim_add(infer, width, widths[i]);
    else
      width = kp_dim_add(infer, width,
                         kp_in_rank(infer, i) > 0 ? kp_in_dim(infer, i, -1) : kp_dim_fresh(infer));
  }
  return out_rows(infer, 0, KAPELL_FLOAT, samples(infer), width);
}

static kp_status* dict_vectorizer(kp_infer* infer) {
  const kp_type* map =
      kp_in_given(infer, 0) && infer->inputs[0]->kind == KAPELL_KIND_MAP ? infer->inputs[0] : NULL;
  const size_t strings = list_length(infer, "string_vocabulary"),
               ints = list_length(infer, "int64_vocabulary");
  return out_rows(infer, 0, map && map->inner ? map->inner->element : KAPELL_UNDEFINED, 1,
                  (int64_t)(strings ? strings : ints));
}

static kp_status* cast_map(kp_infer* infer) {
  const kp_str to = kp_node_attr_s(infer->node, "cast_to", "TO_FLOAT");
  const kapell_type element = kp_str_is(to, "TO_STRING")  ? KAPELL_STRING
                              : kp_str_is(to, "TO_INT64") ? KAPELL_INT64
                                                          : KAPELL_FLOAT;
  const bool sparse = kp_str_is(kp_node_attr_s(infer->node, "map_form", "DENSE"), "SPARSE");
  return out_rows(infer, 0, element, 1,
                  sparse ? kp_node_attr_i(infer->node, "max_map", 1) : kp_dim_fresh(infer));
}

static kp_status* zip_map(kp_infer* infer) {
  KP_PASS(kp_in_check_rank(infer, 0, 1, 2));
  const kp_type value = {.kind = KAPELL_KIND_TENSOR, .element = KAPELL_FLOAT, .rank = 0};
  const kp_type map = {
      .kind = KAPELL_KIND_MAP,
      .rank = -1,
      .inner = &value,
      .element = list_length(infer, "classlabels_strings") ? KAPELL_STRING : KAPELL_INT64};
  kp_type* copy = kp_arena_memdup(infer->arena, &map, sizeof map);
  kp_type* inner = kp_arena_memdup(infer->arena, &value, sizeof value);
  if (!copy || !inner) return KP_ERROR(OUT_OF_MEMORY, "type of an output");
  copy->inner = inner;
  return kp_out_container(infer, 0, KAPELL_KIND_SEQUENCE, KAPELL_UNDEFINED, copy);
}

#define ML "ai.onnx.ml"
// clang-format off
const kp_infer_rule kp_infer_rules_ml[] = {
    {ML, "Binarizer", 1, kp_infer_same, 0, 0},
    {ML, "Imputer", 1, kp_infer_same, 0, 0},
    {ML, "Normalizer", 1, same_as_float, 0, 0},
    {ML, "Scaler", 1, same_as_float, 0, 0},
    {ML, "CastMap", 1, cast_map, 0, KP_INFER_DYNAMIC},
    {ML, "CategoryMapper", 1, category_mapper, 0, 0},
    {ML, "DictVectorizer", 1, dict_vectorizer, 0, 0},
    {ML, "FeatureVectorizer", 1, feature_vectorizer, 0, 0},
    {ML, "LabelEncoder", 1, label_encoder, 0, 0},
    {ML, "LinearClassifier", 1, linear_classifier, 0, 0},
    {ML, "LinearRegressor", 1, linear_regressor, 0, 0},
    {ML, "OneHotEncoder", 1, one_hot_encoder, 0, 0},
    {ML, "SVMClassifier", 1, svm_classifier, 0, 0},
    {ML, "SVMRegressor", 1, svm_regressor, 0, 0},
    {ML, "TreeEnsemble", 5, tree_ensemble, 0, 0},
    {ML, "TreeEnsembleClassifier", 1, tree_classifier, 0, 0},
    {ML, "TreeEnsembleRegressor", 1, tree_regressor, 0, 0},
    {ML, "ZipMap", 1, zip_map, 0, 0},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
