"""Exported policies in onnxruntime: on every observation of an episode that `garam rl play` prints, the action is the one
that garam took: boxes to 1e-5, choices exactly. One agent and many, shared nets, communication, norms, normalised inputs."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

GARAM = os.environ.get("GARAM_COMMAND", "build/dev/garam")
CASES = [
    ("CartPole-v1", "ppo", []),
    ("Pendulum-v1", "ppo", ["--activation", "tanh"]),
    ("Pendulum-v1", "td3", ["--activation", "gelu"]),
    ("Pendulum-v1", "sac", ["--norm", "layer"]),
    ("CartPole-v1", "dqn", []),
    ("simple_spread", "mappo", []),
    ("simple_tag", "ppo", []),
    ("simple_spread", "matd3", ["--communication", "attention"]),
    ("simple_spread", "maddpg", ["--communication", "gated"]),
    ("simple_spread", "maddpg", ["--communication", "mean", "--shared"]),
]


def run(*words):
    done = subprocess.run([GARAM, *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def pad(rows, width):
    return [row + [0.0] * (width - len(row)) for row in rows]


failed = passed = 0
with tempfile.TemporaryDirectory() as folder:
    for env, agent, options in CASES:
        policy, exported = f"{folder}/p.safetensors", f"{folder}/p.onnx"
        name = " ".join([env, agent, *options])
        code, _, said = run("rl", "train", "--env", env, "--agent", agent, "--steps", "1500", "--episodes", "2",
                            "--eval-episodes", "2", "--quiet", "--out", policy, *options)
        if code == 2:  # an option or agent that this build does not have
            print(f"{name}: skipped: {said.strip().splitlines()[0]}")
            continue
        assert code == 0, said
        code, _, said = run("export", policy, "--format", "onnx", "--out", exported, "--quiet")
        assert code == 0, f"{name}: {said}"
        code, lines, said = run("rl", "play", policy, "--json")
        assert code == 0, said
        steps = [json.loads(line) for line in lines.splitlines()][:-1]
        session = onnxruntime.InferenceSession(exported)
        width = session.get_inputs()[0].shape[2]
        x = np.array([pad(s["observation"], width) for s in steps], dtype=np.float32)
        ours = np.array([[v for a in s["action"] for v in a] for s in steps], dtype=np.float32)
        theirs = session.run(["action"], {"observation": x})[0]
        one = session.run(["action"], {"observation": x[:1]})[0]
        off = float(np.abs(ours - theirs).max())
        fine = ours.shape == theirs.shape and off < 1e-5 * max(1.0, float(np.abs(ours).max())) and \
            np.abs(one - theirs[:1]).max() < 1e-5
        print(f"{name}: {len(steps)} steps, largest difference {off:.2g}{'' if fine else '  FAILED'}")
        passed += fine
        failed += not fine
assert passed > 2, "nothing was compared"
sys.exit(failed > 0)
