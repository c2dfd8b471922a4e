"""Reinforcement learning beside published returns, row by row:

    python3 bench/rl.py [--only TEXT] [--seeds 10] [--scale 1] [--threads N] [--out FOLDER] [--print] [--garam PATH]

Each row is one `garam rl train ... --json`, whose answer is kept in --out (build/rl): what is there already is not run
again, and --print only prints. The table is that of docs/reinforcement-learning.md: interquartile mean over seeds with its
95 % interval, of the policies that are kept, on held-out episodes that decided nothing; "met" when the worse end of the
interval is beyond the gate. --scale 0.01 runs a hundredth of the steps: a rehearsal, whose figures say nothing; --only takes
rows that have the text in their command. Needs only Python's standard library.
"""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# environment, agent, steps, further options, published, gate. "exact" rows are by how much of the optimum is lost, from
# the exact value of the policy.
EPISODES = ["--eval-episodes", "200", "--episodes", "500"]  # of 25 steps: many, so that luck does not decide what is kept
WEALTH = ["--reward", "wealth", "--keep", "last"]  # what happened, luck and all
EXPECTED = ["--reward", "expected"]  # less the luck, of expectation 0, in what is learnt from
ROWS = [
    ("Pendulum-v1", "ddpg", 20_000, [], "-152.1", -160),
    ("Pendulum-v1", "td3", 20_000, [], "-151.9", -160),
    ("Pendulum-v1", "sac", 20_000, [], "-157.0", -160),
    ("Pendulum-v1", "sac", 20_000, ["--gamma", "0.99", "--updates", "2", "--critic-hidden", "256,256", "--eval-episodes",
                                    "100", "--episodes", "2000"], "-157.0; stretch", -145),
    ("MountainCarContinuous-v0", "ddpg", 300_000, [], "93.5", 93),
    ("MountainCarContinuous-v0", "td3", 300_000, [], "93.5", 93),
    ("MountainCarContinuous-v0", "sac", 50_000, [], "94.7", 93),
    ("CartPole-v1", "ppo", 100_000, [], "500", 495),
    ("simple_spread", "maddpg", 2_000_000, EPISODES, "77 % of oracle", -11.8),
    ("simple_spread", "matd3", 5_000_000, EPISODES, "", -9.5),
    ("simple_spread", "mappo", 10_000_000, EPISODES, "84 to 96 % of oracle in 20M", -8.4),
    ("simple_tag", "mappo", 5_000_000, [], "greedy chase 44.9", 44.9),
    ("execution", "ppo", 50_000, EXPECTED, "optimum 1,275,356; TWAP +36.9 %", ("exact", 0.01)),
    ("market_making", "ppo", 600_000, EXPECTED + ["--eval-every", "300000", "--eval-episodes", "32"],
     "optimum 66.27; Avellaneda-Stoikov 96.0 %", ("exact", 0.02)),
    ("portfolio", "ppo", 50_000, EXPECTED, "growth .065", ("exact", 0.02)),
    ("execution", "ppo", 1_000_000, WEALTH, "optimum 1,275,356; TWAP +36.9 %", ("exact", 0.01)),
    ("market_making", "ppo", 10_000_000, WEALTH + ["--parallel", "128", "--eval-every", "10000000"],
     "optimum 66.27; Avellaneda-Stoikov 96.0 %", ("exact", 0.02)),
    ("portfolio", "ppo", 2_000_000, WEALTH, "growth .065", ("exact", 0.02)),
]


def command(row, args):
    env, agent, steps, options, _, _ = row
    words = ["rl", "train", "--env", env, "--agent", agent, "--steps", str(max(1000, int(steps * args.scale)))]
    return words + ["--seeds", str(args.seeds), *options]


def name(words):
    return "-".join(w.strip("-") for w in words[2:]).replace("/", "_")


def run(row, args):
    words = command(row, args)
    kept = os.path.join(args.out, name(words) + ".json")
    if os.path.exists(kept):
        with open(kept) as f:
            return json.load(f)
    if args.print:
        return None
    policy = kept.replace(".json", ".safetensors")
    more = ["--threads", str(args.threads)] if args.threads else []
    done = subprocess.run([args.garam, *words, *more, "--json", "--quiet", "--resume", "--out", policy],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(f"garam {' '.join(words)}: exit {done.returncode}", file=sys.stderr)
        return None
    with open(kept + ".part", "w") as f:
        f.write(done.stdout)
    os.replace(kept + ".part", kept)
    return json.loads(done.stdout)


def number(x):
    return f"{x:,.0f}" if abs(x) >= 10_000 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.3f}"


def line(row, result, args):
    env, agent, steps, options, published, gate = row
    words = f"`garam {' '.join(command(row, args))}`"
    what = f"| `{env}`, {agent} | {steps:,} | {published} |"
    if result is None:
        return f"{what} {gate if not isinstance(gate, tuple) else f'{gate[1]:.0%} off'} | not run | | {words} |"
    last = result["last"]
    if isinstance(gate, tuple):
        exact = result.get("exact") or {}
        if "gap" not in exact:
            return f"{what} {gate[1]:.0%} off | no exact value | | {words} |"
        ours = f"{exact['gap']:.2%} off (at most {exact['gap_high']:.2%})"
        met = exact["gap_high"] <= gate[1]
        return f"{what} {gate[1]:.0%} off | {ours} | {'met' if met else '**missed**'} | {words} |"
    ours = f"{number(result['iqm'])} ({number(result['ci_low'])} to {number(result['ci_high'])})"
    met = result["ci_low"] >= gate
    return (f"{what} {gate} | {ours}; last {number(last['iqm'])} | {'met' if met else '**missed**'} | {words} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "rl"))
    parser.add_argument("--print", action="store_true")
    parser.add_argument("--garam", default=os.environ.get("GARAM_COMMAND", os.path.join(ROOT, "build", "garam")))
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    lines = []
    for row in ROWS:
        if args.only not in " ".join(command(row, args)):
            continue
        result = run(row, args)
        lines.append(line(row, result, args))
        if result:
            print(f"{row[0]} {row[1]}: {result['steps_per_second']:,.0f} steps a second, {result['seconds']:,.0f} s",
                  file=sys.stderr)
    print("| environment, agent | steps | published | gate | garam: interquartile mean (95 %) | gate | command |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
