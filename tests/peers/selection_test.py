"""Dynamic selection on breast cancer by DESlib's protocol (its test_des_integration.py): a third for
the test, half of the rest for the models, half for the competence, all scaled by the rest; 100 bagged
logistic models. sklearn gives the data and the folds, the figures are garam's. Prints the table of
DESlib's own split, the mean of twelve pools of models, and of ten other splits, and checks that selection is worth its while: no worse than the single best, under the oracle."""
import csv
import json
import os
import subprocess
import tempfile

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

GARAM = os.environ.get("GARAM_COMMAND", "build/dev/garam")
METHODS = ["knora-e", "knora-u", "meta-des", "rrc", "local"]


def write(path, x, y):
    with open(path, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow([f"f{i}" for i in range(x.shape[1])] + ["target"])
        w.writerows([*row, int(c)] for row, c in zip(x.tolist(), y))


def run(folder, seed, pools=1):
    data = load_breast_cancer()
    rng = np.random.RandomState(seed)
    x, x_test, y, y_test = train_test_split(data.data, data.target, test_size=0.33, random_state=rng)
    scaler = StandardScaler().fit(x)
    x, x_test = scaler.transform(x), scaler.transform(x_test)
    x_train, x_valid, y_train, y_valid = train_test_split(x, y, test_size=0.5, random_state=rng)
    paths = [os.path.join(folder, name) for name in ("train.csv", "valid.csv", "test.csv")]
    for path, a, b in zip(paths, (x_train, x_valid, x_test), (y_train, y_valid, y_test)):
        write(path, a, b)
    return [json.loads(subprocess.run(
        [GARAM, "bench", "selection", *paths, "--members", "100", "--seed", str(pool), "--json", "--quiet"],
        check=True, capture_output=True, text=True).stdout) for pool in range(pools)]


def main():
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        own = run(folder, 123456, 12)
        many = [r for seed in range(10) for r in run(folder, seed)]
    for name in METHODS:
        rows[name] = [r[name]["vote"] for r in own], [r[name]["vote"] for r in many]
    for name in ("majority", "single_best", "oracle"):
        rows[name] = [r[name] for r in own], [r[name] for r in many]
    print(f"{'accuracy':12} {'DESlib split':>12} {'+-':>7} {'ten splits':>11} {'+-':>7}")
    for name, (one, ten) in rows.items():
        half = [1.96 * np.std(r, ddof=1) / len(r) ** 0.5 for r in (one, ten)]
        print(f"{name:12} {np.mean(one):12.4f} {half[0]:7.4f} {np.mean(ten):11.4f} {half[1]:7.4f}")
    for name in METHODS:
        assert np.mean(rows[name][1]) <= np.mean(rows["oracle"][1])
        assert np.mean(rows[name][1]) >= np.mean(rows["single_best"][1]) - 0.006, name


main()
