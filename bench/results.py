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
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# name, file, options of train. Snapshots of a book come twice a second: ten of them are a horizon of 5 s.
DATA = [
    ("eurusd-1h", "bars/eurusd-1h.csv.gz", []),
    ("spy-1h", "bars/spy-1h.csv.gz", []),
    ("aapl-1h", "bars/aapl-1h.csv.gz", []),
    ("btcusd-1m", "bars/btcusd-1m.csv.gz", []),
    ("shfe-rb2510-20250605", "book/shfe-rb2510-20250605.csv.gz", ["--horizon", "10"]),
]


def run(command, capture=True):
    print("$ " + " ".join(command), file=sys.stderr, flush=True)
    result = subprocess.run(command, capture_output=capture, text=True)
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
        began = time.time()
        trained = json.loads(run([a.garam, "train", path, "--model", a.model, *preset, *options, *repair, "--seed",
                                  a.seed, "--out", model, "--json", "--quiet"]))
        seconds = time.time() - began
        report = os.path.join(a.out, f"{name}-{a.model}.html")
        scores = json.loads(run([a.garam, "evaluate", model, path, "--report", report, "--json", "--quiet"]))
        rows.append((name, described, trained, scores, seconds))
        print(f"{name}: accuracy {scores['accuracy']:.4f}, macro-F1 {scores['macro_f1']:.4f}", file=sys.stderr)

    print("| data | scored rows | accuracy, % | majority | persistence | momentum | macro-F1, % | majority | persistence "
          "| momentum | log loss | ECE | coverage at 95 % |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, _, _, s, _ in rows:
        b = s["baselines"]
        cells = [name, str(s["rows"]), percent(s["accuracy"]) + interval(s, "accuracy")]
        cells += [percent(b[k]["accuracy"]) for k in ("majority", "persistence", "momentum")]
        cells += [percent(s["macro_f1"]) + interval(s, "macro_f1")]
        cells += [percent(b[k]["macro_f1"]) for k in ("majority", "persistence", "momentum")]
        cells += [f"{s['log_loss']:.4f}", f"{s['calibration_error']:.3f}", percent(s["coverage_at_95"]) + " %"]
        print("| " + " | ".join(cells) + " |")
    print()
    print("| data | Sharpe net | deflated | net return, % | buy and hold, % | max drawdown, % | epochs (best) | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name, _, t, s, seconds in rows:
        k = s.get("backtest") or {}
        number = lambda v, f: "-" if v is None else format(v, f)  # noqa: E731
        print(f"| {name} | {number(k.get('sharpe'), '.2f')} | {number(k.get('deflated_sharpe'), '.2f')} "
              f"| {percent(k.get('net_return'))} | {percent(k.get('buy_and_hold'))} | {percent(k.get('max_drawdown'))} "
              f"| {t['epochs']} ({t['best_epoch']}) | {seconds:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
