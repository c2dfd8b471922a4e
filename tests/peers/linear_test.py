"""The linear learner against scikit-learn: the same penalty, the same rows, the same weights.

garam minimises mean loss + l2/2 |W|^2 over standardised inputs, scikit-learn C * sum of losses + |W|^2 / 2: so
C = 1 / (n l2), and alpha = n l2 for ridge."""

import csv
import json

import numpy as np
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression, Ridge
from common import garam, near, path

ROWS, L2 = 2500, 0.01
generator = np.random.default_rng(11)
x = generator.normal(size=(ROWS, 5)) * [1, 10, 0.1, 3, 1] + [0, 5, 0, -2, 1]
score = (x - x.mean(axis=0)) / x.std(axis=0) @ generator.normal(size=(5, 3)) + generator.gumbel(size=(ROWS, 3))
targets = {"classification": np.array(["a", "b", "c"])[score.argmax(axis=1)], "regression": score[:, 0] + 3}

for task, y in targets.items():
    with open(path("t.csv"), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["time"] + [f"x{i}" for i in range(5)] + ["y"])
        for i, (row, target) in enumerate(zip(x, y)):
            out.writerow([1_600_000_000 + 60 * i] + [f"{v:.9g}" for v in row] + [target])
    garam("train", path("t.csv"), "--target", "y", "--task", task, "--model", "linear", "--l2", L2, "--tolerance", 1e-7,
          "--max-iterations", 5000, "--out", path("m.safetensors"), "--quiet")
    with safe_open(path("m.safetensors"), "np") as package:
        manifest = json.loads(package.metadata()["garam"])
        weight, bias = package.get_tensor("learner.weight"), package.get_tensor("learner.bias")
        center, inverse = package.get_tensor("scaler.center"), package.get_tensor("scaler.inverse")
    n = manifest["split"]["train"]["rows"]
    names = manifest["features"]
    raw = x[:n][:, [int(name[1:]) for name in names]]
    scaled = (raw - center) * inverse
    near(f"{task}: scaled inputs have mean 0", float(np.abs(scaled.mean(axis=0)).max()), 0.0, 1e-4)
    if task == "classification":
        peer = LogisticRegression(C=1 / (n * L2), tol=1e-9, max_iter=10000).fit(scaled, y[:n])
        theirs, offset = peer.coef_, peer.intercept_ - peer.intercept_.mean()
        bias = bias - bias.mean()  # a constant on all classes changes nothing
    else:
        scale = manifest["scaler"]["value_scale"]
        shifted = (y[:n] - manifest["scaler"]["value_center"]) / scale
        peer = Ridge(alpha=n * L2).fit(scaled, shifted)
        theirs, offset = peer.coef_.reshape(1, -1), np.atleast_1d(peer.intercept_)
    for k in range(theirs.shape[0]):
        for j in range(theirs.shape[1]):
            near(f"{task}: weight {k},{names[j]}", float(weight.reshape(theirs.shape)[k, j]), float(theirs[k, j]), 2e-4)
        near(f"{task}: bias {k}", float(bias[k]), float(offset[k]), 2e-4)
