"""Models of XGBoost and LightGBM read by garam, and trees of garam read by LightGBM and onnxruntime: the same
predictions, to the rounding of float32.

Every objective whose answer garam has, categories, missing values of both kinds, DART, forests, linear leaves."""

import csv

import lightgbm as lgb
import numpy as np
import onnxruntime as ort
import xgboost as xgb
from common import check, garam, path

ROWS, NAMES = 1200, [f"n{i}" for i in range(6)]
generator = np.random.default_rng(0)
x = generator.normal(size=(ROWS, 6)).astype(np.float32)
x[generator.random(x.shape) < 0.1] = np.nan
x[generator.random(x.shape) < 0.1] = 0
x[:, 5] = generator.integers(0, 40, ROWS)
z = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) * np.nan_to_num(x[:, 2]) + (x[:, 5] % 3 == 0)
two, three, positive = (z > 0.3).astype(int), np.digitize(z, [-0.3, 0.7]), np.exp(z / 2)


def table(name, target=None):
    with open(path(name), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(NAMES + (["target"] if target is not None else []))
        for i, row in enumerate(x):
            cells = ["" if np.isnan(v) else repr(float(v)) for v in row]
            out.writerow(cells + ([target[i]] if target is not None else []))
    return path(name)


def predicted(model, classes):
    garam("predict", model, table("x.csv"), "--out", path("p.csv"), "--quiet")
    with open(path("p.csv")) as f:
        return np.array([[float(v) for v in r[1:1 + max(classes, 1)]] for r in list(csv.reader(f))[1:]])


def shaped(p, classes):
    p = np.asarray(p, dtype=np.float64)
    return np.stack([1 - p, p], 1) if classes == 2 and p.ndim == 1 else p.reshape(ROWS, -1)


def same(what, ours, theirs, tolerance=2e-6):
    off = np.abs(ours - theirs).max() / max(1, np.abs(theirs).max())
    check(off <= tolerance, f"{what}: off by {off:.1e}, at most {tolerance:g}")


def imported(file, classes):
    garam("import", file, "--out", path("m.safetensors"), "--quiet")
    return predicted(path("m.safetensors"), classes)


def exported(what, package, p, classes, raw=None, onnx=True, tolerance=2e-6):
    """p: what garam says, by its own trees."""
    garam("export", package, "--format", "lightgbm", "--out", path("e.txt"), "--quiet")
    theirs = lgb.Booster(model_file=path("e.txt")).predict(x)
    same(f"{what}, exported to LightGBM", p, shaped(theirs, classes), tolerance)
    if not onnx:
        return
    garam("export", package, "--format", "onnx", "--out", path("e.onnx"), "--quiet")
    session = ort.InferenceSession(path("e.onnx"))
    same(f"{what}, exported to ONNX", p, shaped(session.run(None, {"features": x})[-1], classes), max(tolerance, 3e-6))


def contributions(what, package, outputs, theirs):
    """theirs: (rows, outputs, features + 1), the expected output last."""
    garam("explain", package, table("x.csv"), "--rows", ROWS, "--out", path("s.csv"), "--quiet")
    with open(path("s.csv")) as f:
        ours = np.array([[float(v) for v in r[3:] + r[2:3]] for r in list(csv.reader(f))[1:]])
    same(f"{what}, SHAP values", ours.reshape(ROWS, outputs, -1), theirs.reshape(ROWS, outputs, -1), 5e-5)


def lightgbm_cases():
    yield "binary", two, 2, {}
    yield "binary", two, 2, {"sigmoid": 1.7}
    yield "binary", two, 2, {"boosting": "dart"}
    yield "binary", two, 2, {"zero_as_missing": True}
    yield "binary", two, 2, {"use_missing": False}
    yield "multiclass", three, 3, {"num_class": 3}
    yield "multiclassova", three, 3, {"num_class": 3}
    for objective in ("regression", "poisson", "tweedie", "quantile"):
        yield objective, positive, 0, {}
    yield "regression", z, 0, {"reg_sqrt": True}
    yield "regression", z, 0, {"linear_tree": True}
    yield "regression", z, 0, {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1}
    yield "cross_entropy", two, 0, {}
    yield "cross_entropy_lambda", two, 0, {}


for objective, y, classes, extra in lightgbm_cases():
    for categories in ([5], []):
        if categories and "linear_tree" in extra:
            continue
        settings = {"objective": objective, "num_leaves": 31, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1, **extra}
        booster = lgb.train(settings, lgb.Dataset(x, y, feature_name=NAMES, categorical_feature=categories), 20)
        booster.save_model(path("l.txt"))
        theirs = shaped(booster.predict(x), classes)
        if objective == "multiclassova":
            theirs = theirs / theirs.sum(axis=1, keepdims=True)  # garam's probabilities sum to 1
        what = f"LightGBM {objective} {extra}{' categories' if categories else ''}"
        ours = imported(path("l.txt"), classes)
        same(what, ours, theirs)
        if not extra or objective == "multiclass":
            contributions(what, path("m.safetensors"), max(1, classes if classes > 2 else 1),
                          np.asarray(booster.predict(x, pred_contrib=True)))
        if objective != "multiclassova":
            plain = not categories and "linear_tree" not in extra and "zero_as_missing" not in extra
            exported(what, path("m.safetensors"), ours, classes, onnx=plain)


def xgboost_cases():
    yield "binary:logistic", two, 2, {}
    yield "binary:logistic", two, 2, {"booster": "dart", "rate_drop": 0.3}
    yield "binary:logistic", two, 2, {"num_parallel_tree": 4, "subsample": 0.5}
    yield "multi:softprob", three, 3, {"num_class": 3}
    for objective in ("count:poisson", "reg:gamma", "reg:squarederror", "reg:absoluteerror"):
        yield objective, positive, 0, {}
    yield "reg:logistic", two, 0, {}
    yield "reg:squarederror", z, 0, {"grow_policy": "lossguide", "max_leaves": 40, "max_depth": 0}
    yield "reg:squarederror", z, 0, {"gamma": 2.0, "tree_method": "exact"}


for objective, y, classes, extra in xgboost_cases():
    for categories in (True, False):
        if categories and "tree_method" in extra:
            continue
        kinds = ["q"] * 5 + ["c" if categories else "q"]
        data = xgb.DMatrix(x, y, feature_names=NAMES, feature_types=kinds, enable_categorical=True)
        settings = {"objective": objective, "max_depth": 5, "nthread": 1, "max_cat_to_onehot": 1, **extra}
        booster = xgb.train(settings, data, 20)
        for suffix in ("json", "ubj"):
            booster.save_model(path("x." + suffix))
            ours = imported(path("x." + suffix), classes)
            what = f"XGBoost {suffix} {objective} {extra}{' categories' if categories else ''}"
            same(what, ours, shaped(booster.predict(data), classes))
        if not extra or classes == 3:
            contributions(what, path("m.safetensors"), classes if classes == 3 else 1,
                          booster.predict(data, pred_contribs=True))
        if not categories:
            exported(what, path("m.safetensors"), ours, classes)

for model, extra in (("gbdt", []), ("forest", ["--no-calibrate", "--trees", "40"])):
    for task, y, classes in (("classification", three, 3), ("regression", z, 0)):
        garam("train", table("t.csv", y), "--target", "target", "--task", task, "--model", model, *extra, "--train-share", 1,
              "--valid-share", 0, "--out", path("g.safetensors"), "--quiet")
        # a forest's odds count one more tree that knows nothing
        allowed = 0.02 if model == "forest" and classes else 2e-6
        exported(f"garam {model} {task}", path("g.safetensors"), predicted(path("g.safetensors"), classes), classes,
                 tolerance=allowed)
