"""Ensembles against scikit-learn, where both are given the same folds, weights and penalties: the weights of AdaBoost's
rounds, the coefficients of a stack's meta-learner, gradient boosting round by round; bagging, whose draws differ, by its
accuracy. Rows have times, so garam's folds are consecutive blocks like KFold without shuffling.

For two classes garam's linear learner has two rows of weights and shares the penalty between them: l2 there is l2 / 2 on the
difference, which is what scikit-learn's only row is."""

import csv
import json

import numpy as np
from safetensors import safe_open
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from common import check, garam, garam_json, near, path

x, y = load_breast_cancer(return_X_y=True)
order = np.random.default_rng(3).permutation(len(y))[:560]
x, y = x[order].astype(np.float32).astype(np.float64), y[order]
TRAIN = 400  # 400 / 80 / 80
names = [f"x{i}" for i in range(x.shape[1])]


def write(name, x, y):
    with open(path(name), "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["time"] + [f"x{i}" for i in range(x.shape[1])] + ["y"])
        for i, (row, target) in enumerate(zip(x, y)):
            out.writerow([1_600_000_000 + 60 * i] + [f"{v:.9g}" for v in row] + [target])


def train(data, out, *arguments):
    garam("train", path(data), "--target", "y", "--train-share", TRAIN / 560, "--valid-share", 80 / 560, "--embargo", 0,
          "--clip", 0, "--out", path(out), "--quiet", *arguments)
    package = safe_open(path(out), "np")
    return package, json.loads(package.metadata()["garam"])


write("cancer.csv", x, y)

# ---- AdaBoost: the same members, the same weights of rounds ----
L2 = 0.5
package, manifest = train("cancer.csv", "a.safetensors", "--task", "binary", "--model", "adaboost", "--rounds", 8,
                          "--learning-rate", 0.5, "--member", f"linear:l2={L2},tolerance=1e-8,max-iterations=5000")
check(manifest["features"] == names and manifest["split"]["train"]["rows"] == TRAIN, "the rows and features are the same")
scaled = StandardScaler().fit(x[:TRAIN]).transform(x)
peer = AdaBoostClassifier(LogisticRegression(C=2 / L2, tol=1e-10, max_iter=10000), n_estimators=8, learning_rate=0.5)
peer.fit(scaled[:TRAIN], y[:TRAIN])
weights = package.get_tensor("learner.weights")
check(len(weights) == len(peer.estimator_weights_), "AdaBoost has as many rounds")
for i, (ours, theirs) in enumerate(zip(weights, peer.estimator_weights_)):
    near(f"AdaBoost: weight of round {i}", float(ours), float(theirs), 1e-6)
ours = garam_json("evaluate", path("a.safetensors"), path("cancer.csv"))["accuracy"]
near("AdaBoost: accuracy", ours, peer.score(scaled[480:], y[480:]), 1e-9)

stumps = "gbdt:rounds=1,leaves=2,learning-rate=1,early-stopping=0,min-rows=1"
train("cancer.csv", "a.safetensors", "--task", "binary", "--model", "adaboost", "--rounds", 50, "--member", stumps)
ours = garam_json("evaluate", path("a.safetensors"), path("cancer.csv"))["accuracy"]
peer = AdaBoostClassifier(DecisionTreeClassifier(max_depth=1), n_estimators=50).fit(x[:TRAIN], y[:TRAIN])
near("AdaBoost of stumps: accuracy", ours, peer.score(x[480:], y[480:]), 0.04)

# ---- stacking: the meta-learner's coefficients ----
members = [0.001, 3.0]
package, manifest = train("cancer.csv", "s.safetensors", "--task", "binary", "--model", "stack", "--folds", 5,
                          "--fold-embargo", 0, "--meta-features", "probabilities", "--members",
                          ",".join(f"linear:l2={l2},tolerance=1e-8,max-iterations=5000" for l2 in members),
                          "--meta", "linear:l2=0.01,tolerance=1e-9,max-iterations=5000")


def logistic(l2, n):
    return make_pipeline(StandardScaler(), LogisticRegression(C=2 / (n * l2), tol=1e-10, max_iter=20000))


meta = np.zeros((TRAIN, len(members)))
for fold_train, fold_test in KFold(5).split(x[:TRAIN]):
    for i, l2 in enumerate(members):  # garam's penalty is by the row: a fold has fewer
        model = logistic(l2, len(fold_train)).fit(x[fold_train], y[fold_train])
        meta[fold_test, i] = model.predict_proba(x[fold_test])[:, 1]
peer = logistic(0.01, TRAIN).fit(meta, y[:TRAIN])
ours = package.get_tensor("learner.meta.weight")
for i, (a, b) in enumerate(zip(ours[1] - ours[0], peer[-1].coef_[0])):
    near(f"stack: coefficient of member {i}", float(a), float(b), 1e-5)
final = [logistic(l2, TRAIN).fit(x[:TRAIN], y[:TRAIN]) for l2 in members]
theirs = peer.score(np.stack([m.predict_proba(x[480:])[:, 1] for m in final], axis=1), y[480:])
near("stack: accuracy", garam_json("evaluate", path("s.safetensors"), path("cancer.csv"))["accuracy"], theirs, 1e-9)

# ---- bagging ----
package, _ = train("cancer.csv", "b.safetensors", "--task", "binary", "--model", "bagging", "--bags", 30, "--member",
                   "gbdt:rounds=1,leaves=64,learning-rate=1,early-stopping=0,min-rows=1,min-hessian=0")
ours = garam_json("evaluate", path("b.safetensors"), path("cancer.csv"))["accuracy"]
peer = BaggingClassifier(DecisionTreeClassifier(), n_estimators=30, oob_score=True, random_state=1).fit(x[:TRAIN], y[:TRAIN])
near("bagging of trees: accuracy", ours, peer.score(x[480:], y[480:]), 0.04)
near("bagging of trees: accuracy out of bag", float(package.get_tensor("learner.oob")[1]), peer.oob_score_, 0.03)

# ---- gradient boosting: the training loss after each round ----
generator = np.random.default_rng(5)
steps = generator.integers(0, 60, size=(560, 4)).astype(float)  # few values: histograms are exact
value = np.sin(steps[:, 0] / 9) + 0.1 * steps[:, 1] + generator.normal(size=560) * 0.2
write("values.csv", steps, value)
package, manifest = train("values.csv", "g.safetensors", "--task", "regression", "--model", "boosting", "--rounds", 20,
                          "--learning-rate", 0.3, "--early-stopping", 0, "--member", stumps + ",bin-rows=1")
peer = GradientBoostingRegressor(max_depth=1, n_estimators=20, learning_rate=0.3)
peer.fit(steps[:TRAIN], value[:TRAIN])
for round, (ours, theirs) in enumerate(zip(manifest["fit"]["train_loss"], peer.train_score_)):
    near(f"gradient boosting: training loss of round {round}", ours, float(theirs), 1e-5)
