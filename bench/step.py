"""garam's training step beside PyTorch's, in turn, in one run: time and peak memory.

    python bench/step.py                        every row of the table (an hour)
    python bench/step.py --quick                few pairs, and no windows of 1000
    python bench/step.py --rows 't64*' mlp      the rows with these names
    python bench/step.py --list
    python bench/step.py --rows t64-dropout0-fp32 --out rows.json       adds the row to the file, or replaces it there
    python bench/step.py --table rows.json                              the table of all rows measured so far
    python bench/step.py --processor-time --rows 't64*'                 on a machine that other work shares

Every pair times a few steps of garam, then of PyTorch, and gives the ratio of the two medians, so that a machine's moods
meet both. PyTorch runs the same architecture with its best settings: fused AdamW, scaled_dot_product_attention, eager and
torch.compile (the faster of the two counts; the compiler has --compile-seconds, and what was left out is in the JSON),
bf16 by autocast, all threads (and one, where that may be faster). A bf16 row has a ratio against PyTorch's fp32 too, which
may be its faster one. Its process stays up between pairs and sleeps while garam runs. Memory: the peak of the whole process of garam, against what PyTorch's took beyond its imports. Run it
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
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BASE = dict(d_model=512, heads=8, layers=6, d_ff=2048, batch=32)
SMALL = dict(d_model=64, heads=4, layers=2, d_ff=256, seq=64, batch=64, norm="pre", pooling="last")

FAST = ("eager", "eager-one", "compile")  # where a second thread may only be in the way


def row(model, precision="fp32", steps=3, modes=("eager", "compile"), seconds=60, **shape):
    """precision is garam's and PyTorch's; `steps` are those of half a pair; modes those of PyTorch that are tried, and
    seconds about what the row takes in all."""
    modes = list(modes) + (["eager-fp32"] if precision == "bf16" else [])
    return dict(model=model, precision=precision, steps=steps, modes=modes, seconds=seconds, shape=shape)


def all_rows():
    rows = {}
    for seq in (64, 256, 1000):
        for dropout in (0, 0.1):
            for precision in ("fp32", "bf16"):
                steps, modes, seconds = {64: (1, ("eager", "compile"), 60), 256: (1, ("eager",), 120),
                                         1000: (1, ("eager",), 145)}[seq]
                name = f"t{seq}-dropout{dropout:g}-{precision}"
                rows[name] = row("transformer", precision, steps, modes, seconds, seq=seq, dropout=dropout, **BASE)
    for precision in ("fp32", "bf16"):
        rows[f"small-{precision}"] = row("transformer", precision, 10, dropout=0.1, **SMALL)
        rows[f"gpt-{precision}"] = row("gpt", precision, 1, seq=256, dropout=0.1, **{**BASE, "batch": 8})
        rows[f"bert-{precision}"] = row("bert", precision, 1, seq=256, dropout=0.1, **{**BASE, "batch": 8})
        rows[f"lstm-{precision}"] = row("lstm", precision, 3, hidden=256, layers=3, seq=64, batch=64, dropout=0.1)
        rows[f"mlp-{precision}"] = row("mlp", precision, 300, FAST, hidden=256, layers=2, seq=1, batch=64, dropout=0)
    rows["updates-128-64"] = row("updates", "fp32", 300, FAST, first=128, second=64, batch=64)
    rows["updates-256-256"] = row("updates", "fp32", 300, FAST, first=256, second=256, batch=64)
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
    precision = "fp32" if mode.endswith("-fp32") else wanted["precision"]
    step = torch_step(wanted["model"], wanted["shape"], mode == "compile", precision)
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
        threads = 1 if mode == "eager-one" else a.threads
        command = [sys.executable, os.path.abspath(__file__), "--worker", mode, "--row", json.dumps(wanted),
                   "--threads", str(threads), "--peer-memory", str(a.peer_memory)]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))  # waiting threads spin and then sleep: the default
        self.mode = mode
        self.other = mode.endswith("-fp32") and wanted["precision"] != "fp32"  # not what the row is about
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


def garam(a, *arguments, patience=150):
    command = ["bench", *map(str, arguments), "--json", "--quiet", "--threads", str(a.threads)]
    try:
        result = subprocess.run([a.garam, *command], capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        sys.exit(f"garam {' '.join(command)}: not done in {patience} s")
    if result.returncode != 0:
        sys.exit(f"garam {' '.join(command)}: {result.stderr}")
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


def is_long(wanted):
    return wanted["shape"].get("seq", 1) >= 1000


def pair_of(wanted, peers, g, answers):
    same = [answers[p.mode] for p in peers if p.mode in answers and not p.other]
    other = [answers[p.mode] for p in peers if p.mode in answers and p.other]
    pair = {"garam": g, "peers": answers}
    if same:
        pair["ratio"] = min(r["seconds"] for r in same) / g["seconds"]
        pair["memory_ratio"] = min(r["over_import"] for r in same) / g["peak_bytes"]
    if other:
        pair["ratio_fp32"] = min(r["seconds"] for r in other) / g["seconds"]
    return pair


def pairs_of(name, wanted, a):
    """The pairs, and why a mode of PyTorch was left out."""
    began, limit = time.monotonic(), a.seconds or wanted["seconds"]
    fast = wanted["steps"] >= 100
    left_out, peers, rows = {}, [], []
    n_pairs = 1 if is_long(wanted) else min(a.pairs, 2) if a.quick else a.pairs

    def left():
        return limit - (time.monotonic() - began)

    def leave(peer, why):
        left_out[peer.mode] = why
        print(f"{name}: PyTorch {peer.mode} is left out: {why}", file=sys.stderr)
        if peer in peers:
            peers.remove(peer)
        peer.close()

    for mode in wanted["modes"]:
        peer = Peer(mode, wanted, a)
        # The first steps compile and warm up; a window of 1000 has no time for any.
        patience = min(a.compile_seconds, 0.6 * left()) if mode == "compile" else max(left() / 2, 20)
        if not is_long(wanted) and peer.steps(30 if fast else 1, patience) is None:
            leave(peer, f"failed, or was not ready in {patience:.0f} s")
        else:
            peers.append(peer)
    first = time.monotonic()
    while peers and len(rows) < n_pairs and (not rows or left() > (time.monotonic() - first) / len(rows)):
        g = ours(a, wanted, 30 if fast else 1)
        answers = {}
        for peer in list(peers):
            # The first pair is worth waiting for; a process that died answers at once.
            r = peer.steps(wanted["steps"], max(left(), 15))
            if r is None:
                leave(peer, "failed, or took too long")
                continue
            answers[peer.mode] = {"seconds": statistics.median(r["seconds"]), "peak_bytes": r["peak_bytes"],
                                  "over_import": r["over_import"]}
        if not answers:
            break
        rows.append(pair_of(wanted, peers, g, answers))
        # Of eager and compiled, what only slows things down is not asked again.
        same = {p.mode: answers[p.mode]["seconds"] for p in peers if not p.other}
        for peer in [p for p in peers if not p.other and answers[p.mode]["seconds"] > 1.3 * min(same.values())]:
            leave(peer, f"slower: {answers[peer.mode]['seconds']:.4g} s a step")
    for peer in peers:
        peer.close()
    return rows, left_out


def spread_of(rows, key):
    values = [r[key] for r in rows if key in r]
    return {"min": min(values), "median": statistics.median(values), "max": max(values)} if values else None


def summary_of(name, wanted, rows, left_out, peak):
    summary = {"row": name, **wanted, "left_out": left_out, "pairs": rows}
    if not rows:
        return summary
    last = rows[-1]["garam"]
    memory = spread_of(rows, "memory_ratio")
    other = {m for m in wanted["modes"] if m.endswith("-fp32")}
    best = [min((p["seconds"] for m, p in r["peers"].items() if m not in other), default=None) for r in rows]
    best = [b for b in best if b is not None]
    return {
        **summary,
        "garam_seconds": statistics.median(r["garam"]["seconds"] for r in rows),
        "peer_seconds": statistics.median(best) if best else None,
        "ratio": spread_of(rows, "ratio"),
        "ratio_fp32": spread_of(rows, "ratio_fp32"),
        "garam_peak_bytes": max(r["garam"]["peak_bytes"] for r in rows),
        "memory_ratio": memory["median"] if memory else None,
        "flops_per_second": last.get("flops_per_second"),
        "share_of_peak": last["flops_per_second"] / peak if "flops_per_second" in last else None,
    }


def shown(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f} us"


def spread(r):
    if not r:
        return "-"
    return f"{r['median']:.2f}" + (f" ({r['min']:.2f} to {r['max']:.2f})" if r["max"] > r["min"] else "")


def line_of(s):
    if not s["pairs"]:
        return f"| {s['row']} | - | - | PyTorch did not run | | | | |"
    share = f"{100 * s['share_of_peak']:.0f} %" if s["share_of_peak"] else "-"
    peer = shown(s["peer_seconds"]) if s["peer_seconds"] else "-"
    memory = f"{s['memory_ratio']:.1f}" if s["memory_ratio"] else "-"
    against = s["ratio"] if s["precision"] == "fp32" else s["ratio_fp32"]
    return (f"| {s['row']} | {shown(s['garam_seconds'])} | {peer} | {spread(s['ratio'])} | {spread(against)} "
            f"| {s['garam_peak_bytes'] / 1e6:.0f} MB | {memory} | {share} |")


def heading(machine, threads):
    return (f"This machine: {machine['flops_per_second'] / 1e9:.0f} GFLOP/s in fp32 products, "
            f"{machine['bytes_per_second'] / 1e9:.0f} GB/s of memory, {threads} threads, {machine['isa']}\n\n"
            "| step | garam | PyTorch | PyTorch / garam, median of pairs (min to max) | PyTorch's fp32 / garam "
            "| garam's peak memory | PyTorch / garam, memory | of the fp32 peak |\n|---|---|---|---|---|---|---|---|")


def keep(path, machine, threads, summary):
    """The row joins those of earlier calls in the file, in the order of --list."""
    old = json.load(open(path))["rows"] if os.path.exists(path) else []
    by_name = {r["row"]: r for r in old} | {summary["row"]: summary}
    rows = [by_name[n] for n in all_rows() if n in by_name]
    with open(path + ".new", "w") as f:
        f.write(json.dumps({"machine": machine, "threads": threads, "rows": rows}, indent=1) + "\n")
    os.replace(path + ".new", path)


def processor_time():
    """What turns a process's clock into that of its processor time, to be preloaded."""
    path = os.path.join(tempfile.mkdtemp(prefix="garam-bench-"), "processor_time.so")
    source = os.path.join(HERE, "processor_time.c")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", source, "-o", path], check=True)
    return path


