// Operators of ai.onnx.ml and on strings by hand: what generated comparisons (test/py/test_ops.py) do not reach. Models that are wrong must be
// refused with words that say where.
#include "provider/cpu/op/op_test.h"

// One tree: 0 asks feature 0, 1 and 2 are leaves.
#define NODES(no, yes)                                                       \
  " nodes_treeids=[0,0,0] nodes_nodeids=[0,1,2] nodes_featureids=[0,0,0] "   \
  "nodes_values=[0.5,0.0,0.0]"                                               \
  " nodes_modes=[\"BRANCH_LEQ\",\"LEAF\",\"LEAF\"] nodes_falsenodeids=[" #no \
  ",0,0] nodes_truenodeids=[" #yes ",0,0]"
#define WEIGHTS(ids) \
  " target_treeids=[0,0] target_nodeids=[1,2] target_ids=" ids " target_weights=[10.0,20.0]"
#define TREE(attributes) \
  "in x float[2,1] y = ai.onnx.ml.TreeEnsembleRegressor(x)" attributes " out y float[2,1]"

static void test_trees(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {TREE(NODES(1, 2) WEIGHTS("[0,0]")), {"float[2,1] 0.5 nan"}, {"float[2,1] 20 10"}, NULL},
      {TREE(NODES(1, 0) WEIGHTS("[0,0]")),
       {"float[2,1] 0 1"},
       {NULL},
       "node 0 of the trees is reached twice"},
      {TREE(NODES(1, 7) WEIGHTS("[0,0]")),
       {"float[2,1] 0 1"},
       {NULL},
       "node 0 of tree 0 has the child 7, which is not there"},
      {TREE(NODES(1, 2) WEIGHTS("[0,1]")),
       {"float[2,1] 0 1"},
       {NULL},
       "a leaf gives to target 1 of 1"},
      {TREE(NODES(1,
                  2) " target_treeids=[0] target_nodeids=[9] target_ids=[0] target_weights=[1.0]"),
       {"float[2,1] 0 1"},
       {NULL},
       "node 9 of tree 0, which is not there"},
      {TREE(NODES(
           1, 2) " target_treeids=[0] target_nodeids=[1] target_ids=[0,0] target_weights=[1.0]"),
       {"float[2,1] 0 1"},
       {NULL},
       "'target_treeids' has 1 entries, not 2"},
      {"in x float[2,0] y = ai.onnx.ml.TreeEnsembleRegressor(x)" NODES(1, 2)
           WEIGHTS("[0,0]") " out y float[2,1]",
       {"float[2,0]"},
       {NULL},
       "asks for feature 0 of samples with 0"},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_models(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x float[1,3] y = ai.onnx.ml.LinearRegressor(x) coefficients=[1.0,2.0] out y float[1,1]",
       {"float[1,3] 1 2 3"},
       {NULL},
       "2 coefficients for 1 scores of rows of 3 features"},
      {"in x float[1,2] y = ai.onnx.ml.LinearRegressor(x) coefficients=[1.0,2.0] "
       "intercepts=[1.0,2.0] out y float[1,1]",
       {"float[1,2] 1 2"},
       {NULL},
       "2 intercepts for 1 scores"},
      {"in x float[1,2] l, z = ai.onnx.ml.SVMClassifier(x) coefficients=[1.0] rho=[0.5] "
       "support_vectors=[1.0,2.0] "
       "vectors_per_class=[1,1] classlabels_ints=[0,1] out l int64[1]",
       {"float[1,2] 1 2"},
       {NULL},
       "1 coefficients for 2 classes and 2 support vectors"},
      {"in x float[1,2] l, z = ai.onnx.ml.SVMClassifier(x) coefficients=[1.0,2.0] rho=[0.5] "
       "support_vectors=[1.0,2.0,3.0] "
       "vectors_per_class=[1,1] classlabels_ints=[0,1] out l int64[1]",
       {"float[1,2] 1 2"},
       {NULL},
       "3 numbers for 2 vectors"},
      {"in x float[1,2] y = ai.onnx.ml.Scaler(x) scale=[1.0,2.0,3.0] out y float[1,2]",
       {"float[1,2] 1 2"},
       {NULL},
       "'scale' has 3 entries for rows of 2"},
      {"in x string[2] y = ai.onnx.ml.OneHotEncoder(x) cats_strings=[\"a\",\"b\"] zeros=0 out y "
       "float[2,2]",
       {"string[2] \"a\" \"c\""},
       {NULL},
       "element 1 is none of the categories"},
      {"in x float[2,2] y = ai.onnx.ml.OneHotEncoder(x) cats_int64s=[1,2] out y float[2,2,2]",
       {"float[2,2] 1.9 nan inf -2"},
       {"float[2,2,2] 1 0 0 0 0 0 0 0"},
       NULL},
      {"in x float[2,3] in i int64[2] y = ai.onnx.ml.ArrayFeatureExtractor(x, i) out y float[2,2]",
       {"float[2,3] 1 2 3 4 5 6", "int64[2] 2 -3"},
       {"float[2,2] 3 1 6 4"},
       NULL},
      {"in x float[2,3] in i int64[1] y = ai.onnx.ml.ArrayFeatureExtractor(x, i) out y float[2,1]",
       {"float[2,3] 1 2 3 4 5 6", "int64[1] 3"},
       {NULL},
       "index 3 in rows of 3"},
      {"in x float[2,3] in i int64[1] y = ai.onnx.ml.ArrayFeatureExtractor(x, i) out y float[2,1]",
       {"float[2,3] 1 2 3 4 5 6", "int64[1] -4"},
       {NULL},
       "index -4"},
  };
  KP_OP_TEST_ALL(cases);
}

#define TFIDF " mode=\"TF\" min_gram_length=1 max_gram_length=2 max_skip_count=1000000000000 "
static void test_strings(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {"in x string[2] y = StringNormalizer(x) stopwords=[\"A\",\"B\"] out y string[1]",
       {"string[2] \"a\" \"b\""},
       {"string[1] \"\""},
       NULL},
      {"in x string[1] y = StringNormalizer(x) case_change_action=\"TITLE\" out y string[1]",
       {"string[1] \"a\""},
       {NULL},
       "TITLE"},
      {"in x int64[4] y = TfIdfVectorizer(x)" TFIDF
       "ngram_counts=[0,2] ngram_indexes=[0,1,2] pool_int64s=[1,2,1,2] out y float[3]",
       {"int64[4] 1 3 2 1"},
       {"float[3] 2 1 1"},
       NULL},
      {"in x int64[4] y = TfIdfVectorizer(x)" TFIDF
       "ngram_counts=[0,9] ngram_indexes=[0,1,2] pool_int64s=[1,2,1,2] out y float[3]",
       {"int64[4] 1 3 2 1"},
       {NULL},
       "'ngram_counts' has 9 where the pool has 4"},
      {"in x int64[4] y = TfIdfVectorizer(x)" TFIDF
       "ngram_counts=[0,2] ngram_indexes=[0,1] pool_int64s=[1,2,1,2] out y float[2]",
       {"int64[4] 1 3 2 1"},
       {NULL},
       "'ngram_indexes' has 2 entries, fewer than the pool"},
  };
  KP_OP_TEST_ALL(cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_trees),
      cmocka_unit_test(test_models),
      cmocka_unit_test(test_strings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
