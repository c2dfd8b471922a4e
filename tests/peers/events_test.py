"""TensorBoard's own reader opens the event files of --events and finds the curve of --curve in them."""

import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from common import check, garam, near, path

garam("simulate", "--rows", 1500, "--seed", 3, "--out", path("m.csv"))
garam("train", path("m.csv"), "--model", "transformer", "--preset", "tiny", "--epochs", 3, "--out", path("m.safetensors"),
      "--curve", path("curve.jsonl"), "--events", path("events"), "--quiet")
with open(path("curve.jsonl")) as f:
    curve = [json.loads(line) for line in f]
check(len(curve) == 3, "three epochs in the curve")
events = EventAccumulator(path("events"))
events.Reload()
tags = events.Tags()["scalars"]
print("tags:", ", ".join(tags))
for part in ("train", "valid"):
    tag = next(t for t in tags if "loss" in t and part in t)
    scalars = events.Scalars(tag)
    check(len(scalars) == 3, f"three values of {tag}")
    for scalar, epoch in zip(scalars, curve):
        near(f"{tag} {scalar.step}", scalar.value, epoch[f"{part}_loss"], 1e-6)
