"""garam's training step beside PyTorch's, in turn, in one run.

    python bench/step.py [--pairs 5] [--steps 3] [--json] [options of the model, as for `garam bench step`]

Every pair times a few steps of garam, then of PyTorch, and prints the ratio of the two medians. PyTorch runs the same
architecture with its best settings: fused AdamW, scaled_dot_product_attention, eager and torch.compile (the faster of
the two is taken), all threads. Its process stays up between pairs and sleeps while garam runs. Run it with the peers'
interpreter: build/peers/bin/python (made by ./test --peers).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--garam", default=os.path.join(ROOT, "build", "garam"))
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--steps", type=int, default=3, help="steps timed in each half of a pair")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--d-model", type=int, default=512)
    p.add_argument("--heads", type=int, default=8)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--d-ff", type=int, default=2048)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--seq", type=int, default=64)
    p.add_argument("--features", type=int, default=32)
    p.add_argument("--modes", default="eager,compile")
    p.add_argument("--json", action="store_true")
    p.add_argument("--worker", choices=["eager", "compile"], help=argparse.SUPPRESS)
    return p.parse_args()


def worker(a):
    """Reads a number of steps a line, answers with their seconds as JSON."""
    import resource
    import time

    import torch

    sys.path.insert(0, os.path.join(ROOT, "tests", "peers"))
    from torch_transformer import Transformer

    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    model = Transformer(a.features, 3, a.d_model, a.heads, a.layers, a.d_ff, a.dropout, a.seq).train()
    run = torch.compile(model) if a.worker == "compile" else model
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    x = torch.randn(a.batch, a.seq, a.features)
    y = torch.randint(0, 3, (a.batch,))

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(run(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimiser.step()
        return loss.item()

    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            t0 = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - t0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "peak_bytes": peak, "over_import": peak - baseline}), flush=True)


class Peer:
    def __init__(self, a, mode):
        command = [sys.executable, os.path.abspath(__file__), "--worker", mode]
        for name in ("threads", "d_model", "heads", "layers", "d_ff", "dropout", "batch", "seq", "features"):
            command += ["--" + name.replace("_", "-"), str(getattr(a, name))]
        self.mode = mode
        environment = dict(os.environ, OMP_NUM_THREADS=str(a.threads), OMP_WAIT_POLICY="PASSIVE")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)

    def steps(self, n):
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ours(a, n):
    command = [a.garam, "bench", "step", "--json", "--steps", str(n), "--threads", str(a.threads)]
    for name in ("d_model", "heads", "layers", "d_ff", "dropout", "batch", "seq", "features"):
        command += ["--" + name.replace("_", "-"), str(getattr(a, name))]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    a = arguments()
    if a.worker:
        return worker(a)
    peers = []
    for mode in a.modes.split(","):
        peer = Peer(a, mode)
        if peer.steps(2) is None:
            print(f"PyTorch {mode} does not run here; left out", file=sys.stderr)
        else:
            peers.append(peer)
    rows = []
    for i in range(a.pairs):
        g = ours(a, a.steps)
        row = {"garam": g["step_seconds"], "garam_peak_bytes": g["peak_bytes"], "peers": {}}
        for peer in peers:
            r = peer.steps(a.steps)
            row["peers"][peer.mode] = {"seconds": statistics.median(r["seconds"]), "peak_bytes": r["peak_bytes"],
                                       "over_import": r["over_import"]}
        best = min(row["peers"].values(), key=lambda r: r["seconds"])
        row["ratio"] = best["seconds"] / row["garam"]
        row["memory_ratio"] = min(r["over_import"] for r in row["peers"].values()) / g["peak_bytes"]
        rows.append(row)
        if not a.json:
            shown = "  ".join(f"{m} {r['seconds']:.3f} s" for m, r in row["peers"].items())
            print(f"pair {i + 1}: garam {row['garam']:.3f} s  PyTorch {shown}  ratio {row['ratio']:.2f}", flush=True)
    for peer in peers:
        peer.close()
    ratios = sorted(r["ratio"] for r in rows)
    summary = {
        "model": {k: getattr(a, k) for k in ("d_model", "heads", "layers", "d_ff", "dropout", "batch", "seq", "features")},
        "threads": a.threads, "dtype": "fp32", "pairs": rows,
        "ratio": {"min": ratios[0], "median": statistics.median(ratios), "max": ratios[-1]},
        "garam_step_seconds": statistics.median(r["garam"] for r in rows),
        "garam_peak_bytes": rows[-1]["garam_peak_bytes"],
        "memory_ratio": statistics.median(r["memory_ratio"] for r in rows),
    }
    if a.json:
        print(json.dumps(summary))
    else:
        r = summary["ratio"]
        print(f"PyTorch / garam: time {r['median']:.2f} (min {r['min']:.2f}, max {r['max']:.2f}), "
              f"memory beyond the imports {summary['memory_ratio']:.1f}")


if __name__ == "__main__":
    sys.exit(main())
