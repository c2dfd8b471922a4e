"""One row and a batch through boosted trees: garam beside LightGBM and XGBoost, in turn, in one run.

    build/peers/bin/python bench/trees_predict.py [--rows 1000000] [--threads 1] [--pairs 3]

LightGBM and XGBoost train 100 trees of 63 leaves on 28 features; their own models are measured in their own Python calls
(one row: LightGBM's, and XGBoost's inplace_predict, call overhead and all; batch: the whole call), and garam measures trees of
the same shape with `garam bench predict`. A ratio over 1 means that garam is faster."""

import argparse
import json
import os
import statistics
import subprocess
import time

import lightgbm as lgb
import numpy as np
import xgboost as xgb

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--garam", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "garam"))
p.add_argument("--rows", type=int, default=1000000)
p.add_argument("--threads", type=int, default=1)
p.add_argument("--pairs", type=int, default=3)
a = p.parse_args()

generator = np.random.default_rng(0)
x = generator.normal(size=(a.rows, 28)).astype(np.float32)
fit = x[:20000]
y = (fit[:, :14].sum(1) + fit[:, 0] * fit[:, 1] + generator.normal(size=len(fit)) > 0).astype(int)
ours_settings = ["--trees", "100", "--leaves", "63", "--features", "28", "--rows", str(a.rows), "--seconds", "1",
                 "--threads", str(a.threads), "--model", "gbdt", "--json"]
settings = {"num_leaves": 63, "objective": "binary", "verbose": -1, "num_threads": a.threads}
light = lgb.train(settings, lgb.Dataset(fit, y), 100)
x_settings = {"max_leaves": 63, "max_depth": 0, "grow_policy": "lossguide", "objective": "binary:logistic", "nthread": a.threads}
booster = xgb.train(x_settings, xgb.DMatrix(fit, y), 100)


def median_us(call, n=2000):
    times = []
    for i in range(n):
        row = x[i:i + 1]
        begun = time.perf_counter_ns()
        call(row)
        times.append(time.perf_counter_ns() - begun)
    return statistics.median(times) / 1000


def seconds(call):
    begun = time.perf_counter()
    call(x)
    return time.perf_counter() - begun


calls = {
    "LightGBM": lambda rows: light.predict(rows, raw_score=True, num_threads=a.threads),
    "XGBoost": lambda rows: booster.inplace_predict(rows, predict_type="margin"),
}
one, batch = {k: [] for k in ("garam", *calls)}, {k: [] for k in ("garam", *calls)}
for _ in range(a.pairs):
    ours = json.loads(subprocess.run([a.garam, "bench", "predict", *ours_settings], capture_output=True, check=True).stdout)
    one["garam"].append(ours["p50_ns"] / 1000)
    batch["garam"].append(ours["batch_seconds"])
    for name, call in calls.items():
        one[name].append(median_us(call))
        batch[name].append(seconds(call))
for name in one:
    o, b = statistics.median(one[name]), statistics.median(batch[name])
    print(f"{name:9s} one row {o:8.2f} us ({o / statistics.median(one['garam']):5.1f})   "
          f"{a.rows} rows {b:7.3f} s ({b / statistics.median(batch['garam']):5.1f})")
