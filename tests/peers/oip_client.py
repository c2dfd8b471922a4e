"""Talks to a running `garam serve` with tritonclient, the Open Inference Protocol's own client.

    oip_client.py URL MODEL [--context T] [--features F] [--classes K]

Checks health, metadata, inference with JSON and with binary tensors in every mix, ids, requested outputs, and that what is
wrong is refused in words. What is expected of T, F and K is checked when it is given. Exits with 0 or 1.
"""

import argparse
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

failures = []


def check(ok, what):
    if not ok:
        failures.append(what)
        print(f"failed: {what}", file=sys.stderr)


def features(x, binary, datatype="FP32"):
    tensor = triton.InferInput("features", list(x.shape), datatype)
    tensor.set_data_from_numpy(x, binary_data=binary)
    return tensor


def refused(what, words, call):
    try:
        call()
    except InferenceServerException as error:
        check(words in str(error), f"{what}: says {words!r}, not {str(error)!r}")
    else:
        check(False, f"{what}: is refused")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("model")
    arguments.add_argument("--context", type=int)
    arguments.add_argument("--features", type=int)
    arguments.add_argument("--classes", type=int)
    expected = arguments.parse_args()
    name = expected.model
    client = triton.InferenceServerClient(url=expected.url.removeprefix("http://").rstrip("/"))

    check(client.is_server_live(), "the server is live")
    check(client.is_server_ready(), "the server is ready")
    check(client.is_model_ready(name), "the model is ready")
    check(client.is_model_ready(name, "1"), "version 1 of the model is ready")
    check(not client.is_model_ready("no-such-model"), "another model is not ready")
    server = client.get_server_metadata()
    check(server["name"] == "garam", "the server's name is garam")
    check("binary_tensor_data" in server["extensions"], "the binary extension is named")

    model = client.get_model_metadata(name)
    check(model == client.get_model_metadata(name, "1"), "version 1 has the same metadata")
    check(model["name"] == name, "the model's name comes back")
    shape = model["inputs"][0]["shape"]
    check(model["inputs"][0]["name"] == "features" and model["inputs"][0]["datatype"] == "FP32", "one FP32 input, features")
    check(shape[0] == -1 and len(shape) in (2, 3), f"an input shape [-1, T, F] or [-1, F], not {shape}")
    n_features = shape[-1]
    context = shape[1] if len(shape) == 3 else 1
    outputs = {output["name"]: output for output in model["outputs"]}
    main_output = "probabilities" if "probabilities" in outputs else "value"
    n_outputs = outputs[main_output]["shape"][1]
    check(outputs[main_output]["shape"][0] == -1, "batch dimensions are -1")
    check(len(model["parameters"]["feature_names"]) == n_features, "every feature has a name")
    for what, wanted, found in (("context", expected.context, context), ("features", expected.features, n_features),
                                ("classes", expected.classes, n_outputs)):
        check(wanted is None or wanted == found, f"{what}: {wanted} expected, {found} found")

    rng = np.random.default_rng(1)
    for n in (1, 3, 33):
        x = rng.standard_normal([n] + shape[1:]).astype(np.float32)
        answers = []
        for binary_in in (True, False):
            for binary_out in (True, False):
                asked = [triton.InferRequestedOutput(output, binary_data=binary_out) for output in outputs]
                result = client.infer(name, [features(x, binary_in)], outputs=asked, request_id=f"request {n}")
                what = f"{n} rows, binary {binary_in} in, {binary_out} out"
                check(result.get_response()["id"] == f"request {n}", f"{what}: the id comes back")
                answer = result.as_numpy(main_output)
                check(answer is not None and answer.dtype == np.float32 and answer.shape == (n, n_outputs), f"{what}: shape")
                answers.append(answer)
                if main_output == "probabilities":
                    check(np.allclose(answer.sum(axis=1), 1, atol=1e-5), f"{what}: probabilities sum to 1")
                    check((answer >= 0).all(), f"{what}: no probability is below 0")
                    labels = [label.decode() if isinstance(label, bytes) else label for label in result.as_numpy("label")]
                    classes = model["parameters"]["class_names"]
                    check(labels == [classes[i] for i in answer.argmax(axis=1)], f"{what}: labels are the likeliest classes")
        for answer in answers[1:]:
            check(np.array_equal(answer, answers[0]), f"{n} rows: the same bits whatever the encoding")
        default = client.infer(name, [features(x, True)])
        check(np.array_equal(default.as_numpy(main_output), answers[0]), f"{n} rows: default outputs")
        only = client.infer(name, [features(x, True)], outputs=[triton.InferRequestedOutput(main_output)], model_version="1")
        check(len(only.get_response()["outputs"]) == 1, f"{n} rows: only what was asked for")
        double = client.infer(name, [features(x.astype(np.float64), True, "FP64")])
        check(np.array_equal(double.as_numpy(main_output), answers[0]), f"{n} rows: FP64 is converted")
    whole = np.ones([2] + shape[1:], np.int64)
    same = client.infer(name, [features(whole, True, "INT64")]).as_numpy(main_output)
    check(np.array_equal(same, client.infer(name, [features(whole.astype(np.float32), False)]).as_numpy(main_output)),
          "INT64 is converted")

    good = np.zeros([1] + shape[1:], np.float32)
    for value, words in ((np.nan, "is NaN"), (np.inf, "infinite")):
        bad = good.copy()
        bad.flat[-1] = value
        refused(f"{value}, binary", words, lambda x=bad: client.infer(name, [features(x, True)]))
    bad = good.copy()
    bad.flat[-1] = np.nan
    refused("NaN, JSON", "NaN", lambda: client.infer(name, [features(bad, False)]))
    refused("a wrong shape", "expected [n,", lambda: client.infer(name, [features(np.zeros([1, 1], np.float32), True)])
            if n_features != 1 else client.infer(name, [features(np.zeros([1, 2], np.float32), True)]))
    refused("an unknown model", "no model", lambda: client.infer("no-such-model", [features(good, True)]))
    refused("an unknown version", "version 1 only", lambda: client.infer(name, [features(good, True)], model_version="9"))
    refused("an unknown output", "the model has",
            lambda: client.infer(name, [features(good, True)], outputs=[triton.InferRequestedOutput("nothing")]))
    refused("packed bodies", "Content-Encoding",
            lambda: client.infer(name, [features(good, True)], request_compression_algorithm="gzip"))
    check(client.is_server_live(), "the server is live at the end")
    client.close()

    if failures:
        sys.exit(1)
    print(f"{name}: {context} x {n_features} in, {n_outputs} out; tritonclient agrees")


main()
