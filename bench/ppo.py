"""Steps a second of PPO on CartPole, learning included, garam's beside Stable-Baselines3's, in turn, on one core each:

    python bench/ppo.py [--steps 200000] [--peer-steps 20480]

Both: 8 worlds, 128 steps of each from one update to the next, 4 passes of minibatches of 256, nets of 64-64 for policy and
value each. Steps are told by second of processor time, so that a busy machine does not decide. garam's time is that of the
whole command, with its start and one evaluation; Stable-Baselines3's begins after a first rollout. Needs garam built
(GARAM_COMMAND, else build/garam) and stable-baselines3 with torch; without them the peer's line is left out."""

import argparse
import os
import resource
import subprocess
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"
GARAM = os.environ.get("GARAM_COMMAND", "build/garam")


def used(who):
    r = resource.getrusage(who)
    return r.ru_utime + r.ru_stime


def garam(steps):
    with tempfile.TemporaryDirectory() as folder:
        before = used(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [GARAM, "rl", "train", "--env", "CartPole-v1", "--agent", "ppo", "--worlds", "8", "--rollout", "128",
             "--epochs", "4", "--minibatches", "4", "--steps", str(steps), "--eval-every", str(steps),
             "--eval-episodes", "1", "--episodes", "1", "--threads", "1", "--quiet", "--out", folder + "/p.safetensors"],
            check=True)
        return steps / (used(resource.RUSAGE_CHILDREN) - before)


def stable_baselines(steps):
    import gymnasium
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)
    worlds = DummyVecEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(8)])
    model = PPO("MlpPolicy", worlds, n_steps=128, batch_size=256, n_epochs=4, device="cpu")
    model.learn(8 * 128)
    before = used(resource.RUSAGE_SELF)
    model.learn(steps, reset_num_timesteps=False)
    return steps / (used(resource.RUSAGE_SELF) - before)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=200000)
    parser.add_argument("--peer-steps", type=int, default=20480)
    given = parser.parse_args()
    ours = garam(given.steps)
    print(f"garam: {ours:,.0f} steps a second of one core")
    try:
        theirs = stable_baselines(given.peer_steps)
    except ImportError as missing:
        print(f"stable-baselines3: left out, {missing}")
        return
    print(f"stable-baselines3: {theirs:,.0f}, a factor of {ours / theirs:.1f}")


if __name__ == "__main__":
    main()
