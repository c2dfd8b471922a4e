"""Boosting, a forest, a transformer, their stack and the dynamic ensemble on four markets, in one table with intervals.

    python3 bench/ensembles.py [--data FOLDER] [--only NAME] [--models gbdt,forest] [--slice SECONDS] [--once] [--out FOLDER]

What is there already is not made again: a package and its scores stay in --out. A training run is stopped after --slice
seconds and taken up from its checkpoint, bit for bit, so that the whole can be made in pieces; with --once one slice is
run, and the exit code is 3 while there is more to do:

    until python3 bench/ensembles.py --slice 75 --once; do :; done

The data:
  eurusd-1h, spy-1h   hourly bars, next bar, three classes; the first 70 % train, 15 % validate, 15 % are scored
  shfe-rb2510         an order book twice a second; the mean of the next ten mids against the current one. The first day
                      trains, the second validates, the third is scored
  stocknet            daily bars of 88 US stocks after the ACL18 protocol (Xu & Cohen 2018; features as Feng et al. 2019):
                      up or down of the next adjusted close, moves from -0.5 % to 0.55 % left out; trained on 2014-01-01 to
                      2015-07-31, validated to 2015-09-30, scored to 2015-12-31. A row is a stock and a day, with the eleven
                      published features of that day and of the four days before. So the transformer sees a window of one
                      row there, and is no more than a network over it.

Needs only Python's standard library. The data folder is looked for in $GARAM_DATA, else beside the checkout.
"""

import argparse
import csv
import glob
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

GBDT = "gbdt:rounds=1000,learning-rate=0.03,leaves=15,min-rows=200"
FOREST = "forest:trees=200,min-leaf=50"
NET, NET_ROW = "transformer:tiny", "transformer:tiny,seq=1"
BARS, BOOK, STOCKS = "bars", "book", "stocks"


def settings(spec):
    """--model NAME and its flags, of a member as --members has it."""
    name, _, rest = spec.partition(":")
    flags = ["--model", name]
    for piece in filter(None, rest.split(",")):
        key, equals, value = piece.partition("=")
        flags += [f"--{key}", value] if equals else ["--preset", key]
    return flags


def models(kind):
    net = NET_ROW if kind == STOCKS else NET
    members = ",".join([GBDT, FOREST, net])
    embargo = ["--fold-embargo", "88"] if kind == STOCKS else []  # a day of rows: plain tables know no label's end
    hold = ["--hold-embargo", "88"] if kind == STOCKS else []
    return {
        "gbdt": settings(GBDT),
        "forest": settings(FOREST),
        "transformer": settings(net),
        "stack": ["--model", "stack", "--members", members, "--folds", "4", *embargo],
        "selection": ["--model", "stack", "--members", members, "--folds", "4", "--meta", "greedy", *embargo],
        "dynamic": ["--model", "dynamic", "--members", members, *hold],
    }


# ---- data ------------------------------------------------------------------------------------------------------------


