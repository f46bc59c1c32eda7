"""Models of scikit-learn, written as ONNX by hand, through kapell.h: their predictions beside the library's own."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from sklearn import datasets
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, OneClassSVM

import kapell_c

ML = "ai.onnx.ml"


def run(nodes, x, outputs, element=TensorProto.FLOAT):
    graph = helper.make_graph(nodes, "model", [helper.make_tensor_value_info("x", element, ["N"] + list(x.shape[1:]))],
                              [helper.make_empty_tensor_value_info(o) for o in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(ML, 3)], ir_version=9)
    return kapell_c.Session(model.SerializeToString()).run({"x": x})


def trees(estimators, prefix, weights_of):
    """Attributes of the fitted trees; weights_of(tree, node) gives [(target, weight)]."""
    nodes = {k: [] for k in ("treeids", "nodeids", "featureids", "modes", "values", "falsenodeids", "truenodeids")}
    weights = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for t, estimator in enumerate(estimators):
        tree = estimator.tree_
        for n in range(tree.node_count):
            leaf = tree.children_left[n] < 0
            # A sample is float32 and a threshold float64: what is at most the one is at most the other cut to float32, rounded down.
            threshold = np.float32(tree.threshold[n])
            if threshold > tree.threshold[n]:
                threshold = np.nextafter(threshold, np.float32(-np.inf))
            for key, value in (("treeids", t), ("nodeids", n), ("featureids", 0 if leaf else int(tree.feature[n])),
                               ("modes", "LEAF" if leaf else "BRANCH_LEQ"), ("values", 0.0 if leaf else float(threshold)),
                               ("falsenodeids", 0 if leaf else int(tree.children_right[n])), ("truenodeids", 0 if leaf else int(tree.children_left[n]))):
                nodes[key].append(value)
            for target, weight in weights_of(tree, n) if leaf else []:
                for key, value in (("treeids", t), ("nodeids", n), ("ids", target), ("weights", float(weight))):
                    weights[key].append(value)
    return {f"nodes_{k}": v for k, v in nodes.items()} | {f"{prefix}_{k}": v for k, v in weights.items()}


def data(kind, rows=400):
    x, y = datasets.make_classification(rows, 12, n_informative=8, n_classes=3, random_state=1) if kind == "three" else \
        datasets.make_classification(rows, 12, random_state=2) if kind == "two" else datasets.make_regression(rows, 12, random_state=3, noise=3)
    return x.astype(np.float32), y


@pytest.mark.parametrize("kind", ["two", "three"])
def test_random_forest_classifier(kind):
    x, y = data(kind)
    model = RandomForestClassifier(30, random_state=0).fit(x[:300], y[:300])
    count = len(model.classes_)
    def votes(tree, n):
        share = tree.value[n][0] / tree.value[n][0].sum() / len(model.estimators_)
        return list(enumerate(share)) if count > 2 else [(0, share[1])]
    attrs = trees(model.estimators_, "class", votes) | {"classlabels_int64s": [int(c) for c in model.classes_]}
    labels, scores = run([helper.make_node("TreeEnsembleClassifier", ["x"], ["l", "p"], domain=ML, **attrs)], x[300:], ["l", "p"])
    np.testing.assert_allclose(scores, model.predict_proba(x[300:]), atol=1e-6)
    clear = np.abs(np.diff(np.sort(scores, axis=1)[:, -2:])).ravel() > 1e-6  # ties are anybody's
    np.testing.assert_array_equal(labels[clear], model.predict(x[300:])[clear])


def test_random_forest_regressor():
    x, y = data("regression")
    model = RandomForestRegressor(40, random_state=0).fit(x[:300], y[:300])
    attrs = trees(model.estimators_, "target", lambda tree, n: [(0, tree.value[n][0][0])]) | {"n_targets": 1, "aggregate_function": "AVERAGE"}
    got = run([helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, **attrs)], x[300:], ["y"])[0]
    np.testing.assert_allclose(got.ravel(), model.predict(x[300:]), rtol=1e-5)


def test_gradient_boosting_regressor():
    x, y = data("regression")
    model = GradientBoostingRegressor(n_estimators=60, random_state=0).fit(x[:300], y[:300])
    attrs = trees(model.estimators_.ravel(), "target", lambda tree, n: [(0, tree.value[n][0][0] * model.learning_rate)])
    attrs |= {"n_targets": 1, "base_values": [float(y[:300].mean())]}
    got = run([helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, **attrs)], x[300:], ["y"])[0]
    np.testing.assert_allclose(got.ravel(), model.predict(x[300:]), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["two", "three"])
def test_gradient_boosting_classifier(kind):
    x, y = data(kind)
    model = GradientBoostingClassifier(n_estimators=30, random_state=0).fit(x[:300], y[:300])
    count = model.estimators_.shape[1]
    parts = [trees([e], "class", lambda tree, n, o=i % count: [(o, tree.value[n][0][0] * model.learning_rate)])
             for i, e in enumerate(model.estimators_.ravel())]
    attrs = {k: [] for k in parts[0]}
    for number, part in enumerate(parts):
        for key, values in part.items():
            attrs[key] += [number] * len(values) if key.endswith("treeids") else values
    share = np.bincount(y[:300]) / 300
    base = [float(np.log(share[1] / share[0]))] if count == 1 else [float(v) for v in np.log(share)]
    attrs |= {"classlabels_int64s": [int(c) for c in model.classes_], "base_values": base, "post_transform": "LOGISTIC" if count == 1 else "SOFTMAX"}
    labels, scores = run([helper.make_node("TreeEnsembleClassifier", ["x"], ["l", "p"], domain=ML, **attrs)], x[300:], ["l", "p"])
    np.testing.assert_allclose(scores, model.predict_proba(x[300:]), atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(x[300:]))


def test_isolation_forest_depths():
    x, _ = data("two")
    model = IsolationForest(n_estimators=20, random_state=0).fit(x[:300])
    depths = {}
    for estimator in model.estimators_:
        tree, steps = estimator.tree_, np.zeros(estimator.tree_.node_count)
        for n in range(tree.node_count):
            for child in (tree.children_left[n], tree.children_right[n]):
                if child >= 0:
                    steps[child] = steps[n] + 1
        depths[tree.node_count, tree.threshold.sum()] = steps
    attrs = trees(model.estimators_, "target", lambda tree, n: [(0, depths[tree.node_count, tree.threshold.sum()][n])]) | {"n_targets": 1}
    got = run([helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, **attrs)], x[300:], ["y"])[0]
    wanted = sum(depths[e.tree_.node_count, e.tree_.threshold.sum()][e.apply(x[300:])] for e in model.estimators_)
    np.testing.assert_array_equal(got.ravel(), wanted)


def test_logistic_regression_with_scaler_and_maps():
    x, y = data("three")
    scaler = StandardScaler().fit(x[:300])
    model = LogisticRegression(max_iter=500).fit(scaler.transform(x[:300]), y[:300])
    names = [f"class {c}" for c in model.classes_]
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain=ML, offset=[float(v) for v in scaler.mean_], scale=[float(v) for v in 1 / scaler.scale_]),
        helper.make_node("LinearClassifier", ["s"], ["l", "raw"], domain=ML, coefficients=[float(v) for v in model.coef_.ravel()],
                         intercepts=[float(v) for v in model.intercept_], classlabels_strings=names, post_transform="SOFTMAX"),
        helper.make_node("Normalizer", ["raw"], ["p"], domain=ML, norm="L1"),
        helper.make_node("ZipMap", ["p"], ["z"], domain=ML, classlabels_strings=names),
    ]
    labels, maps = run(nodes, x[300:], ["l", "z"])
    wanted = model.predict_proba(scaler.transform(x[300:]))
    assert labels.tolist() == [names[c] for c in model.predict(scaler.transform(x[300:]))]
    np.testing.assert_allclose([[m[n] for n in names] for m in maps], wanted, atol=1e-5)


def test_linear_regression_of_doubles():
    x, y = data("regression")
    wide = x.astype(np.float64)
    model = LinearRegression().fit(wide[:300], y[:300])
    node = helper.make_node("LinearRegressor", ["x"], ["y"], domain=ML, coefficients=[float(v) for v in model.coef_], intercepts=[float(model.intercept_)])
    np.testing.assert_allclose(run([node], wide[300:], ["y"], TensorProto.DOUBLE)[0].ravel(), model.predict(wide[300:]), rtol=1e-5, atol=1e-3)


def kernel(model, x):
    gamma = 1 / (x.shape[1] * x.var()) if model.gamma == "scale" else model.gamma
    return {"kernel_type": model.kernel.upper(), "kernel_params": [float(gamma), float(model.coef0), float(model.degree)]}


@pytest.mark.parametrize("kind", ["linear", "rbf", "poly", "sigmoid"])
def test_support_vector_classifier(kind):
    x, y = data("three")
    model = SVC(kernel=kind, coef0=0.1).fit(x[:300], y[:300])
    attrs = {"classlabels_ints": [int(c) for c in model.classes_], "coefficients": [float(v) for v in model.dual_coef_.ravel()],
             "support_vectors": [float(v) for v in model.support_vectors_.ravel()], "vectors_per_class": [int(n) for n in model.n_support_],
             "rho": [float(v) for v in model.intercept_], **kernel(model, x[:300])}
    node = helper.make_node("SVMClassifier", ["x"], ["l", "s"], domain=ML, **attrs)
    labels, scores = run([node], x[300:], ["l", "s"])
    model.decision_function_shape = "ovo"
    np.testing.assert_allclose(scores, model.decision_function(x[300:]), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(labels, model.predict(x[300:]))


def test_support_vector_regressor_and_one_class():
    x, y = data("regression")
    for model, one in ((SVR(C=50).fit(x[:300], y[:300]), 0), (OneClassSVM(nu=0.3).fit(x[:300]), 1)):
        attrs = {"coefficients": [float(v) for v in model.dual_coef_.ravel()], "support_vectors": [float(v) for v in model.support_vectors_.ravel()],
                 "n_supports": len(model.support_vectors_), "rho": [float(model.intercept_[0])], "one_class": one, **kernel(model, x[:300])}
        got = run([helper.make_node("SVMRegressor", ["x"], ["y"], domain=ML, **attrs)], x[300:], ["y"])[0].ravel()
        np.testing.assert_allclose(got, model.predict(x[300:]), rtol=1e-4, atol=1e-3)


def test_count_vectorizer():
    texts = ["the cat sat on the mat", "the dog", "a cat and a dog sat", "on the mat the cat"]
    model = CountVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b").fit(texts)
    grams = sorted(model.vocabulary_, key=lambda g: (len(g.split()), g))
    pool = [w for g in grams for w in g.split()]
    nodes = [
        helper.make_node("StringSplit", ["x"], ["words", "counts"]),
        helper.make_node("TfIdfVectorizer", ["words"], ["y"], mode="TF", min_gram_length=1, max_gram_length=2, max_skip_count=0,
                         ngram_counts=[0, sum(" " not in g for g in grams)], ngram_indexes=[int(model.vocabulary_[g]) for g in grams], pool_strings=pool),
    ]
    got = run(nodes, np.array(texts, dtype=object), ["y"], TensorProto.STRING)[0]
    np.testing.assert_array_equal(got, model.transform(texts).toarray())

