"""Platt's and the isotonic map against scikit-learn's, on the same scores: a linear model is fitted with
--calibration none, then with each map, and what the map makes of the raw odds is compared."""

import csv

import numpy as np
from common import check, garam, near, path
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

generator = np.random.default_rng(5)


def table(name, rows):
    x = generator.normal(size=(rows, 3))
    y = (generator.random(rows) < 1 / (1 + np.exp(-(2 * x[:, 0] + x[:, 1] ** 2 - 1)))).astype(int)
    with open(path(name), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["a", "b", "c", "target"])
        out.writerows([*(f"{v:.7g}" for v in row), t] for row, t in zip(x, y))
    return y


table("train.csv", 600)
y = table("valid.csv", 700)
table("test.csv", 400)


def odds(method, name):
    garam("train", path("train.csv"), "--valid", path("valid.csv"), "--target", "target", "--task", "binary", "--model",
          "linear", "--calibration", method, "--out", path("m.safetensors"), "--quiet")
    garam("predict", path("m.safetensors"), path(name), "--out", path("p.csv"), "--quiet")
    with open(path("p.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    column = [c for c in rows[0] if c.startswith("p") and c.endswith("1")][0]
    return np.array([float(r[column]) for r in rows])


raw, new = odds("none", "valid.csv"), odds("none", "test.csv")
check(len(raw) == 700 and len(new) == 400, "every row has odds")
logit = lambda p: np.log(p) - np.log1p(-p)
peer = _SigmoidCalibration().fit(logit(raw), y)
near("platt: largest difference", float(np.abs(odds("platt", "test.csv") - peer.predict(logit(new))).max()), 0.0, 2e-4)
steps = IsotonicRegression(out_of_bounds="clip").fit(raw, y)
least = 1 / (len(y) + 2)
theirs = np.clip(steps.predict(new), least, 1 - least)  # garam keeps off 0 and 1 by what the rows can tell
ours = odds("isotonic", "test.csv")
near("isotonic: mean difference", float(np.abs(ours - theirs).mean()), 0.0, 1e-3)
near("isotonic: share off by more than 0.001", float((np.abs(ours - theirs) > 1e-3).mean()), 0.0, 0.02)
