"""Environments against gymnasium's and mpe2's: 10,000 states and actions made up and stepped by both, whole episodes
stepped side by side from the peer's own beginnings, time limits, and the distribution of beginnings. What is double in
the peer is compared as double, within 1e-9 of what rounding differs by; what is float within a unit in the last place
or two (a cosine may round otherwise)."""

import json
import os
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import gymnasium
import numpy as np

PROBE = os.environ.get("GARAM_ENV_PROBE", "build/dev/tests/env_probe")
N = 10000
random = np.random.default_rng(20)


class Probe:
    """What garam makes of worlds and actions: arrays of T steps."""

    def __init__(self, name, options, actions, worlds=None, steps=None, n=None, seed=1):
        head = {"env": name, "options": options, "seed": seed, "given": worlds is not None}
        head["worlds"] = len(worlds) if worlds is not None else n
        head["steps"] = 0 if actions is None else len(actions)
        sent = json.dumps(head).encode() + b"\n"
        if worlds is not None:
            sent += np.ascontiguousarray(worlds).tobytes()
            sent += np.ascontiguousarray(np.broadcast_to(steps, len(worlds)), dtype=np.int32).tobytes()
        if actions is not None:
            sent += np.ascontiguousarray(actions, dtype=np.float32).tobytes()
        ran = subprocess.run([PROBE], input=sent, capture_output=True)
        if ran.returncode != 0:
            sys.exit(f"{PROBE}: {ran.stderr.decode()}")
        line, _, data = ran.stdout.partition(b"\n")
        self.shape = json.loads(line)
        n, agents, width = head["worlds"], self.shape["agents"], self.shape["observation"]
        at = 0

        def take(dtype, *dims):
            nonlocal at
            dtype = np.dtype(dtype)
            count = int(np.prod(dims))
            out = np.frombuffer(data, dtype, count, at).reshape(dims)
            at += count * dtype.itemsize
            return out

        self.worlds = [take(np.uint8, n, self.shape["world_bytes"])]
        self.observation = [take(np.float32, n, agents, width)]
        self.final, self.reward, self.terminated, self.truncated, self.ended = [], [], [], [], []
        for _ in range(head["steps"]):
            self.worlds.append(take(np.uint8, n, self.shape["world_bytes"]))
            self.observation.append(take(np.float32, n, agents, width))
            self.final.append(take(np.float32, n, agents, width))
            self.reward.append(take(np.float32, n, agents))
            self.terminated.append(take(np.uint8, n, agents))
            self.truncated.append(take(np.uint8, n, agents))
            self.ended.append(take(np.uint8, n))

    def seen(self, t):
        """The observation that step t ended with, of an episode that it ended too."""
        return np.where(self.ended[t][:, None, None] == 1, self.final[t], self.observation[t + 1])


def doubles(worlds, count):
    return np.ascontiguousarray(worlds[:, : 8 * count]).view(np.float64)


def agree(what, ours, theirs, tolerance):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        sys.exit(f"{what}: shape {ours.shape}, peer {theirs.shape}")
    off = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    worst = float(off.max()) if off.size else 0.0
    same = 100.0 * float(np.mean(ours == theirs)) if off.size else 100.0
    print(f"{what}: {ours.size} numbers, off by at most {worst:.2g} (allowed {tolerance:g}), {same:.2f} % to the bit")
    if not worst <= tolerance:
        i = np.unravel_index(int(np.argmax(off)), off.shape)
        sys.exit(f"{what} differs at {i}: garam {ours[i]!r}, peer {theirs[i]!r}")


def same_distribution(what, ours, theirs):
    """Kolmogorov-Smirnov, column by column: the largest distance of two samples' distributions that chance leaves
    once in a hundred thousand."""
    n, m = len(ours), len(theirs)
    limit = np.sqrt(-np.log(1e-5 / 2) / 2 * (n + m) / (n * m))
    worst = 0.0
    for k in range(ours.shape[1]):
        a, b = np.sort(ours[:, k]), np.sort(theirs[:, k])
        at = np.concatenate([a, b])
        worst = max(worst, float(np.abs(np.searchsorted(a, at, "right") / n - np.searchsorted(b, at, "right") / m).max()))
    print(f"{what}: {ours.shape[1]} numbers, distributions apart by at most {worst:.3g} (allowed {limit:.3g})")
    if worst > limit:
        sys.exit(f"{what}: begins elsewhere")


