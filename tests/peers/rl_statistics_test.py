"""`garam rl compare` beside scipy: interquartile means, probability of improvement and performance profiles as rliable
defines them (Agarwal et al. 2021), and bootstrap intervals beside those of numpy's generator."""

import json
import sys

import numpy as np
from scipy import stats

from common import check, garam_json, near, path

rng = np.random.default_rng(3)
scores = {"a": rng.normal(-150, 20, 10), "b": rng.normal(-165, 30, 8)}
scores["b"][:2] = scores["a"][:2]  # ties
for name, x in scores.items():
    with open(path(f"{name}.json"), "w") as f:
        json.dump({"env": "Pendulum-v1", "agent": name, "returns": list(map(float, x))}, f)
out = garam_json("rl", "compare", path("a.json"), path("b.json"))

DRAWS = 200_000
drawn = {n: np.sort(x[rng.integers(0, len(x), (DRAWS, len(x)))], 1) for n, x in scores.items()}
for player in out["players"]:
    x = scores[player["name"]]
    near(f"iqm of {player['name']}", player["iqm"], stats.trim_mean(x, 0.25), 1e-12)
    cut = len(x) // 4
    low, high = np.percentile(drawn[player["name"]][:, cut : len(x) - cut].mean(1), [2.5, 97.5])
    near(f"low end of {player['name']}", player["ci_low"], low, 0.01)
    near(f"high end of {player['name']}", player["ci_high"], high, 0.01)

ab = next(i for i in out["improvement"] if i["x"] == "a")
u = stats.mannwhitneyu(scores["a"], scores["b"], alternative="greater", method="asymptotic").statistic
near("P(a > b)", ab["probability"], u / 80, 1e-12)
x = scores["a"][rng.integers(0, 10, (20000, 10))][:, :, None]
y = scores["b"][rng.integers(0, 8, (20000, 8))][:, None, :]
low, high = np.percentile(((x > y) + 0.5 * (x == y)).mean((1, 2)), [2.5, 97.5])
near("low end of P(a > b)", ab["low"], low, 0.02)
near("high end of P(a > b)", ab["high"], high, 0.02)

runs = min(map(len, scores.values()))
scale = [p for p in out["players"] if p["normalized"] is not None]
for player in out["profiles"]["players"]:
    x = scores[player["name"]][:runs]
    raw = next(p for p in out["players"] if p["name"] == player["name"])
    tau = np.array(out["profiles"]["tau"])
    if scale:  # the unit: 0 random, 1 the best known; found again from two points
        a, b = out["players"]
        slope = (a["normalized"] - b["normalized"]) / (a["iqm"] - b["iqm"])
        x = raw["normalized"] + (x - raw["iqm"]) * slope
    theirs = np.array([(x > t).mean() for t in tau])
    off = np.abs(np.array(player["share"]) - theirs)
    check((off > 1e-9).sum() <= 1, f"the profile of {player['name']} is the share of runs over each score")
sys.exit(0)