def stocknet(folder, out):
    """The table of the protocol above; returns how many rows train and validate."""
    rows = []
    for path in sorted(glob.glob(os.path.join(folder, "daily", "stocknet", "*.csv"))):
        with open(path, newline="") as f:
            days = [d for d in csv.DictReader(f) if all(d[k] not in ("", "null") for k in ("Open", "Adj Close"))]
        days.sort(key=lambda d: d["Date"])
        o, h, l, c, a = ([float(d[k]) for d in days] for k in ("Open", "High", "Low", "Close", "Adj Close"))
        features = {}
        for t in range(30, len(days)):
            means = [sum(a[t - n + 1:t + 1]) / n / a[t] - 1 for n in (5, 10, 15, 20, 25, 30)]
            features[t] = [o[t] / c[t] - 1, h[t] / c[t] - 1, l[t] / c[t] - 1, c[t] / c[t - 1] - 1, a[t] / a[t - 1] - 1] + means
        for t in range(34, len(days) - 1):
            move = a[t + 1] / a[t] - 1
            # The day that is predicted is in the period, as in the protocol.
            if not "2014-01-01" <= days[t + 1]["Date"] <= "2015-12-31" or -0.005 < move < 0.0055:
                continue
            rows.append((days[t]["Date"], days[t + 1]["Date"], os.path.basename(path)[:-4],
                         [v for lag in range(5) for v in features[t - lag]], "up" if move > 0 else "down"))
    rows.sort(key=lambda r: (r[0], r[2]))
    names = ["open", "high", "low", "close", "adj"] + [f"mean{n}" for n in (5, 10, 15, 20, 25, 30)]
    with open(out, "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(["date"] + [f"{n}_{lag}" for lag in range(5) for n in names] + ["y"])
        for date, _, _, values, y in rows:
            w.writerow([date] + [f"{v:.7g}" for v in values] + [y])
    train = sum(r[1] < "2015-08-01" for r in rows)
    valid = sum("2015-08-01" <= r[1] < "2015-10-01" for r in rows)
    return train, valid, len(rows)


def data_of(folder, out):
    """name: kind, file to train on, options of train, file to score."""
    book = [os.path.join(folder, "book", f"shfe-rb2510-202506{day}.csv.gz") for day in ("05", "06", "09")]
    bars = [os.path.join(folder, "bars", f"{name}.csv.gz") for name in ("eurusd-1h", "spy-1h")]
    sets = {
        "eurusd-1h": (BARS, bars[0], [], bars[0]),
        "spy-1h": (BARS, bars[1], [], bars[1]),
        "shfe-rb2510": (BOOK, book[0], ["--valid", book[1], "--label", "smooth", "--horizon", "10"], book[2]),
    }
    table = os.path.join(out, "stocknet.csv")
    if os.path.isdir(os.path.join(folder, "daily", "stocknet")):
        train, valid, n = stocknet(folder, table)
        sets["stocknet"] = (STOCKS, table, ["--target", "y", "--task", "binary", "--train-share", f"{train / n:.12f}",
                                            "--valid-share", f"{valid / n:.12f}", "--embargo", "0"], table)
    return {name: s for name, s in sets.items() if os.path.exists(s[1]) and os.path.exists(s[3])}


# ---- runs ------------------------------------------------------------------------------------------------------------


def slice_of(command, seconds):
    """Runs a command for at most so long: its output, or None where it was interrupted and kept a checkpoint."""
    print("$ " + " ".join(command), file=sys.stderr, flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=seconds or None)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        if process.returncode != 0 and "interrupted" in err:
            return None
    if process.returncode != 0:
        sys.exit(f"exit {process.returncode}: {err}")
    return out


def train(a, model, command, package):
    """True when the package is there; False when a slice was spent on it and it is not done."""
    kept, clock = package + ".train.json", package + ".seconds"
    if os.path.exists(kept):
        return True
    while True:
        resume = ["--resume"] if os.path.exists(package + ".checkpoint") else []
        begun = time.monotonic()
        out = slice_of(command + resume, a.slice)
        spent = time.monotonic() - begun
        if os.path.exists(clock):
            with open(clock) as f:
                spent += float(f.read())
        with open(clock, "w") as f:
            f.write(str(spent))
        if out is not None:
            trained = json.loads(out)
            trained["wall_seconds"] = spent
            with open(kept, "w") as f:
                json.dump(trained, f)
            return True
        if a.once:
            return False


def percent(value):
    return "-" if value is None else f"{100 * value:.1f}"


def with_interval(value, pair):
    return percent(value) + (f" ({percent(pair[0])} to {percent(pair[1])})" if pair else "")


def line(cells):
    print("| " + " | ".join(cells) + " |")


def print_models(rows):
    line(["data", "model", "rows", "accuracy, %", "majority", "direction, %", "commoner", "macro-F1", "MCC", "log loss",
          "net return, %", "before costs", "seconds"])
    print("|" + "---|" * 13)
    for name, model, s, t in rows:
        direction, backtest = s.get("direction"), s.get("backtest")
        line([name, model, f"{s['rows']:,}", with_interval(s["accuracy"], s["interval"].get("accuracy")),
              percent(s["baselines"]["majority"]["accuracy"]),
              with_interval(direction["accuracy"], direction["interval"]) if direction else "-",
              percent(direction["majority"]) if direction else "-", f"{s['macro_f1']:.3f}", f"{s['mcc']:.3f}",
              f"{s['log_loss']:.4f}", percent(backtest["net_return"]) if backtest else "-",
              percent(backtest["gross_return"]) if backtest else "-", f"{t['wall_seconds']:.0f}"])


def print_parts(rows):
    """The dynamic ensemble beside its members and their plain mean, each alone on the same rows."""
    print()
    line(["data", "", "accuracy, %", "log loss", "net return, %", "before costs", "turnover a year"])
    print("|" + "---|" * 7)
    for name, model, s, _ in rows:
        if model != "dynamic":
            continue
        weights, market = s["detail"]["stream"]["weights"], s.get("backtest")
        for part in [dict(s, name="**dynamic**", **(market or {})), *s["detail"]["parts"]]:
            title = part["name"].split(":")[0]
            if part["name"] in weights:
                title += f", weight in the end {weights[part['name']]:.2f}"
            money = ["-"] * 3
            if market:
                money = [percent(part["net_return"]), percent(part["gross_return"]), f"{part['turnover']:,.0f}"]
            line([name, title, percent(part["accuracy"]), f"{part['log_loss']:.4f}", *money])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--garam", default=os.path.join(ROOT, "build", "garam"))
    p.add_argument("--data", default=os.environ.get("GARAM_DATA", os.path.join(ROOT, "..", "shared", "data")))
    p.add_argument("--only", help="one set of data")
    p.add_argument("--models", help="some of the models, parted by commas")
    p.add_argument("--seed", default="1")
    p.add_argument("--slice", type=float, default=0, help="seconds after which a training run is stopped and taken up again")
    p.add_argument("--once", action="store_true", help="run one slice; exit with 3 while there is more to do")
    p.add_argument("--out", default=os.path.join(ROOT, "build", "ensembles"))
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    rows, worked = [], False
    for name, (kind, file, options, scored) in data_of(a.data, a.out).items():
        if a.only and a.only != name:
            continue
        for model, flags in models(kind).items():
            if a.models and model not in a.models.split(","):
                continue
            package = os.path.join(a.out, f"{name}-{model}-{a.seed}.safetensors")
            scores_path = package + ".scores.json"
            if not os.path.exists(scores_path):
                if a.once and worked:
                    return 3
                worked = True
                command = [a.garam, "train", file, *flags, *options, "--seed", a.seed, "--out", package, "--json", "--quiet"]
                if not train(a, model, command, package):
                    return 3
                out = slice_of([a.garam, "evaluate", package, scored, "--json", "--quiet"], 0)
                with open(scores_path, "w") as f:
                    f.write(out)
            with open(scores_path) as f, open(package + ".train.json") as g:
                rows.append((name, model, json.load(f), json.load(g)))

    print_models(rows)
    print_parts(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