# ---- gymnasium -------------------------------------------------------------------------------------------------------


def classic(name, states, actions, first, state_tolerance, chain_steps, make_state=np.array):
    """states (N, K) as the peer keeps them after a step; first: how many of them are an episode's first."""
    peer = gymnasium.make(name).unwrapped
    limit = gymnasium.spec(name).max_episode_steps
    discrete = isinstance(peer.action_space, gymnasium.spaces.Discrete)
    peer.reset(seed=0)
    width = states.shape[1]
    steps = np.where(np.arange(len(states)) < first, 0, 1 + np.arange(len(states)) % (limit - 2)).astype(np.int32)
    steps[-10:] = limit - 1  # the step that the limit cuts
    ours = Probe(name, {}, actions[None, :, None, None], states.astype(np.float64), steps)
    after, observed, reward, terminated = [], [], [], []
    for i, (state, action) in enumerate(zip(states, actions)):
        peer.state = np.array(state) if i < first else make_state(state)
        if hasattr(peer, "steps_beyond_terminated"):
            peer.steps_beyond_terminated = None
        o, r, d, _, _ = peer.step(int(action) if discrete else np.array([action], np.float32))
        after.append(np.array(peer.state, np.float64))
        observed.append(o)
        reward.append(r)
        terminated.append(d)
    goes_on = ours.ended[0] == 0
    agree(f"{name}: states", doubles(ours.worlds[1], width)[goes_on], np.array(after)[goes_on], state_tolerance)
    agree(f"{name}: observations", ours.seen(0)[:, 0], np.array(observed), 3e-7)
    agree(f"{name}: rewards", ours.reward[0][:, 0], np.array(reward, np.float32), 3e-7)
    agree(f"{name}: terminated", ours.terminated[0][:, 0], np.array(terminated), 0)
    cut = (steps == limit - 1) & ~np.array(terminated)
    agree(f"{name}: truncated at step {limit}", ours.truncated[0][:, 0], cut, 0)
    chain(name, peer, discrete, width, chain_steps)
    begins(name, peer, width)


def chain(name, peer, discrete, width, steps):
    """Episodes from the peer's beginnings, the same actions in both."""
    n = 40
    if discrete:
        actions = random.integers(0, peer.action_space.n, (steps, n))
    else:
        actions = random.uniform(1.1 * peer.action_space.low[0], 1.1 * peer.action_space.high[0], (steps, n))
    actions = actions.astype(np.float32)
    worlds, observed, done_at = [], np.zeros((steps, n, peer.observation_space.shape[0])), np.full(n, steps)
    for i in range(n):
        peer.reset(seed=i)
        worlds.append(np.array(peer.state, np.float64))
        for t in range(steps):
            a = actions[t, i]
            observed[t, i], _, d, _, _ = peer.step(int(a) if discrete else np.array([a], np.float32))
            if d:
                done_at[i] = t
                break
    ours = Probe(name, {}, actions[:, :, None, None], np.array(worlds), 0)
    got = np.stack([ours.seen(t)[:, 0] for t in range(steps)])
    counts = np.arange(steps)[:, None] <= done_at[None, :]
    for t in range(steps):
        if not np.array_equal(ours.terminated[t][done_at >= t, 0], (done_at == t)[done_at >= t]):
            sys.exit(f"{name}: an episode ends elsewhere than the peer's at step {t}")
    agree(f"{name}: {n} episodes of up to {steps} steps", got[counts], observed[counts], 2e-5)


def begins(name, peer, width):
    theirs = []
    for i in range(N):
        peer.reset(seed=i)
        theirs.append(np.array(peer.state, np.float64))
    same_distribution(f"{name}: beginnings", doubles(Probe(name, {}, None, n=N).worlds[0], width), np.array(theirs))


