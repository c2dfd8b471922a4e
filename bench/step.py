"""garam's training step beside PyTorch's, in turn, in one run: time and peak memory.

    python bench/step.py                        every row of the table (an hour)
    python bench/step.py --quick                few pairs, and no windows of 1000
    python bench/step.py --rows 't64*' mlp      the rows with these names
    python bench/step.py --list

Every pair times a few steps of garam, then of PyTorch, and gives the ratio of the two medians, so that a machine's moods
meet both. PyTorch runs the same architecture with its best settings: fused AdamW, scaled_dot_product_attention, eager and
torch.compile (the faster of the two counts), bf16 by autocast, all threads. Its process stays up between pairs and sleeps
while garam runs. Memory: the peak of the whole process of garam, against what PyTorch's took beyond its imports. Run it
with the peers' interpreter: build/peers/bin/python (made by ./test --peers).
"""

import argparse
import fnmatch
import json
import os
import select
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BASE = dict(d_model=512, heads=8, layers=6, d_ff=2048, batch=32)
SMALL = dict(d_model=64, heads=4, layers=2, d_ff=256, seq=64, batch=64, norm="pre", pooling="last")


def row(model, precision="fp32", steps=3, modes=("eager", "compile"), **shape):
    """precision is garam's and PyTorch's; `steps` are those of half a pair; modes those of PyTorch that are tried."""
    return dict(model=model, precision=precision, steps=steps, modes=modes, shape=shape)


def all_rows():
    rows = {}
    for seq in (64, 256, 1000):
        for dropout in (0, 0.1):
            for precision in ("fp32", "bf16"):
                steps, modes = {64: (3, ("eager", "compile")), 256: (1, ("eager",)), 1000: (1, ("eager",))}[seq]
                name = f"t{seq}-dropout{dropout:g}-{precision}"
                rows[name] = row("transformer", precision, steps, modes, seq=seq, dropout=dropout, **BASE)
    for precision in ("fp32", "bf16"):
        rows[f"small-{precision}"] = row("transformer", precision, 10, dropout=0.1, **SMALL)
        rows[f"gpt-{precision}"] = row("gpt", precision, 1, seq=256, dropout=0.1, **{**BASE, "batch": 8})
        rows[f"bert-{precision}"] = row("bert", precision, 1, seq=256, dropout=0.1, **{**BASE, "batch": 8})
        rows[f"lstm-{precision}"] = row("lstm", precision, 3, hidden=256, layers=3, seq=64, batch=64, dropout=0.1)
        rows[f"mlp-{precision}"] = row("mlp", precision, 300, hidden=256, layers=2, seq=1, batch=64, dropout=0)
    rows["updates-128-64"] = row("updates", "fp32", 300, first=128, second=64, batch=64)
    rows["updates-256-256"] = row("updates", "fp32", 300, first=256, second=256, batch=64)
    return rows


# ---- PyTorch: a worker that takes a number of steps a line, and answers with their seconds ----

FEATURES, CLASSES, TOKENS = 32, 3, 1024


def torch_step(model, shape, compiled, precision):
    import torch
    from torch.nn import functional as F

    sys.path.insert(0, os.path.join(ROOT, "tests", "peers"))
    import torch_models
    from torch_transformer import Transformer

    torch.manual_seed(1)
    if model == "updates":
        return torch_models.Ddpg(24, 4, shape["first"], shape["second"], shape["batch"], compiled).step
    batch, seq = shape["batch"], shape["seq"]
    sizes = [shape.get(k) for k in ("d_model", "heads", "layers", "d_ff", "dropout", "seq")]
    x, y = torch.randn(batch, seq, FEATURES), torch.randint(0, CLASSES, (batch,))
    if model == "transformer":
        net = Transformer(FEATURES, CLASSES, *sizes, norm=shape.get("norm", "post"),
                          pooling=shape.get("pooling", "mean"))
    elif model == "lstm":
        net = torch_models.Recurrent(FEATURES, CLASSES, shape["hidden"], shape["layers"], shape["dropout"])
    elif model == "mlp":
        net = torch_models.Perceptron(seq * FEATURES, CLASSES, shape["hidden"], shape["layers"], shape["dropout"])
    else:
        net = torch_models.Tokens(model, TOKENS, *sizes)
        x = torch.randint(0, TOKENS, (batch, seq))
        y = torch.where(torch.rand(batch, seq) < 1 / 7, x, -100)
        if model == "gpt":
            y = torch.cat([x[:, 1:], torch.full((batch, 1), -100)], 1)
    net.train()
    run = torch.compile(net) if compiled else net
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01, fused=True)

    def step():
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(run(x).flatten(0, -2).float(), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0, foreach=True)
        optimiser.step()
        return loss

    return step