def main():
    rows = all_rows()
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--garam", default=os.path.join(ROOT, "build", "garam"))
    p.add_argument("--rows", nargs="+", default=["*"], metavar="NAME", help="names or patterns; see --list")
    p.add_argument("--list", action="store_true")
    p.add_argument("--quick", action="store_true", help="two pairs a row, and no windows of 1000")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--seconds", type=float, help="a row takes at most about this long (60; windows of 256: 120, "
                                                 "of 1000: 145)")
    p.add_argument("--compile-seconds", type=float, default=45, help="for torch.compile's first step, else it is left out")
    p.add_argument("--memory", default="660M", help="garam's --memory for windows of 1000 [660M: 692 million bytes]")
    p.add_argument("--peer-memory", type=int, default=20 << 30, help="bytes that PyTorch may allocate; 0: any")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--json", metavar="FILE", help="everything measured, '-' for standard output instead of the table")
    p.add_argument("--out", metavar="FILE", help="adds each row to this file of JSON as soon as it is measured")
    p.add_argument("--table", metavar="FILE", help="prints the table of such a file, and measures nothing")
    p.add_argument("--processor-time", action="store_true", help="both sides on one thread, by the processor time that "
                                                                 "they take: other work on the machine then counts less")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    p.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker:
        return worker(a.worker, a.row, a.threads, a.peer_memory)
    if a.table:
        with open(a.table) as f:
            kept = json.load(f)
        print(heading(kept["machine"], kept["threads"]), *map(line_of, kept["rows"]), sep="\n")
        return 0
    chosen = [n for n in rows if any(fnmatch.fnmatchcase(n, w) for w in a.rows)]
    if a.quick:
        chosen = [n for n in chosen if not n.startswith("t1000")]
    if a.list or not chosen:
        print("\n".join(rows))
        return 0 if a.list else 2
    if a.processor_time:
        a.threads = 1
        os.environ["LD_PRELOAD"] = processor_time()
    machine = garam(a, "machine")
    peak = machine["flops_per_second"]
    out = sys.stderr if a.json == "-" else sys.stdout
    print(heading(machine, a.threads), file=out, flush=True)
    done = []
    for name in chosen:
        s = summary_of(name, rows[name], *pairs_of(name, rows[name], a), peak)
        done.append(s)
        if a.out:
            keep(a.out, machine, a.threads, s)
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