def gymnasium_worlds():
    n = N
    cart = random.uniform([-2.6, -3, -0.25, -3], [2.6, 3, 0.25, 3], (n, 4))
    classic("CartPole-v1", cart, random.integers(0, 2, n), 100, 1e-13, 60)
    swing = random.uniform([-40, -8], [40, 8], (n, 2))
    classic("Pendulum-v1", swing, random.uniform(-2.6, 2.6, n).astype(np.float32), 100, 1e-13, 200)
    car = random.uniform([-1.2, -0.07], [0.6, 0.07], (n, 2)).astype(np.float32)
    car[-500:] = [0.44, 0.02]  # near the flag
    car[-1000:-500, 0] = -1.19  # near the wall
    car = car.astype(np.float64)
    car[:200] = np.stack([random.uniform(-0.6, -0.4, 200), np.zeros(200)], 1)  # as episodes begin: double
    classic("MountainCarContinuous-v0", car, random.uniform(-1.3, 1.3, n).astype(np.float32), 200, 3e-8, 300,
            lambda s: np.array(s, np.float32))
    links = random.uniform([-np.pi, -np.pi, -12, -28], [np.pi, np.pi, 12, 28], (n, 4))
    classic("Acrobot-v1", links, random.integers(0, 3, n), 0, 1e-11, 100)


# ---- mpe2 ------------------------------------------------------------------------------------------------------------