def worker(mode, wanted, threads, limit):
    import resource

    import torch

    torch.set_num_threads(threads)
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if limit:  # beyond it an allocation fails, and the row says so, before the machine suffers
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    step = torch_step(wanted["model"], wanted["shape"], mode == "compile", wanted["precision"])
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            t0 = time.perf_counter()
            loss = step().item()
            seconds.append(time.perf_counter() - t0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answer = {"seconds": seconds, "peak_bytes": peak, "over_import": peak - baseline, "loss": loss}
        print(json.dumps(answer), flush=True)


class Peer:
    def __init__(self, mode, wanted, a):
        command = [sys.executable, os.path.abspath(__file__), "--worker", mode, "--row", json.dumps(wanted),
                   "--threads", str(a.threads), "--peer-memory", str(a.peer_memory)]
        environment = dict(os.environ, OMP_NUM_THREADS=str(a.threads), OMP_WAIT_POLICY="PASSIVE")
        self.mode = mode
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL, env=environment)

    def steps(self, n, patience):
        """None: it failed, or took longer than `patience` seconds."""
        try:
            self.process.stdin.write(f"{n}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        ready, _, _ = select.select([self.process.stdout], [], [], patience)
        line = self.process.stdout.readline() if ready else ""
        return json.loads(line) if line else None

    def close(self):
        self.process.kill()
        self.process.wait()


# ---- garam ----


def garam(a, *arguments):
    result = subprocess.run([a.garam, "bench", *map(str, arguments), "--json", "--quiet", "--threads", str(a.threads)],
                            capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"garam bench {' '.join(map(str, arguments))}: {result.stderr}")
    return json.loads(result.stdout)


def ours(a, wanted, warm):
    flags = [f for k, v in wanted["shape"].items() for f in ("--" + k.replace("_", "-"), v)]
    if wanted["model"] == "updates":
        r = garam(a, "updates", *flags, "--seconds", 0.5)
        return {"seconds": 1 / r["updates_per_second"], "peak_bytes": r["peak_bytes"]}
    long = wanted["shape"].get("seq", 1) >= 1000
    r = garam(a, "step", "--model", wanted["model"], *flags, "--precision", wanted["precision"],
              "--steps", wanted["steps"], "--warmup", 0 if long else warm, *(["--memory", a.memory] if long else []))
    return {"seconds": r["step_seconds"], "peak_bytes": r["peak_bytes"], "planned_bytes": r["planned_bytes"],
            "flops_per_second": r["flops_per_second"], "share_of_peak": r["share_of_peak"], "dtype": r["dtype"],
            "micro_batch": r["micro_batch"]}


# ---- pairs ----


def pairs_of(name, wanted, a):
    began = time.monotonic()
    long = wanted["shape"].get("seq", 1) >= 1000
    fast = wanted["steps"] >= 100

    def left():
        return a.seconds - (time.monotonic() - began)

    peers, n_pairs = [], 1 if long else min(a.pairs, 2) if a.quick else a.pairs
    for mode in wanted["modes"]:
        peer = Peer(mode, wanted, a)
        # The first steps compile and warm up; a window of 1000 has no time for any.
        if not long and peer.steps(30 if fast else 1, 0.45 * left()) is None:
            print(f"{name}: PyTorch {mode} failed, or took too long; left out", file=sys.stderr)
            peer.close()
        else:
            peers.append(peer)
    rows = []
    while peers and len(rows) < n_pairs and (not rows or left() > 1.3 * (time.monotonic() - began) / (len(rows) + 1)):
        g = ours(a, wanted, 30 if fast else 1)
        answers = {}
        for peer in list(peers):
            r = peer.steps(wanted["steps"], max(left(), 1))
            if r is None:
                print(f"{name}: PyTorch {peer.mode} failed, or took too long; left out", file=sys.stderr)
                peers.remove(peer)
                peer.close()
                continue
            answers[peer.mode] = {"seconds": statistics.median(r["seconds"]), "peak_bytes": r["peak_bytes"],
                                  "over_import": r["over_import"]}
        if not answers:
            break
        best = min(answers.values(), key=lambda r: r["seconds"])
        rows.append({"garam": g, "peers": answers, "ratio": best["seconds"] / g["seconds"],
                     "memory_ratio": min(r["over_import"] for r in answers.values()) / g["peak_bytes"]})
        # A compiler that only slows things down is not asked again.
        for peer in list(peers):
            if len(peers) > 1 and answers[peer.mode]["seconds"] > 1.3 * best["seconds"]:
                peers.remove(peer)
                peer.close()
    for peer in peers:
        peer.close()
    return rows


def summary_of(name, wanted, rows, peak):
    if not rows:
        return {"row": name, **wanted, "pairs": []}
    ratios = sorted(r["ratio"] for r in rows)
    last = rows[-1]["garam"]
    best = [min(p["seconds"] for p in r["peers"].values()) for r in rows]
    return {
        "row": name, **wanted, "pairs": rows,
        "garam_seconds": statistics.median(r["garam"]["seconds"] for r in rows),
        "peer_seconds": statistics.median(best),
        "ratio": {"min": ratios[0], "median": statistics.median(ratios), "max": ratios[-1]},
        "garam_peak_bytes": max(r["garam"]["peak_bytes"] for r in rows),
        "peer_over_import": min(p["over_import"] for r in rows for p in r["peers"].values()),
        "memory_ratio": statistics.median(r["memory_ratio"] for r in rows),
        "flops_per_second": last.get("flops_per_second"),
        "share_of_peak": last["flops_per_second"] / peak if "flops_per_second" in last else None,
    }


def shown(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f} us"


def line_of(s):
    if not s["pairs"]:
        return f"| {s['row']} | - | - | PyTorch did not run | | | |"
    r = s["ratio"]
    spread = f" ({r['min']:.2f} to {r['max']:.2f})" if len(s["pairs"]) > 1 else ""
    share = f"{100 * s['share_of_peak']:.0f} %" if s["share_of_peak"] else "-"
    return (f"| {s['row']} | {shown(s['garam_seconds'])} | {shown(s['peer_seconds'])} | {r['median']:.2f}{spread} "
            f"| {s['garam_peak_bytes'] / 1e6:.0f} MB | {s['memory_ratio']:.1f} | {share} |")


def main():
    rows = all_rows()
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--garam", default=os.path.join(ROOT, "build", "garam"))
    p.add_argument("--rows", nargs="+", default=["*"], metavar="NAME", help="names or patterns; see --list")
    p.add_argument("--list", action="store_true")
    p.add_argument("--quick", action="store_true", help="two pairs a row, and no windows of 1000")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--seconds", type=float, default=140, help="a row takes at most about this long")
    p.add_argument("--memory", default="700M", help="garam's --memory for windows of 1000")
    p.add_argument("--peer-memory", type=int, default=20 << 30, help="bytes that PyTorch may allocate; 0: any")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--json", metavar="FILE", help="everything measured, '-' for standard output instead of the table")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    p.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker:
        return worker(a.worker, a.row, a.threads, a.peer_memory)
    chosen = [n for n in rows if any(fnmatch.fnmatchcase(n, w) for w in a.rows)]
    if a.quick:
        chosen = [n for n in chosen if not n.startswith("t1000")]
    if a.list or not chosen:
        print("\n".join(rows))
        return 0 if a.list else 2
    machine = garam(a, "machine")
    peak = machine["flops_per_second"]
    out = sys.stderr if a.json == "-" else sys.stdout
    print(f"This machine: {peak / 1e9:.0f} GFLOP/s in fp32 products, {machine['bytes_per_second'] / 1e9:.0f} GB/s of "
          f"memory, {a.threads} threads, {machine['isa']}\n", file=out)
    print("| step | garam | PyTorch | PyTorch / garam, median of pairs (min to max) | garam's peak memory "
          "| PyTorch / garam, memory | of the fp32 peak |\n|---|---|---|---|---|---|---|", file=out, flush=True)
    done = []
    for name in chosen:
        s = summary_of(name, rows[name], pairs_of(name, rows[name], a), peak)
        done.append(s)
        print(line_of(s), file=out, flush=True)
    if a.json:
        text = json.dumps({"machine": machine, "threads": a.threads, "rows": done}, indent=1)
        if a.json == "-":
            print(text)
        else:
            with open(a.json, "w") as f:
                f.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
