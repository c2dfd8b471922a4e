"""Python's safetensors opens our packages, and what it sees is what we wrote."""

import json

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
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

# Coded weights, decoded by numpy from what the file says: the same floats, so the same predictions to the
# last digit.


def decoded(file):
    with safe_open(file, "np") as package:
        metadata = package.metadata()
        arrays = {name: package.get_tensor(name) for name in package.keys()}
    for name, how in json.loads(metadata["garam.weights"])["tensors"].items():
        codes, scale = arrays[name], arrays.pop(name + "_scale")
        inputs = int(np.prod(how["shape"][:-1]))
        if how["to"] == "int4":
            pairs = np.stack([codes & 15, codes >> 4], axis=1).reshape(-1, codes.shape[1])
            codes = pairs[:inputs].astype(np.int32) - 8
            scale = np.repeat(scale, how["group"], axis=0)[:inputs]
        arrays[name] = (codes.astype(np.float32) * scale).astype(np.float32).reshape(how["shape"])
    return arrays, {"garam": metadata["garam"]}


for to, options in (("int8", ()), ("int4", ("--group", 24))):
    small, plain = path(to + ".safetensors"), path(to + "-floats.safetensors")
    report = garam_json("compress", path("transformer.safetensors"), "--to", to, *options, "--out", small)
    arrays, metadata = decoded(small)
    save_file(arrays, plain, metadata)
    with safe_open(path("transformer.safetensors"), "np") as package:
        original = {name: package.get_tensor(name) for name in package.keys()}
    off = 0.0
    for row in report["tensors"]:
        w, back = original[row["name"]].astype(np.float64), arrays[row["name"]]
        error = np.linalg.norm(back - w) / np.linalg.norm(w)
        off = max(off, abs(error - row["relative_error"]))
    check(off < 1e-6, f"{to}: {len(report['tensors'])} matrices are as far from the original as was reported")
    same = garam("predict", small, path("m.csv")) == garam("predict", plain, path("m.csv"))
    check(same, f"{to}: the floats that numpy decodes predict the same")
