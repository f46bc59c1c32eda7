// Inference of operators on strings.
#include "graph/infer_rule.h"

static kp_status* regex_full_match(kp_infer* infer) {
  kp_out_shape_of(infer, 0, KAPELL_BOOL, 0);
  return NULL;
}

// One axis more than X, as long as the longest row of parts; and the number of parts of each.
static kp_status* string_split(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  kp_out_shape_of(infer, 1, KAPELL_INT64, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, KAPELL_STRING);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_STRING, rank + 1, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  dims[rank] = kp_dim_fresh(infer);
  return NULL;
}

// One axis more than X, as long as the longest row of tokens; [0] or [N, 0] where X is empty, as ONNX Runtime has it.
static kp_status* tokenizer(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, 2));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, KAPELL_STRING);
    return NULL;
  }
  const bool empty = kp_in_dim(infer, 0, 0) == 0 || kp_in_dim(infer, 0, -1) == 0;
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_STRING, empty ? rank : rank + 1, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  if (empty)
    dims[rank - 1] = 0;
  else
    dims[rank] = kp_dim_fresh(infer);
  return NULL;
}

// [C] or [1, C]: stop words go; where all go, one empty string stays.
static kp_status* string_normalizer(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 0, 1, 2));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, KAPELL_STRING);
    return NULL;
  }
  if (rank == 2) KP_PASS(kp_in_check_dim(infer, 0, 0, 1, "one row"));
  const kp_attr* stop = kp_node_attr(infer->node, "stopwords");
  const kp_expr words = kp_in_dim(infer, 0, -1);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_STRING, rank, &dims));
  dims[0] = 1;
  dims[rank - 1] = (stop && stop->count) || kp_is_symbol(words) ? kp_dim_fresh(infer)
                   : words > 0                                  ? words
                                                                : 1;
  return NULL;
}

static kp_status* tf_idf_vectorizer(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  size_t count;
  const int64_t* indexes = kp_node_attr_ints(infer->node, "ngram_indexes", &count);
  int64_t width = 0;
  KP_PASS(kp_in_check_rank(infer, 0, 1, 2));
  for (size_t k = 0; k < count; ++k) {
    if (indexes[k] < 0 || indexes[k] == INT64_MAX)
      return kp_node_error(infer, "attribute 'ngram_indexes' has %lld", (long long)indexes[k]);
    width = kp_max_i64(width, indexes[k] + 1);
  }
  if (count == 0) return kp_node_error(infer, "attribute 'ngram_indexes' is empty");
  if (rank < 0) {
    kp_out_any_rank(infer, 0, KAPELL_FLOAT);
    return NULL;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, KAPELL_FLOAT, rank, &dims));
  dims[0] = kp_in_dim(infer, 0, 0);
  dims[rank - 1] = width;
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_text[] = {
    {"", "StringConcat", 20, kp_infer_broadcast2, 0, 0},
    {"", "RegexFullMatch", 20, regex_full_match, 0, 0},
    {"", "StringSplit", 20, string_split, 0, KP_INFER_DYNAMIC},
    {"", "StringNormalizer", 10, string_normalizer, 0, KP_INFER_DYNAMIC},
    {"", "TfIdfVectorizer", 9, tf_idf_vectorizer, 0, 0},
    {"com.microsoft", "Tokenizer", 1, tokenizer, 0, KP_INFER_DYNAMIC},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
