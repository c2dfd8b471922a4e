"""garam's boosting beside LightGBM's and XGBoost's, in turn, in one run.

    build/peers/bin/python bench/trees.py [--pairs 3] [--threads 1,2] [--only 7k,100k,1m] [--json FILE]

Each size is made up by `garam bench train --save-data` and read by the peers from that file: the same rows, the same
settings (learning rate 0.1, 255 bins, at least 20 rows and hessian 1e-3 a leaf), float32 in memory. Times are of the whole
fit, bins included; accuracy is on rows that none was trained on; memory is what the process holds at most beyond what it
held before the fit. The peers have their best settings: LightGBM chooses rows or columns itself, XGBoost grows by loss on
histograms from a QuantileDMatrix. A ratio over 1 means that garam is faster. --clock cpu takes the ratios from processor
time instead of the wall's: on a machine that other work shares, and for one thread, the steadier of the two.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SIZES = {"7k": (7000, 28), "100k": (100000, 50), "1m": (1000000, 28)}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--garam", default=os.path.join(ROOT, "build", "garam"))
    p.add_argument("--pairs", type=int, default=3)
    p.add_argument("--threads", default="1,2")
    p.add_argument("--only", default="7k,100k,1m")
    p.add_argument("--leaves", default="63,255")
    p.add_argument("--rounds", type=int, default=100)
    p.add_argument("--peers", default="lightgbm,xgboost")
    p.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    p.add_argument("--json")
    p.add_argument("--worker", choices=["lightgbm", "xgboost"], help=argparse.SUPPRESS)
    p.add_argument("--data", help=argparse.SUPPRESS)
    return p.parse_args()


def peak():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def worker(a):
    """One fit of a peer: seconds, scores, memory as JSON."""
    import time

    import numpy as np
    from safetensors.numpy import load_file

    d = load_file(a.data)
    leaves, threads = int(a.leaves), int(a.threads)
    x, y, test_x, test_y = d["x"], d["y"].astype(np.float32), d["test_x"], d["test_y"]
    if a.worker == "lightgbm":
        import lightgbm as lgb

        params = dict(objective="binary", num_leaves=leaves, learning_rate=0.1, max_bin=255, min_data_in_leaf=20,
                      min_sum_hessian_in_leaf=1e-3, num_threads=threads, verbosity=-1)
        before, begun, cpu = peak(), time.perf_counter(), time.process_time()
        model = lgb.train(params, lgb.Dataset(x, y, params=params, free_raw_data=False), a.rounds)
        seconds, cpu, after = time.perf_counter() - begun, time.process_time() - cpu, peak()
        p = model.predict(test_x)
    else:
        import xgboost as xgb

        params = dict(objective="binary:logistic", tree_method="hist", grow_policy="lossguide", max_leaves=leaves,
                      max_depth=0, learning_rate=0.1, max_bin=255, min_child_weight=1e-3, reg_lambda=0, nthread=threads)
        before, begun, cpu = peak(), time.perf_counter(), time.process_time()
        model = xgb.train(params, xgb.QuantileDMatrix(x, y, max_bin=255, nthread=threads), a.rounds)
        seconds, cpu, after = time.perf_counter() - begun, time.process_time() - cpu, peak()
        p = model.predict(xgb.DMatrix(test_x))
    p = np.clip(p.astype(np.float64), 1e-15, 1 - 1e-15)
    loss = -np.mean(np.where(test_y == 1, np.log(p), np.log(1 - p)))
    order = np.argsort(p, kind="stable")
    ranks = np.empty(len(p))
    ranks[order] = np.arange(1, len(p) + 1)
    ones = test_y == 1
    auc = (ranks[ones].sum() - ones.sum() * (ones.sum() + 1) / 2) / (ones.sum() * (~ones).sum())
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "auc": auc, "log_loss": loss, "memory": after - before}))


def fit_peer(a, name, data, leaves, threads):
    command = [sys.executable, __file__, "--worker", name, "--data", data, "--leaves", str(leaves), "--threads",
               str(threads), "--rounds", str(a.rounds)]
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.splitlines()[-1])


def fit_garam(a, rows, features, leaves, threads, save=None):
    command = [a.garam, "bench", "train", "--model", "gbdt", "--rows", str(rows), "--features", str(features), "--leaves",
               str(leaves), "--rounds", str(a.rounds if not save else 1), "--threads", str(threads), "--json"]
    if save:
        command += ["--save-data", save]
    r = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    r["memory"] = r["peak_resident"] - r["resident_before"]
    return r


def main():
    a = arguments()
    if a.worker:
        return worker(a)
    peers, table = a.peers.split(","), []
    with tempfile.TemporaryDirectory() as folder:
        for size in a.only.split(","):
            rows, features = SIZES[size]
            data = os.path.join(folder, "rows.safetensors")
            fit_garam(a, rows, features, 2, 2, save=data)
            for threads in map(int, a.threads.split(",")):
                for leaves in map(int, a.leaves.split(",")):
                    runs = {name: [] for name in ["garam"] + peers}
                    for _ in range(a.pairs):
                        runs["garam"].append(fit_garam(a, rows, features, leaves, threads))
                        for name in peers:
                            runs[name].append(fit_peer(a, name, data, leaves, threads))
                    one = {"rows": rows, "features": features, "leaves": leaves, "threads": threads}
                    clock = "cpu_seconds" if a.clock == "cpu" else "seconds"
                    for name, got in runs.items():
                        one[name] = {"seconds": statistics.median(r[clock] for r in got),
                                     "memory": max(r["memory"] for r in got), "auc": got[0]["auc"],
                                     "log_loss": got[0]["log_loss"]}
                        ratios = [r[clock] / g[clock] for r, g in zip(got, runs["garam"])]
                        one[name]["ratio"] = statistics.median(ratios)
                        one[name]["ratios"] = [min(ratios), max(ratios)]
                        one[name]["all_seconds"] = [r[clock] for r in got]
                    table.append(one)
                    for name in runs:
                        r = one[name]
                        print(f"{size:>5} x {features}, {leaves:>3} leaves, {threads} threads: {name:<9} {r['seconds']:7.3f} s  "
                              f"ratio {r['ratio']:5.2f} ({r['ratios'][0]:.2f} to {r['ratios'][1]:.2f})  AUC {r['auc']:.5f}  "
                              f"log loss {r['log_loss']:.5f}  {r['memory'] / 2**20:6.0f} MiB", flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(table, f, indent=1)


main()
