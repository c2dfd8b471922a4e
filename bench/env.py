"""Steps a second of environments, garam's beside gymnasium's and mpe2's, in turn, on one core each:

    python bench/env.py [--seconds 2]

Actions are random and drawn before; resets are in. gymnasium's CartPole steps 1,024 worlds with NumPy (its own vector
environment), everything else one world at a time, as gymnasium and mpe2 are. Needs garam built (GARAM_COMMAND, else
build/garam) and the peers of tests/peers/requirements.txt."""

import argparse
import json
import os
import subprocess
import time
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ["OMP_NUM_THREADS"] = "1"

import gymnasium
from mpe2 import simple_adversary_v3, simple_speaker_listener_v4, simple_spread_v3, simple_tag_v3

GARAM = os.environ.get("GARAM_COMMAND", "build/garam")


def measured(step, worlds, seconds):
    """World steps a second of processor time."""
    began, used, steps = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < seconds:
        step()
        steps += worlds
    return steps / (time.process_time() - used)


def gymnasium_one(name, seconds):
    env = gymnasium.make(name)
    env.reset(seed=1)
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(1000)]
    at = 0

    def step():
        nonlocal at
        at = (at + 1) % len(actions)
        _, _, terminated, truncated, _ = env.step(actions[at])
        if terminated or truncated:
            env.reset()

    return measured(step, 1, seconds)


def gymnasium_vector(name, seconds, n=1024):
    env = gymnasium.make_vec(name, n, vectorization_mode="vector_entry_point")
    env.reset(seed=1)
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(16)]
    at = 0

    def step():
        nonlocal at
        at = (at + 1) % len(actions)
        env.step(actions[at])

    return measured(step, n, seconds)


def particle(module, seconds):
    env = module.parallel_env()
    env.reset(seed=1)
    for agent in env.possible_agents:
        env.action_space(agent).seed(1)
    actions = [{a: env.action_space(a).sample() for a in env.possible_agents} for _ in range(200)]
    at = 0

    def step():
        nonlocal at
        at = (at + 1) % len(actions)
        env.step(actions[at])
        if not env.agents:
            env.reset()

    return measured(step, 1, seconds)


def garam(name, options, seconds):
    ran = subprocess.run([GARAM, "bench", "env", "--env", name, "--threads", "1", "--seconds", str(seconds), "--json"]
                         + options, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)["steps_per_core_second"]


arguments = argparse.ArgumentParser()
arguments.add_argument("--seconds", type=float, default=2)
seconds = arguments.parse_args().seconds
rows = [
    ("CartPole-v1", [], lambda: gymnasium_vector("CartPole-v1", seconds)),
    ("Pendulum-v1", [], lambda: gymnasium_one("Pendulum-v1", seconds)),
    ("MountainCarContinuous-v0", [], lambda: gymnasium_one("MountainCarContinuous-v0", seconds)),
    ("Acrobot-v1", [], lambda: gymnasium_one("Acrobot-v1", seconds)),
    ("simple_spread", [], lambda: particle(simple_spread_v3, seconds)),
    ("simple_tag", ["--prey", "agent"], lambda: particle(simple_tag_v3, seconds)),
    ("simple_adversary", [], lambda: particle(simple_adversary_v3, seconds)),
    ("simple_speaker_listener", [], lambda: particle(simple_speaker_listener_v4, seconds)),
]
print(f"{'environment':26} {'garam':>12} {'peer':>10} {'ratio':>8}   world steps a second of one core")
for name, options, peer in rows:
    ours, theirs = garam(name, options, seconds), peer()
    print(f"{name:26} {ours:12,.0f} {theirs:10,.0f} {ours / theirs:8,.0f}")
