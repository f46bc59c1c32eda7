"""Estimators and pipelines of scikit-learn, converted by skl2onnx: Kapell's answers beside the estimator's own."""

import warnings

import kapell_c
import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn import compose, datasets, ensemble, feature_extraction, linear_model, naive_bayes, neighbors, neural_network, pipeline
from sklearn import preprocessing, svm, tree

CLASSIFIERS = {
    "forest": ensemble.RandomForestClassifier(20, max_depth=8, random_state=0),
    "extra trees": ensemble.ExtraTreesClassifier(10, random_state=0),
    "boosted trees": ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0),
    "tree": tree.DecisionTreeClassifier(max_depth=6, random_state=0),
    "logistic": linear_model.LogisticRegression(max_iter=500),
    "ridge": linear_model.RidgeClassifier(),
    "svc rbf": svm.SVC(probability=True, random_state=0),
    "svc linear": svm.SVC(kernel="linear", probability=True, random_state=0),
    "svc poly": svm.SVC(kernel="poly", degree=2, probability=True, random_state=0),
    "linear svc": svm.LinearSVC(random_state=0),
    "neighbours": neighbors.KNeighborsClassifier(5),
    "bayes": naive_bayes.GaussianNB(),
    "perceptron": neural_network.MLPClassifier(hidden_layer_sizes=(16,), max_iter=300, random_state=0),
    "scaled": pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
    "polynomial": pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), preprocessing.MaxAbsScaler(), linear_model.LogisticRegression(max_iter=500)),
    "normalized": pipeline.make_pipeline(preprocessing.Normalizer(), linear_model.LogisticRegression()),
    "binarized": pipeline.make_pipeline(preprocessing.Binarizer(threshold=2.5), linear_model.LogisticRegression()),
    "bins": pipeline.make_pipeline(preprocessing.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), linear_model.LogisticRegression()),
    "voting": ensemble.VotingClassifier([("a", tree.DecisionTreeClassifier(max_depth=3)), ("b", linear_model.LogisticRegression(max_iter=500))], voting="soft", flatten_transform=False),
    "ada": ensemble.AdaBoostClassifier(n_estimators=5, random_state=0),
}
REGRESSORS = {
    "forest": ensemble.RandomForestRegressor(20, max_depth=8, random_state=0),
    "boosted trees": ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0),
    "linear": linear_model.LinearRegression(),
    "lasso": linear_model.Lasso(),
    "svr": svm.SVR(C=100),
    "neighbours": neighbors.KNeighborsRegressor(3),
    "perceptron": neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=300, random_state=0),
}


def run(estimator, x, **more):
    model = to_onnx(estimator, x, target_opset={"": 18, "ai.onnx.ml": 3}, **more)
    return kapell_c.Session(model.SerializeToString()).run({model.graph.input[0].name: x})


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name):
    x, y = datasets.load_iris(return_X_y=True)
    x = x.astype(np.float32)
    estimator = CLASSIFIERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(x, y)
        more = {"options": {"zipmap": False}} if hasattr(estimator, "predict_proba") else {}
        labels, scores = run(estimator, x, **more)[:2]
    np.testing.assert_array_equal(labels, estimator.predict(x))
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(scores, estimator.predict_proba(x), atol=1e-4)
    elif name != "ridge":
        np.testing.assert_allclose(scores, estimator.decision_function(x), atol=1e-4)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(name):
    x, y = datasets.load_diabetes(return_X_y=True)
    x = x.astype(np.float32)
    estimator = REGRESSORS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(x, y)
    got = run(estimator, x)[0]
    np.testing.assert_allclose(got.ravel(), estimator.predict(x), rtol=1e-4, atol=2e-3)


def test_classifier_with_text_labels_and_maps():
    x, y = datasets.load_iris(return_X_y=True)
    x, y = x.astype(np.float32), np.array(["setosa", "versicolor", "virginica"])[y]
    estimator = ensemble.RandomForestClassifier(5, random_state=0).fit(x, y)
    labels, maps = run(estimator, x)
    assert labels.tolist() == estimator.predict(x).tolist()
    for row, probabilities in zip(maps, estimator.predict_proba(x)):
        assert list(row) == list(estimator.classes_)
        np.testing.assert_allclose(list(row.values()), probabilities, atol=1e-5)


def test_columns_of_numbers_and_words():
    r = np.random.default_rng(0)
    numbers, words = r.normal(size=(60, 2)).astype(np.float32), r.choice(["red", "green", "blue"], (60, 1)).astype(object)
    y = (numbers[:, 0] + (words[:, 0] == "red") > 0.3).astype(int)
    table = np.concatenate([numbers.astype(object), words], 1)
    columns = compose.ColumnTransformer([("n", preprocessing.StandardScaler(), [0, 1]), ("w", preprocessing.OneHotEncoder(handle_unknown="ignore"), [2])])
    estimator = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(table, y)
    model = to_onnx(estimator, initial_types=[("numbers", FloatTensorType([None, 2])), ("words", StringTensorType([None, 1]))],
                    target_opset={"": 18, "ai.onnx.ml": 3}, options={"zipmap": False})
    labels, scores = kapell_c.Session(model.SerializeToString()).run({"numbers": numbers, "words": words})
    np.testing.assert_array_equal(labels, estimator.predict(table))
    np.testing.assert_allclose(scores, estimator.predict_proba(table), atol=1e-5)


def test_text_by_its_words():
    texts = ["the cat sat on the mat", "dogs and cats", "stocks fell today", "the market rose", "a cat and a dog", "prices of stocks rose"]
    y = [0, 0, 1, 1, 0, 1]
    estimator = pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression()).fit(texts, y)
    model = to_onnx(estimator, initial_types=[("text", StringTensorType([None]))], target_opset={"": 18, "ai.onnx.ml": 3}, options={"zipmap": False})
    labels, scores = kapell_c.Session(model.SerializeToString()).run({"text": np.array(texts, dtype=object)})
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_allclose(scores, estimator.predict_proba(texts), atol=1e-5)
