"""Draws of ai.onnx.ml: decision trees."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .base import oracle, pick, spec
from .ml_linear import ML, NUMBERS, POSTS, label_list, label_output, labels, post

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"]
COMPARE = [np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal]


def grid(rng, shape=()):
    """Numbers of which some are equal, so that questions are often about the very threshold."""
    return rng.integers(-6, 7, shape) / 4


def grow(rng, modes, features, depth):
    """A tree: a number (that of a leaf, to be given) or (mode, feature, threshold, missing, no, yes)."""
    if depth == 0 or rng.random() < 0.15:
        return None
    mode = int(pick(rng, modes))
    threshold = float(grid(rng)) if mode != 6 else sorted({float(v) for v in grid(rng, int(rng.integers(1, 7))) if v})
    return (mode, int(rng.integers(features)), threshold, int(rng.random() < 0.3),
            grow(rng, modes, features, depth - 1), grow(rng, modes, features, depth - 1))


def draw_samples(rng, features, dtype):
    shape = [features] if rng.random() < 0.1 else [int(rng.integers(0 if rng.random() < 0.1 else 1, 30)), features]
    x = grid(rng, shape) if np.dtype(dtype).kind == "f" else rng.integers(-2, 3, shape)
    if np.dtype(dtype).kind == "f" and rng.random() < 0.5:
        x = np.where(rng.random(shape) < 0.2, pick(rng, [np.nan, np.inf, -np.inf]), x)
    return x.astype(dtype)


# --- the operators up to version 3 -----------------------------------------------------------------------------------------------
def old_attributes(rng, version, trees, prefix, target_of, double):
    """Attributes of nodes and leaves; target_of(leaf) gives [(target, weight)]."""
    nodes = {k: [] for k in ("treeids", "nodeids", "featureids", "modes", "values", "falsenodeids", "truenodeids", "missing_value_tracks_true")}
    weights = {k: [] for k in ("ids", "treeids", "nodeids", "weights")}
    for number, tree in enumerate(trees):
        queue = [tree]
        for i, node in enumerate(queue):  # breadth first: ids ascend from the root
            nodes["treeids"].append(number)
            nodes["nodeids"].append(i)
            if node is None:
                mode, feature, threshold, missing, no, yes = None, 0, 0.0, 0, 0, 0
                for target, weight in target_of():
                    for key, value in (("ids", target), ("treeids", number), ("nodeids", i), ("weights", weight)):
                        weights[key].append(value)
            else:
                mode, feature, threshold, missing = node[:4]
                no, yes = len(queue), len(queue) + 1
                queue += node[4:]
            for key, value in (("featureids", feature), ("modes", MODES[mode] if node else "LEAF"), ("values", threshold),
                               ("falsenodeids", no), ("truenodeids", yes), ("missing_value_tracks_true", missing)):
                nodes[key].append(value)
    if rng.random() < 0.3 and not any(nodes["missing_value_tracks_true"]):
        del nodes["missing_value_tracks_true"]
    attrs = {f"nodes_{k}": v for k, v in nodes.items()} | {f"{prefix}_{k}": v for k, v in weights.items()}
    if version >= 3 and double:
        for key in ("nodes_values", f"{prefix}_weights"):
            attrs[key + "_as_tensor"] = helper.make_tensor(key, TensorProto.DOUBLE, [len(attrs[key])], attrs.pop(key))
    return attrs


def reals(attrs, key):
    if key + "_as_tensor" in attrs:
        return np.array(attrs[key + "_as_tensor"].double_data)
    return np.array(attrs.get(key, []), np.float32).astype(np.float64)


def old_sums(attrs, prefix, x, targets, aggregate="SUM"):
    """What the trees give to each target, [samples][targets]."""
    index = {pair: i for i, pair in enumerate(zip(attrs["nodes_treeids"], attrs["nodes_nodeids"]))}
    modes, values = attrs["nodes_modes"], reals(attrs, "nodes_values")
    missing = attrs.get("nodes_missing_value_tracks_true") or [0] * len(modes)
    gives = {}
    for i, pair in enumerate(zip(attrs[f"{prefix}_treeids"], attrs[f"{prefix}_nodeids"])):
        gives.setdefault(pair, []).append((attrs[f"{prefix}_ids"][i], reals(attrs, f"{prefix}_weights")[i]))
    trees = sorted(set(attrs["nodes_treeids"]))
    start = {"MIN": np.finfo(np.float32).max, "MAX": np.finfo(np.float32).min}.get(aggregate, 0)
    sums = np.full([len(x), targets], start, np.float64)
    for r, row in enumerate(x):
        for tree in trees:
            at = 0
            while modes[n := index[tree, at]] != "LEAF":
                value = row[attrs["nodes_featureids"][n]]
                answer = missing[n] if np.isnan(value) else COMPARE[MODES.index(modes[n])](value, values[n])
                at = attrs["nodes_truenodeids" if answer else "nodes_falsenodeids"][n]
            for target, weight in gives.get((tree, at), []):
                join = {"MIN": min, "MAX": max}.get(aggregate, float.__add__)
                sums[r, target] = join(float(sums[r, target]), float(weight))
    return sums / len(trees) if aggregate == "AVERAGE" else sums


def draw_trees(rng, features, last=5):
    one = rng.random() < 0.5
    modes = [rng.integers(0, 4)] if one else list(range(last + 1))
    return [grow(rng, modes, features, int(rng.integers(0, 6))) for _ in range(rng.integers(1, 12))]


def weight(rng, small=False):
    return float(np.float32(rng.normal(0.02 if small else 0, 0.01 if small else 1)))


def base_values(rng, version, double, count, small):
    values = [0.5 if small else weight(rng) for _ in range(count)]
    if version >= 3 and double:
        return {"base_values_as_tensor": helper.make_tensor("base", TensorProto.DOUBLE, [count], values)}
    return {"base_values": values}


@spec("TreeEnsembleRegressor", domain=ML)
def tree_regressor(rng, version, name):
    features, targets, kind = int(rng.integers(1, 6)), int(rng.integers(1, 4)), pick(rng, ["NONE", "NONE", *POSTS])
    double, small, full = rng.random() < 0.3, kind == "PROBIT", rng.random() < 0.5
    def target_of():
        return [(t, weight(rng, small)) for t in range(targets) if full or t == 0 or rng.random() < 0.7]
    attrs = old_attributes(rng, version, draw_trees(rng, features), "target", target_of, double)
    attrs |= {"n_targets": targets, "post_transform": kind}
    if not small:
        attrs["aggregate_function"] = pick(rng, ["SUM", "AVERAGE", "MIN", "MAX"]) if full else pick(rng, ["SUM", "AVERAGE"])
    if rng.random() < 0.6 or small:
        attrs |= base_values(rng, version, double, targets, small)
    return attrs, [draw_samples(rng, features, pick(rng, NUMBERS))]


@oracle("TreeEnsembleRegressor", domain=ML, why="the reference gives the input's type and has no post_transform; leaves without weight stop it")
def tree_regressor_oracle(version, attrs, inputs):
    x = np.atleast_2d(inputs[0])
    leaves = {(t, n) for t, n, m in zip(attrs["nodes_treeids"], attrs["nodes_nodeids"], attrs["nodes_modes"]) if m == "LEAF"}
    given = set(zip(attrs["target_treeids"], attrs["target_nodeids"]))
    if x.dtype == np.float32 and attrs["post_transform"] == "NONE" and leaves == given and len(x) \
            and "nodes_missing_value_tracks_true" in attrs and not any(k.endswith("_as_tensor") for k in attrs):
        raise NotImplementedError
    sums = old_sums(attrs, "target", x.astype(np.float64), attrs["n_targets"], attrs.get("aggregate_function", "SUM"))
    base = reals(attrs, "base_values")
    sums = sums + (base if len(base) else 0)
    return [np.array([post(attrs["post_transform"], row) for row in sums]).reshape(sums.shape).astype(np.float32)]


@spec("TreeEnsembleClassifier", domain=ML)
def tree_classifier(rng, version, name):
    features, classes, kind = int(rng.integers(1, 6)), int(rng.integers(2, 5)), pick(rng, POSTS)
    double, small = rng.random() < 0.3, kind == "PROBIT"
    only = 0 if classes == 2 and rng.random() < 0.6 else None
    def target_of():
        return [(c, weight(rng, small)) for c in range(classes) if (only is None or c == only)]
    attrs = old_attributes(rng, version, draw_trees(rng, features), "class", target_of, double)
    attrs |= {"post_transform": kind, **labels(rng, classes, "classlabels_int64s")}
    if rng.random() < 0.5 or small:
        attrs |= base_values(rng, version, double, 1 if only is not None else classes, small)
    return attrs, [draw_samples(rng, features, pick(rng, NUMBERS))]


@oracle("TreeEnsembleClassifier", domain=ML, why="the reference stops at attributes that are tensors, and at no samples")
def tree_classifier_oracle(version, attrs, inputs):
    x, kind, names = np.atleast_2d(inputs[0]), attrs["post_transform"], label_list(attrs, "classlabels_int64s")
    if not any(k.endswith("_as_tensor") for k in attrs) and len(x) and "nodes_missing_value_tracks_true" in attrs:
        raise NotImplementedError
    sums = old_sums(attrs, "class", x.astype(np.float64), len(names))
    base = reals(attrs, "base_values")
    sums = sums + (base if len(base) else 0)
    if len(set(attrs["class_ids"])) == 1:
        score = sums[:, :1]
        sums = np.concatenate([1 - score if kind in ("NONE", "PROBIT") else -score, score], axis=1)
    z = np.array([post(kind, row) for row in sums]).reshape(sums.shape).astype(np.float32)
    return [label_output(names, z.argmax(axis=1)), z]


# --- TreeEnsemble ------------------------------------------------------------------------------------------------------------------
@spec("TreeEnsemble", domain=ML)
def tree_ensemble(rng, version, name):
    dtype = pick(rng, [np.float32, np.float64, np.float16])
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    features, targets = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    nodes = {k: [] for k in ("modes", "featureids", "splits", "trueleafs", "truenodeids", "falseleafs", "falsenodeids", "missing")}
    leaf_targets, weights, members, roots = [], [], [], []
    kind = int(pick(rng, [0, 0, 0, 1, 2, 3]))

    def place(tree):
        """Lists |tree| in preorder; (is it a leaf, its position)."""
        if tree is None:
            leaf_targets.append(int(rng.integers(targets)))
            weights.append(float(np.float16(rng.normal())))
            return 1, len(weights) - 1
        at = len(nodes["modes"])
        mode, feature, threshold, missing, no, yes = tree
        for key, value in (("modes", mode), ("featureids", feature), ("splits", 0.0 if mode == 6 else threshold), ("missing", missing)):
            nodes[key].append(value)
        for key in ("trueleafs", "truenodeids", "falseleafs", "falsenodeids"):
            nodes[key].append(0)
        if mode == 6:
            members.extend([*threshold, float("nan")])
        nodes["trueleafs"][at], nodes["truenodeids"][at] = place(yes)
        nodes["falseleafs"][at], nodes["falsenodeids"][at] = place(no)
        return 0, at

    for tree in draw_trees(rng, features, 6):
        roots.append(place(tree or (0, 0, 0.0, 0, None, None))[1])
    def tensor(values, kind=element):
        return helper.make_tensor("t", kind, [len(values)], values)
    attrs = {"n_targets": targets, "tree_roots": roots, "nodes_modes": tensor(nodes["modes"], TensorProto.UINT8),
             "nodes_featureids": nodes["featureids"], "nodes_splits": tensor(nodes["splits"]), "leaf_weights": tensor(weights),
             "leaf_targetids": leaf_targets, "aggregate_function": int(rng.integers(0, 4)), "post_transform": kind}
    attrs |= {f"nodes_{k}": nodes[k] for k in ("trueleafs", "truenodeids", "falseleafs", "falsenodeids")}
    if any(nodes["missing"]) or rng.random() < 0.5:
        attrs["nodes_missing_value_tracks_true"] = nodes["missing"]
    if members:
        attrs["membership_values"] = tensor(members)
    if attrs["aggregate_function"] >= 2:  # what a target without leaves gets nobody says
        attrs["leaf_targetids"] = [0] * len(leaf_targets)
        attrs["n_targets"] = 1
    x = draw_samples(rng, features, dtype)
    return attrs, [np.atleast_2d(x)]


def numbers(tensor):
    return numpy_helper.to_array(tensor).astype(np.int64 if tensor.data_type == TensorProto.UINT8 else np.float64)


@oracle("TreeEnsemble", domain=ML, why="the reference leaves post_transform out, ends a set of members at 0, and stops at no samples")
def tree_ensemble_oracle(version, attrs, inputs):
    x, kind = inputs[0], attrs["post_transform"]
    if not kind and len(x) and x.dtype != np.float16:
        raise NotImplementedError
    modes, splits, weights = (numbers(attrs[k]) for k in ("nodes_modes", "nodes_splits", "leaf_weights"))
    sets, members = {}, list(numbers(attrs["membership_values"])) if "membership_values" in attrs else []
    for n, mode in enumerate(modes):
        if mode == 6:
            end = next(i for i, v in enumerate(members) if np.isnan(v))
            sets[n], members = set(members[:end]), members[end + 1:]
    missing = attrs.get("nodes_missing_value_tracks_true") or [0] * len(modes)
    aggregate = attrs["aggregate_function"]
    start = {2: np.finfo(x.dtype).max, 3: np.finfo(x.dtype).min}.get(aggregate, 0)
    sums = np.full([len(x), attrs["n_targets"]], float(start))
    for r, row in enumerate(x.astype(np.float64)):
        for root in attrs["tree_roots"]:
            leaf, at = False, root
            while not leaf:
                value = row[attrs["nodes_featureids"][at]]
                if modes[at] == 6:
                    answer = value in sets[at]
                else:
                    answer = COMPARE[modes[at]](value, splits[at])
                side = "true" if answer or (missing[at] and np.isnan(value)) else "false"
                leaf, at = attrs[f"nodes_{side}leafs"][at], attrs[f"nodes_{side}nodeids"][at]
            join = {2: min, 3: max}.get(aggregate, float.__add__)
            target = attrs["leaf_targetids"][at]
            sums[r, target] = join(float(sums[r, target]), float(weights[at]))
    if aggregate == 0:
        sums /= len(attrs["tree_roots"])
    names = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"]
    return [np.array([post(names[kind], row) for row in sums]).reshape(sums.shape).astype(x.dtype)]
