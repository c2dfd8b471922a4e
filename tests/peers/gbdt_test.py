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
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score
from sklearn.model_selection import train_test_split

from common import check, garam, garam_json, path

SEEDS = 6
DATA = os.environ.get("GARAM_DATA", "../shared/data") + "/tabular"


def table(name, x, y):
    with open(path(name), "w") as f:
        f.write("y," + ",".join(f"x{i}" for i in range(x.shape[1])) + "\n")
        np.savetxt(f, np.column_stack([y, x]), delimiter=",", fmt="%.9g")
    return path(name)


def fit(data, test, task, target, *options, test_options=()):
    scores = []
    for seed in range(1, SEEDS + 1):
        garam("train", data, "--model", "gbdt", "--task", task, "--target", target, "--train-share", 1, "--valid-share", 0,
              "--rounds", 100, "--seed", seed, "--out", path("m.safetensors"), "--quiet", *options)
        scores.append(garam_json("evaluate", path("m.safetensors"), test, *test_options))
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


def queries(name, seed, n):
    """Made-up queries: grades by place within each, by a function of five of twelve features, and noise."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(5, 40, n)
    x = rng.normal(size=(sizes.sum(), 12))
    z = x[:, 0] + 0.7 * x[:, 1] * x[:, 2] + 0.5 * np.sin(2 * x[:, 3]) + 0.7 * rng.normal(size=len(x))
    grade = np.empty(len(x))
    for end, size in zip(np.cumsum(sizes), sizes):
        place = np.argsort(np.argsort(-z[end - size:end])) / size
        grade[end - size:end] = np.select([place < 0.06, place < 0.15, place < 0.3, place < 0.5], [4, 3, 2, 1], 0)
    np.savetxt(path(name + ".query"), sizes, fmt="%d")
    return table(name, x, grade), x, grade, sizes


def ndcg(score, grade, sizes, k):
    ends = np.cumsum(sizes)
    return np.mean([ndcg_score([2 ** grade[e - s:e] - 1], [score[e - s:e]], k=k) for e, s in zip(ends, sizes)])


data, x, y, sizes = queries("rank.csv", 1, 600)
test, test_x, test_y, test_sizes = queries("rank_test.csv", 2, 400)
params = dict(objective="lambdarank", num_leaves=15, learning_rate=0.05, min_data_in_leaf=20, verbosity=-1, num_threads=1)
score = lgb.train(params, lgb.Dataset(x, y, group=sizes), 100).predict(test_x)
garam("train", data, "--model", "gbdt", "--task", "ranking", "--target", "y", "--group", path("rank.csv.query"),
      "--train-share", 1, "--valid-share", 0, "--rounds", 100, "--leaves", 15, "--learning-rate", 0.05, "--out",
      path("r.safetensors"), "--quiet")
ours = garam_json("evaluate", path("r.safetensors"), test, "--group", path("rank_test.csv.query"))
for k in (1, 3, 5, 10):
    mean(f"ranking: 1 - NDCG@{k}", [1 - ours[f"ndcg_at_{k}"]], {"LightGBM": 1 - ndcg(score, test_y, test_sizes, k)}, 0.012)
garam("predict", path("r.safetensors"), test, "--out", path("r.csv"), "--quiet")
said = np.genfromtxt(path("r.csv"), delimiter=",", names=True)["value"]
check(abs(ndcg(said, test_y, test_sizes, 5) - ours["ndcg_at_5"]) < 1e-6, "NDCG@5 is scikit-learn's of the same scores")

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

init, test_init = (np.loadtxt(gzip.open(f"{at}.{part}.init.gz")) for part in ("train", "test"))
peers = []
for seed in range(1, SEEDS + 1):
    params = dict(shared, objective="regression", num_leaves=31, learning_rate=0.05, min_data_in_leaf=100,
                  feature_fraction=0.9, seed=seed)
    model = lgb.train(params, lgb.Dataset(x, y, init_score=init, params=params), 100)
    peers.append(np.mean((model.predict(test_x) + test_init - test_y) ** 2))
ours = fit(f"{at}.train.gz", f"{at}.test.gz", "regression", 0, "--init-score", f"{at}.train.init.gz", "--leaves", 31,
           "--learning-rate", 0.05, "--min-rows", 100, "--feature-fraction", 0.9, *flags,
           test_options=("--init-score", f"{at}.test.init.gz"))
mean("regression example with its init scores: squared error", [s["mse"] for s in ours], {"LightGBM": np.mean(peers)}, 0.002)
