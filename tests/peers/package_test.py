"""Python's safetensors opens our packages, and what it sees is what we wrote."""

import json

import numpy as np
from safetensors import safe_open
from common import check, garam, garam_json, path

garam("simulate", "--rows", 2000, "--seed", 3, "--out", path("m.csv"))
for model, options in (("linear", ()), ("transformer", ("--preset", "tiny", "--epochs", 1))):
    file = path(model + ".safetensors")
    trained = garam_json("train", path("m.csv"), "--model", model, *options, "--out", file)
    with safe_open(file, "np") as package:
        manifest = json.loads(package.metadata()["garam"])
        arrays = {name: package.get_tensor(name) for name in package.keys()}
    check(manifest["learner"]["name"] == model, f"{model}: the manifest names the learner")
    check(len(manifest["features"]) > 10, f"{model}: the manifest lists the features")
    check(all(np.isfinite(a).all() for a in arrays.values()), f"{model}: {len(arrays)} arrays, all finite")
    learner = sum(a.size for name, a in arrays.items() if name.startswith("learner."))
    check(learner >= trained["parameters"], f"{model}: its arrays hold the {trained['parameters']} parameters")
