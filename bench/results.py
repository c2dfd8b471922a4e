"""Trains and scores on real markets and prints the tables of docs/results.md.

    python3 bench/results.py [--data FOLDER] [--model transformer] [--preset small] [--only NAME] [--out FOLDER]

For each file: `garam describe`, `garam train`, `garam evaluate --json --report`. Every command is printed as it is run.
Needs only Python's standard library. The data folder is looked for in $GARAM_DATA, else beside the checkout.
"""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# name, file, options of train. Snapshots of a book come twice a second, and its mid moves in whole ticks: the label is
# the mean of the next ten mids (5 s) against the current one.
DATA = [
    ("eurusd-1h", "bars/eurusd-1h.csv.gz", []),
    ("spy-1h", "bars/spy-1h.csv.gz", []),
    ("aapl-1h", "bars/aapl-1h.csv.gz", []),
    ("btcusd-1m", "bars/btcusd-1m.csv.gz", []),
    ("shfe-rb2510-20250605", "book/shfe-rb2510-20250605.csv.gz", ["--label", "smooth", "--horizon", "10"]),
]
BASELINES = ("majority", "persistence", "momentum")


def run(command):
    print("$ " + " ".join(command), file=sys.stderr, flush=True)
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"exit {result.returncode}: {result.stderr}")
    return result.stdout


def percent(value):
    return "-" if value is None else f"{100 * value:.1f}"


def interval(scores, key):
    pair = scores["interval"].get(key)
    return f" ({percent(pair[0])} to {percent(pair[1])})" if pair else ""


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--garam", default=os.path.join(ROOT, "build", "garam"))
    p.add_argument("--data", default=os.environ.get("GARAM_DATA", os.path.join(ROOT, "..", "shared", "data")))
    p.add_argument("--model", default="transformer")
    p.add_argument("--preset", default="small")
    p.add_argument("--seed", default="1")
    p.add_argument("--only")
    p.add_argument("--reuse", action="store_true", help="score the models of the run before, and do not train again")
    p.add_argument("--out", default=os.path.join(ROOT, "build", "results"))
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    rows = []
    for name, file, options in DATA:
        path = os.path.join(a.data, file)
        if a.only and a.only != name:
            continue
        if not os.path.exists(path):
            print(f"{path} is not there; left out", file=sys.stderr)
            continue
        model = os.path.join(a.out, f"{name}-{a.model}.safetensors")
        described = json.loads(run([a.garam, "describe", path, "--json"]))
        preset = ["--preset", a.preset] if a.model != "linear" else []
        # What a table needs is asked for: nothing is repaired in silence.
        repair = []
        if described.get("duplicates") or described.get("unsorted"):
            repair = ["--repair", "sort,deduplicate"]
        kept = model + ".json"
        if a.reuse and os.path.exists(kept):
            with open(kept) as f:
                trained = json.load(f)
        else:
            trained = json.loads(run([a.garam, "train", path, "--model", a.model, *preset, *options, *repair, "--seed",
                                      a.seed, "--out", model, "--json", "--quiet"]))
            with open(kept, "w") as f:
                json.dump(trained, f)
        report = os.path.join(a.out, f"{name}-{a.model}.html")
        scores = json.loads(run([a.garam, "evaluate", model, path, "--report", report, "--json", "--quiet"]))
        rows.append((name, trained, scores))
        print(f"{name}: accuracy {scores['accuracy']:.4f}, macro-F1 {scores['macro_f1']:.4f}", file=sys.stderr)

    print("| data | rows | accuracy, % | majority | persistence | momentum | macro-F1 | majority | persistence | momentum |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, _, s in rows:
        b = s["baselines"]
        cells = [name, f"{s['rows']:,}", percent(s["accuracy"]) + interval(s, "accuracy")]
        cells += [percent(b[k]["accuracy"]) for k in BASELINES]
        cells += [f"{s['macro_f1']:.3f}"] + [f"{b[k]['macro_f1']:.3f}" for k in BASELINES]
        print("| " + " | ".join(cells) + " |")
    print()
    print("| data | direction, % | commoner one | log loss | calibration error | coverage at 95 %, % | conformal coverage, % "
          "| net return, % | before costs | buy and hold | deflated Sharpe | epochs (best) | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, t, s in rows:
        d, k = s["direction"], s["backtest"]
        cells = [name, percent(d["accuracy"]) + f" ({percent(d['interval'][0])} to {percent(d['interval'][1])})",
                 percent(d["majority"]), f"{s['log_loss']:.4f}", f"{s['calibration_error']:.3f}",
                 percent(s["coverage_at_95"]), percent(s["conformal"]["coverage"]), percent(k["net_return"]),
                 percent(k["gross_return"]), percent(k["buy_and_hold"]), f"{k['deflated_sharpe']:.2f}",
                 f"{t['epochs']} ({t['best_epoch']})", f"{t['seconds']:.0f}"]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    sys.exit(main())