def particle(name, module, garam_options, peer_options, extra=None, n=N):
    """One step of n worlds that are made up, then 25 steps of a few, then the beginnings. `extra(peer)` is what a game
    adds to bodies: bytes after them, and a row of choices for each of them."""
    peer = module.parallel_env(**peer_options)
    peer.reset(seed=0)
    core = peer.unwrapped
    world = core.world
    agents, bodies = len(world.agents), world.agents + world.landmarks
    widths = [peer.observation_space(a).shape[0] for a in peer.possible_agents]
    spaces = [peer.action_space(a) for a in peer.possible_agents]
    discrete = not peer_options.get("continuous_actions", False)
    U = 1 if discrete else 5

    def act(count):
        out = np.zeros((count, agents, U), np.float32)
        for a, space in enumerate(spaces):
            if discrete:
                out[:, a, 0] = random.integers(0, space.n, count)
            else:
                out[:, a, : space.shape[0]] = random.uniform(0, 1, (count, space.shape[0]))
        return out

    def give(a, row):
        return int(row[0]) if discrete else row[: spaces[a].shape[0]]

    def place(positions, velocities):
        for b, body in enumerate(bodies):
            body.state.p_pos = positions[b].copy()
            body.state.p_vel = velocities[b].copy() if b < agents else np.zeros(2)

    def state():
        return np.concatenate([np.concatenate([b.state.p_pos for b in bodies])]
                              + [a.state.p_vel for a in world.agents])

    def rows(observations):
        out = np.zeros((agents, max(widths)))
        for a, who in enumerate(peer.possible_agents):
            out[a, : widths[a]] = observations[who]
        return out

    def compare(what, ours, after, observed, rewards, ends, tolerance):
        """Of all steps: (T, n, ...)."""
        goes_on = np.array(ours.ended) == 0
        count = 2 * len(bodies) + 2 * agents
        places = np.stack([doubles(w, count) for w in ours.worlds[1:]])
        agree(f"{what}: places and velocities", places[goes_on], np.array(after)[goes_on], tolerance)
        seen = np.stack([ours.seen(t) for t in range(len(ours.ended))])
        agree(f"{what}: observations", seen, np.array(observed, np.float32), 3e-7 + tolerance)
        agree(f"{what}: rewards", np.array(ours.reward), np.array(rewards, np.float32), 3e-7 + tolerance)
        agree(f"{what}: truncated", np.array(ours.truncated), np.array(ends), 0)

    # Places close enough for touches, some far out.
    positions = random.uniform(-1, 1, (n, len(bodies), 2))
    positions[: n // 2] *= 0.35
    positions[-n // 10 :] *= 1.6
    velocities = random.uniform(-1, 1, (n, agents, 2))
    steps = (np.arange(n) % 25).astype(np.int32)
    tails, after, observed, rewards, ends, before = [], [], [], [], [], []
    actions = act(n)
    for i in range(n):
        peer.reset(seed=i if extra else None)
        place(positions[i], velocities[i])
        core.steps = int(steps[i])
        before.append(state())
        tails.append(extra(world) if extra else b"")
        o, r, _, cut, _ = peer.step({who: give(a, actions[i, a]) for a, who in enumerate(peer.possible_agents)})
        after.append(state())
        observed.append(rows(o))
        rewards.append([r[who] for who in peer.possible_agents])
        ends.append([cut[who] for who in peer.possible_agents])
    size = Probe(name, garam_options, None, n=1).shape["world_bytes"]
    worlds = np.zeros((n, size), np.uint8)
    for i in range(n):
        raw = before[i].tobytes() + tails[i]
        worlds[i, : len(raw)] = np.frombuffer(raw, np.uint8)
    what = f"{name} {garam_options}" if garam_options else name
    ours = Probe(name, garam_options, actions[None], worlds, steps)
    compare(what, ours, [after], [observed], [rewards], [ends], 1e-11)

    # Whole episodes.
    m = 40
    actions = np.stack([act(m) for _ in range(25)])
    worlds = np.zeros((m, size), np.uint8)
    record = [[[None] * m for _ in range(25)] for _ in range(4)]  # places, observations, rewards, ends
    for i in range(m):
        peer.reset(seed=1000 + i)
        raw = state().tobytes() + (extra(world) if extra else b"")
        worlds[i, : len(raw)] = np.frombuffer(raw, np.uint8)
        for t in range(25):
            o, r, _, cut, _ = peer.step({who: give(a, actions[t, i, a]) for a, who in enumerate(peer.possible_agents)})
            for kept, x in zip(record, (state(), rows(o), [r[w] for w in core.possible_agents],
                                        [cut[w] for w in core.possible_agents])):
                kept[t][i] = x
    compare(f"{what}: {m} episodes", Probe(name, garam_options, actions, worlds, 0), *record, 1e-9)

    # Beginnings.
    theirs = []
    for i in range(4000):
        peer.reset(seed=i)
        theirs.append(state())
    mine = doubles(Probe(name, garam_options, None, n=4000).worlds[0], 2 * len(bodies) + 2 * agents)
    same_distribution(f"{what}: beginnings", mine, np.array(theirs))
    peer.close()


def adversary_tail(world):
    goal = world.agents[0].goal_a
    return np.int64(len(world.agents) + world.landmarks.index(goal)).tobytes()


def speaker_tail(world):
    heard = np.array(world.agents[0].state.c, np.float64)
    return heard.tobytes() + np.int64(world.landmarks.index(world.agents[0].goal_b)).tobytes()


def mpe2_worlds():
    from mpe2 import simple_adversary_v3, simple_speaker_listener_v4, simple_spread_v3, simple_tag_v3

    particle("simple_spread", simple_spread_v3, {}, {})
    particle("simple_spread", simple_spread_v3, {"agents": 5, "local_ratio": 0.2, "continuous": True},
             {"N": 5, "local_ratio": 0.2, "continuous_actions": True}, n=2000)
    particle("simple_tag", simple_tag_v3, {"prey": "agent"}, {})
    particle("simple_tag", simple_tag_v3,
             {"prey": "agent", "adversaries": 4, "good": 2, "obstacles": 3, "continuous": True},
             {"num_adversaries": 4, "num_good": 2, "num_obstacles": 3, "continuous_actions": True}, n=2000)
    particle("simple_adversary", simple_adversary_v3, {}, {}, adversary_tail)
    particle("simple_adversary", simple_adversary_v3, {"agents": 4, "continuous": True},
             {"N": 4, "continuous_actions": True}, adversary_tail, n=2000)
    particle("simple_speaker_listener", simple_speaker_listener_v4, {}, {}, speaker_tail)
    particle("simple_speaker_listener", simple_speaker_listener_v4, {"continuous": True},
             {"continuous_actions": True}, speaker_tail, n=2000)


{"gymnasium": gymnasium_worlds, "mpe2": mpe2_worlds}[sys.argv[1]]()
