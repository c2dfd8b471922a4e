"""Scores of `garam evaluate` against scikit-learn's on the probabilities of `garam predict`."""

import csv

import numpy as np
from sklearn import metrics
from common import garam, garam_json, near, path


def write(name, x, y):
    with open(path(name), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow([f"x{i}" for i in range(x.shape[1])] + ["y"])
        for row, target in zip(x, y):
            out.writerow([f"{v:.9g}" for v in row] + [target])


def probabilities(name, k):
    garam("predict", path("m.safetensors"), path(name), "--out", path("p.csv"), "--quiet")
    with open(path("p.csv")) as f:
        rows = list(csv.reader(f))
    columns = [i for i, field in enumerate(rows[0]) if field.startswith("p_")]
    assert len(columns) == k, rows[0]
    return np.array([[float(row[i]) for i in columns] for row in rows[1:]])


generator = np.random.default_rng(5)
x = generator.normal(size=(3000, 6))
score = x @ generator.normal(size=(6, 3)) + generator.gumbel(size=(3000, 3))

print("three classes")
y = np.array(["a", "b", "c"])[score.argmax(axis=1)]
write("train.csv", x[:2000], y[:2000])
write("test.csv", x[2000:], y[2000:])
garam("train", path("train.csv"), "--target", "y", "--task", "classification", "--model", "linear", "--out",
      path("m.safetensors"), "--quiet")
ours = garam_json("evaluate", path("m.safetensors"), path("test.csv"))
p = probabilities("test.csv", 3)
p /= p.sum(axis=1, keepdims=True)
truth, guess = y[2000:], np.array(["a", "b", "c"])[p.argmax(axis=1)]
near("accuracy", ours["accuracy"], metrics.accuracy_score(truth, guess), 1e-9)
near("macro F1", ours["macro_f1"], metrics.f1_score(truth, guess, average="macro"), 1e-9)
near("log loss", ours["log_loss"], metrics.log_loss(truth, p, labels=["a", "b", "c"]), 1e-5)
one_hot = np.eye(3)[np.searchsorted(["a", "b", "c"], truth)]
near("Brier", ours["brier"], ((p - one_hot) ** 2).sum(axis=1).mean(), 1e-5)

print("two classes")
y = (score[:, 0] > score[:, 1]).astype(int)
write("train.csv", x[:2000], y[:2000])
write("test.csv", x[2000:], y[2000:])
garam("train", path("train.csv"), "--target", "y", "--task", "binary", "--model", "linear", "--out",
      path("m.safetensors"), "--quiet")
ours = garam_json("evaluate", path("m.safetensors"), path("test.csv"))
p = probabilities("test.csv", 2)[:, 1]
near("AUC", ours["auc"], metrics.roc_auc_score(y[2000:], p), 1e-4)
near("accuracy", ours["accuracy"], metrics.accuracy_score(y[2000:], p > 0.5), 1e-9)

print("a value")
y = x @ np.arange(1, 7) + generator.normal(size=3000)
write("train.csv", x[:2000], y[:2000])
write("test.csv", x[2000:], y[2000:])
garam("train", path("train.csv"), "--target", "y", "--task", "regression", "--model", "linear", "--out",
      path("m.safetensors"), "--quiet")
ours = garam_json("evaluate", path("m.safetensors"), path("test.csv"))
garam("predict", path("m.safetensors"), path("test.csv"), "--out", path("p.csv"), "--quiet")
with open(path("p.csv")) as f:
    rows = list(csv.reader(f))
guess = np.array([float(row[rows[0].index("value")]) for row in rows[1:]])
near("mean squared error", ours["mse"], metrics.mean_squared_error(y[2000:], guess), 1e-4)
near("mean absolute error", ours["mae"], metrics.mean_absolute_error(y[2000:], guess), 1e-4)
near("R2", ours["r2"], metrics.r2_score(y[2000:], guess), 1e-4)
