"""Boosting against LightGBM, XGBoost and scikit-learn's data: the same settings, the mean over seeds.

LightGBM's own examples (its train.conf) where the shared data is there; breast cancer and digits from scikit-learn, a tenth
kept for the test. Accuracy must not be worse than the better peer's by more than the noise between seeds allows."""

import gzip
import os
import sys

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from common import check, garam, garam_json, path

SEEDS = 6
DATA = os.environ.get("GARAM_DATA", "../shared/data") + "/tabular"


def table(name, x, y):
    with open(path(name), "w") as f:
        f.write("y," + ",".join(f"x{i}" for i in range(x.shape[1])) + "\n")
        np.savetxt(f, np.column_stack([y, x]), delimiter=",", fmt="%.9g")
    return path(name)


def fit(data, test, task, target, *options):
    scores = []
    for seed in range(1, SEEDS + 1):
        garam("train", data, "--model", "gbdt", "--task", task, "--target", target, "--train-share", 1, "--valid-share", 0,
              "--rounds", 100, "--seed", seed, "--out", path("m.safetensors"), "--quiet", *options)
        scores.append(garam_json("evaluate", path("m.safetensors"), test))
    return scores


def mean(what, ours, theirs, slack):
    print(f"{what}: garam {np.mean(ours):.5f} (+- {np.std(ours):.5f}), peers {theirs}")
    check(np.mean(ours) <= min(theirs.values()) + slack, f"{what} is not worse than the best peer's by more than {slack:g}")


for name, data, most in (("breast cancer", load_breast_cancer(), 0.14), ("digits", load_digits(), 0.16)):
    x, test_x, y, test_y = train_test_split(data.data, data.target, test_size=0.1, random_state=42)
    classes = len(set(y))
    task = "binary" if classes == 2 else "classification"
    ours = [s["log_loss"] for s in fit(table("a.csv", x, y), table("b.csv", test_x, test_y), task, "y")]
    objective = "binary" if classes == 2 else "multiclass"
    params = dict(objective=objective, num_class=classes if classes > 2 else 1, verbosity=-1, num_threads=1)
    theirs = {"LightGBM": log_loss(test_y, lgb.train(params, lgb.Dataset(x, y), 100).predict(test_x))}
    peer = xgb.XGBClassifier(n_estimators=100, learning_rate=0.1, n_jobs=1).fit(x, y)
    theirs["XGBoost"] = log_loss(test_y, peer.predict_proba(test_x))
    mean(f"{name}: log loss", ours, theirs, 0.02)
    check(np.mean(ours) < most, f"{name}: log loss is under {most}")

if not os.path.isdir(DATA):
    print(f"{DATA} is not there: LightGBM's examples are skipped")
    sys.exit(0)

shared = dict(verbosity=-1, num_threads=1, min_sum_hessian_in_leaf=5, bagging_fraction=0.8, bagging_freq=5)
flags = ("--min-hessian", 5, "--bagging-fraction", 0.8, "--bagging-freq", 5)


def example(name):
    at = f"{DATA}/lightgbm-{name}/{name.split('_')[0]}"
    train, test = (np.loadtxt(gzip.open(f"{at}.{part}.gz")) for part in ("train", "test"))
    return at, train[:, 1:], train[:, 0], test[:, 1:], test[:, 0]


at, x, y, test_x, test_y = example("binary_classification")
weight = np.loadtxt(gzip.open(f"{at}.train.weight.gz"))
peers = []
for seed in range(1, SEEDS + 1):
    params = dict(shared, objective="binary", num_leaves=63, learning_rate=0.1, min_data_in_leaf=50, feature_fraction=0.8,
                  seed=seed)
    peers.append(lgb.train(params, lgb.Dataset(x, y, weight=weight, params=params), 100).predict(test_x))
ours = fit(f"{at}.train.gz", f"{at}.test.gz", "binary", 0, "--weights", f"{at}.train.weight.gz", "--leaves", 63,
           "--min-rows", 50, "--feature-fraction", 0.8, *flags)
mean("binary example: log loss", [s["log_loss"] for s in ours], {"LightGBM": np.mean([log_loss(test_y, p) for p in peers])}, 0.006)
mean("binary example: 1 - AUC", [1 - s["auc"] for s in ours],
     {"LightGBM": 1 - np.mean([roc_auc_score(test_y, p) for p in peers])}, 0.006)

at, x, y, test_x, test_y = example("regression")
peers = []
for seed in range(1, SEEDS + 1):
    params = dict(shared, objective="regression", num_leaves=31, learning_rate=0.05, min_data_in_leaf=100,
                  feature_fraction=0.9, seed=seed)
    peers.append(np.mean((lgb.train(params, lgb.Dataset(x, y, params=params), 100).predict(test_x) - test_y) ** 2))
ours = fit(f"{at}.train.gz", f"{at}.test.gz", "regression", 0, "--leaves", 31, "--learning-rate", 0.05, "--min-rows", 100,
           "--feature-fraction", 0.9, *flags)
mean("regression example: squared error", [s["mse"] for s in ours], {"LightGBM": np.mean(peers)}, 0.002)
