"""Agents that trade real bars, walk-forward and net of costs, beside scripts that need no learning.

    python3 bench/rl_markets.py [--data FOLDER] [--only MARKET] [--agents ppo] [--steps N] [--seeds 10] [--folds 5]
                                [--jobs 2] [--out FOLDER] [--garam PATH]

Five folds: the first half of the rows and all that came before a test part train, the next tenth tests; so the second half
is tested once, a tenth at a time, by agents that have seen nothing of it. Ten seeds a fold. A decision is filled in the next
row, half a spread, fee and slippage off (env bars); what is held at the end of a test part is sold.

What is there already is not made again: policies and scores stay in --out. The data:

  spy-1h      hourly bars of an index fund, without dividends; long or out
  eurusd-1h   hourly quotes; long or short, the spread is that of the quotes
  sp500-20    daily adjusted closes of 20 stocks that were large in 2022 (survivors: buy-and-hold is flattered, and so is
              all that holds them); shares of wealth in each
  simulated   regimes with momentum, where there is something to learn (market/simulator.c)
  walk        a random walk, where there is nothing to learn

Scores are log returns in percent over a test part, net. The last column is over all folds: interquartile mean of the seeds
with a stratified bootstrap interval (Agarwal et al. 2021). Needs only Python's standard library. The data folder is looked
for in $GARAM_DATA, else beside the checkout.
"""

import argparse
import concurrent.futures
import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

MARKETS = {
    "spy-1h": ["--data", "{data}/bars/spy-1h.csv.gz"],
    "eurusd-1h": ["--data", "{data}/bars/eurusd-1h.csv.gz", "--low", "-1"],
    "sp500-20": ["--data", "{data}/daily/sp500-20-stocks-close.csv.gz", "--assets", "all", "--features", "returns",
                 "--window", "20"],
    "simulated": ["--data", "{out}/simulated.csv", "--low", "-1"],
    "walk": ["--data", "{out}/walk.csv", "--low", "-1"],
}
SCRIPTS = ["buy_and_hold", "equal_weight", "twap", "zero"]
SIMULATED = {"simulated": [], "walk": ["--regimes", "1", "--momentum", "0"]}


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else {}


def fold_flags(fold, folds):
    start = 0.5 + 0.5 * fold / folds
    return ["--train-range", f"0:{start:.4f}", "--test-range", f"{start:.4f}:{start + 0.5 / folds:.4f}"]


def score(path, command):
    """The net log return over the test part; kept in a file beside the policy."""
    if not os.path.exists(path):
        result = run(command + ["--part", "test", "--episodes", "1", "--seeds", "1", "--json"])
        with open(path + ".part", "w", encoding="utf-8") as f:
            json.dump(result, f)
        os.replace(path + ".part", path)
    with open(path, encoding="utf-8") as f:
        return json.load(f)["returns"][0]


def one_seed(args, market, agent, fold, seed):
    """Trains on the fold's training part, and scores what was learnt on its test part."""
    base = os.path.join(args.out, f"{market}-{agent}-{args.steps}-{fold}-{seed}")
    policy = base + ".safetensors"
    flags = [f.format(data=args.data, out=args.out) for f in MARKETS[market]] + fold_flags(fold, args.folds)
    if not os.path.exists(policy):
        run([args.garam, "rl", "train", "--env", "bars", "--agent", agent, "--steps", str(args.steps), "--seeds", "1", "--seed",
             str(1000 * fold + seed), "--eval-every", str(args.steps), "--eval-episodes", "2", "--episodes", "2", "--keep",
             "last", "--threads", "1", "--out", policy, "--quiet"] + flags)
    return score(base + ".json", [args.garam, "rl", "evaluate", policy, "--env", "bars"] + flags)


def iqm(values):
    values = sorted(values)
    cut = len(values) // 4
    middle = values[cut:len(values) - cut]
    return sum(middle) / len(middle)


def interval(by_fold, draws=2000):
    """Interquartile mean of the sums over folds, seeds drawn again within each fold."""
    r = random.Random(1)
    folds = list(by_fold)
    n = len(folds[0])
    value = iqm([sum(f[k] for f in folds) for k in range(n)])
    drawn = sorted(iqm([sum(f[r.randrange(n)] for f in folds) for _ in range(n)]) for _ in range(draws))
    return value, drawn[int(0.025 * draws)], drawn[int(0.975 * draws) - 1]


def table(args, market, rows):
    print(f"\n{market}: net log return in percent, {args.folds} folds, {args.seeds} seeds, {args.steps} steps each")
    print(f"{'':14s}" + "".join(f"{'fold ' + str(k + 1):>10s}" for k in range(args.folds)) + f"{'all folds':>26s}")
    for name, by_fold in rows:
        line = f"{name:14s}" + "".join(f"{iqm(v):10.2f}" for v in by_fold)
        if len(by_fold[0]) == 1:
            line += f"{sum(v[0] for v in by_fold):10.2f}"
        else:
            value, low, high = interval(by_fold)
            line += f"{value:10.2f} ({low:.2f} to {high:.2f})"
        print(line)
    sys.stdout.flush()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", default=os.environ.get("GARAM_DATA", os.path.join(ROOT, "..", "shared", "data")))
    p.add_argument("--only", action="append", choices=list(MARKETS))
    p.add_argument("--agents", default="ppo")
    p.add_argument("--steps", type=int, default=40000)
    p.add_argument("--seeds", type=int, default=10)
    p.add_argument("--folds", type=int, default=5)
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    p.add_argument("--out", default="rl-markets")
    p.add_argument("--garam", default=os.path.join(ROOT, "build", "garam"))
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for name, flags in SIMULATED.items():
        path = os.path.join(args.out, name + ".csv")
        if not os.path.exists(path):
            subprocess.run([args.garam, "simulate", "--rows", "20000", "--seed", "5", "--out", path, "--quiet"] + flags, check=True,
                           stdout=subprocess.DEVNULL)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for market in args.only or list(MARKETS):
            first = MARKETS[market][1].format(data=args.data, out=args.out)
            if not os.path.exists(first):
                print(f"{market}: {first} is not there: left out")
                continue
            rows = []
            for script in SCRIPTS:
                flags = [f.format(data=args.data, out=args.out) for f in MARKETS[market]]
                rows.append((script, [[score(os.path.join(args.out, f"{market}-{script}-{k}.json"),
                                             [args.garam, "rl", "evaluate", "--env", "bars", "--agent", script] + flags +
                                             fold_flags(k, args.folds))] for k in range(args.folds)]))
            for agent in args.agents.split(","):
                jobs = [[pool.submit(one_seed, args, market, agent, k, s) for s in range(args.seeds)] for k in range(args.folds)]
                rows.append((agent, [[j.result() for j in fold] for fold in jobs]))
            table(args, market, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
