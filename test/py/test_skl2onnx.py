"""Models of scikit-learn as skl2onnx writes them, through kapell.h: their predictions beside the library's own."""

import warnings

import numpy as np
import pytest
from sklearn import cluster, datasets, decomposition, ensemble, impute, linear_model, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm, tree
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.multiclass import OneVsRestClassifier

import kapell_c

skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

CLASSIFIERS = {
    "tree": tree.DecisionTreeClassifier(max_depth=5, random_state=0),
    "forest": ensemble.RandomForestClassifier(20, random_state=0),
    "extra": ensemble.ExtraTreesClassifier(20, random_state=0),
    "boosting": ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0),
    "ada": ensemble.AdaBoostClassifier(n_estimators=10, random_state=0),
    "bagging": ensemble.BaggingClassifier(n_estimators=5, random_state=0),
    "logistic": linear_model.LogisticRegression(max_iter=1000),
    "sgd": linear_model.SGDClassifier(loss="log_loss", random_state=0),
    "ovr": OneVsRestClassifier(linear_model.LogisticRegression(max_iter=1000)),
    "scaled": pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
    "pca": pipeline.make_pipeline(decomposition.PCA(4), preprocessing.Normalizer(), linear_model.LogisticRegression()),
    "bayes": naive_bayes.GaussianNB(),
    "bernoulli": naive_bayes.BernoulliNB(),
    "neighbors": neighbors.KNeighborsClassifier(5),
    "network": neural_network.MLPClassifier([16], max_iter=300, random_state=0),
    "svc": svm.SVC(),
    "linear svc": svm.LinearSVC(),
    "stacking": ensemble.StackingClassifier([("a", tree.DecisionTreeClassifier(max_depth=3)), ("b", linear_model.LogisticRegression(max_iter=1000))]),
    "voting": ensemble.VotingClassifier([("a", tree.DecisionTreeClassifier(max_depth=3)), ("b", naive_bayes.GaussianNB())], voting="soft", flatten_transform=False),
}
REGRESSORS = {
    "tree": tree.DecisionTreeRegressor(max_depth=6, random_state=0),
    "forest": ensemble.RandomForestRegressor(20, random_state=0),
    "boosting": ensemble.GradientBoostingRegressor(n_estimators=20, random_state=0),
    "linear": linear_model.LinearRegression(),
    "lasso": pipeline.make_pipeline(preprocessing.MinMaxScaler(), linear_model.Lasso()),
    "polynomial": pipeline.make_pipeline(preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(2), linear_model.Ridge()),
    "svr": svm.SVR(C=10),
    "neighbors": neighbors.KNeighborsRegressor(3),
    "imputed": pipeline.make_pipeline(impute.SimpleImputer(), ensemble.RandomForestRegressor(5, random_state=0)),
}


def convert(model, x, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kapell_c.Session(skl2onnx.to_onnx(model, x[:1], target_opset={"": 20, "ai.onnx.ml": 3}, **options).SerializeToString())


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name, classes):
    x, y = datasets.make_classification(300, 8, n_informative=6, n_redundant=0, n_classes=classes, random_state=1)
    x, model = x.astype(np.float32), CLASSIFIERS[name]
    model.fit(x[:200], y[:200])
    raw = not hasattr(model, "predict_proba")
    session = convert(model, x, options={id(model): {"raw_scores": True} if raw else {"zipmap": False}})
    labels, scores = session.run({"X": x[200:]})[:2]
    wanted = model.decision_function(x[200:]) if raw else model.predict_proba(x[200:])
    if not raw:
        np.testing.assert_allclose(scores, wanted, atol=2e-5)
    margin = np.abs(wanted) if wanted.ndim == 1 else np.abs(np.diff(np.sort(wanted, axis=1)[:, -2:])).ravel()
    clear = margin > 1e-5  # ties are anybody's
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(labels[clear], model.predict(x[200:])[clear])


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(name):
    x, y = datasets.make_regression(300, 8, random_state=3, noise=2)
    x, model = x.astype(np.float32), REGRESSORS[name]
    model.fit(x[:200], y[:200])
    got = convert(model, x).run({"X": x[200:]})[0].ravel()
    np.testing.assert_allclose(got, model.predict(x[200:]), rtol=1e-3, atol=0.05)


def test_maps_of_probabilities():
    x, y = datasets.load_iris(return_X_y=True)
    x, names = x.astype(np.float32), np.array(["setosa", "versicolor", "virginica"])[y]
    model = linear_model.LogisticRegression(max_iter=1000).fit(x, names)
    labels, maps = convert(model, x).run({"X": x})
    assert labels.tolist() == model.predict(x).tolist()
    np.testing.assert_allclose([[m[c] for c in model.classes_] for m in maps], model.predict_proba(x), atol=1e-5)




@pytest.mark.parametrize("make", [CountVectorizer, TfidfVectorizer])
def test_text(make):
    texts = np.array(["the cat sat on the mat", "the dog barks", "one cat and one dog", "mat of the dog", "birds"]).reshape(-1, 1)
    model = make(ngram_range=(1, 2)).fit(texts.ravel())
    session = convert(model, texts.ravel(), initial_types=[("X", skl2onnx.common.data_types.StringTensorType([None]))])
    np.testing.assert_allclose(session.run({"X": texts.ravel().astype(object)})[0], model.transform(texts.ravel()).toarray(), atol=1e-5)


def test_categories():
    x = np.array([["red", "small"], ["green", "large"], ["red", "large"], ["blue", "small"]], dtype=object)
    model = pipeline.make_pipeline(preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    model.fit(x)
    session = convert(model, x, initial_types=[("X", skl2onnx.common.data_types.StringTensorType([None, 2]))])
    np.testing.assert_array_equal(session.run({"X": x})[0], model.transform(x))
    ordinal = preprocessing.OrdinalEncoder().fit(x)
    session = convert(ordinal, x, initial_types=[("X", skl2onnx.common.data_types.StringTensorType([None, 2]))])
    np.testing.assert_array_equal(session.run({"X": x})[0], ordinal.transform(x))


@pytest.mark.parametrize("model", [cluster.KMeans(3, random_state=0), preprocessing.KBinsDiscretizer(4, encode="ordinal"), preprocessing.Binarizer(threshold=0.2),
                                   preprocessing.RobustScaler(), preprocessing.MaxAbsScaler(), preprocessing.Normalizer("max"),
                                   ColumnTransformer([("s", preprocessing.StandardScaler(), [0, 2]), ("m", preprocessing.MinMaxScaler(), [1])])],
                         ids=lambda m: type(m).__name__)
def test_transformer(model):
    x = np.random.default_rng(0).normal(0, 1, [60, 4]).astype(np.float32)
    model.fit(x)
    got = convert(model, x).run({"X": x})[-1]
    wanted = model.transform(x)
    np.testing.assert_allclose(got, wanted.toarray() if hasattr(wanted, "toarray") else wanted, atol=1e-4)
