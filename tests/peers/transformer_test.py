"""The transformer against PyTorch: same weights, same batch; logits, loss and every gradient within 1e-5 relative, and
the losses of ten AdamW steps within 1e-4. Windows are padded in front, so masks are compared as well. Then the same in
half precision, within the bounds of its 8 bits."""

import itertools
import json
import sys

import torch
from safetensors import safe_open
from torch.nn import functional as F
from common import garam, path
from torch_transformer import Transformer

torch.set_num_threads(2)


def load(model, weights):
    """garam's arrays into PyTorch's parameters; matrices are the other way round. Returns what each came from."""
    source = {}

    def put(parameter, names):
        arrays = [weights[n] for n in names]
        arrays = [a.T if a.ndim == 2 and not names[0].startswith("position") else a for a in arrays]
        with torch.no_grad():
            parameter.copy_(torch.cat(arrays))
        source[parameter] = names

    def put_linear(layer, name):
        put(layer.weight, [name + ".weight"])
        put(layer.bias, [name + ".bias"])

    put_linear(model.embed, "embed")
    if isinstance(model.position, torch.nn.Parameter):
        put(model.position, ["position.weight"])
    for i, block in enumerate(model.blocks):
        scope = f"blocks.{i}."
        for leaf in ("weight", "bias"):
            put(getattr(block.qkv, leaf), [f"{scope}attention.{p}.{leaf}" for p in "qkv"])
        put_linear(block.out, scope + "attention.o")
        put_linear(block.up, scope + "feed_forward.in")
        put_linear(block.down, scope + "feed_forward.out")
        put_linear(block.norm1, scope + "norm1")
        put_linear(block.norm2, scope + "norm2")
    if hasattr(model.final_norm, "weight"):
        put_linear(model.final_norm, "norm")
    put_linear(model.head1, "head.in")
    put_linear(model.head2, "head.out")
    return source


def back(value, names):
    """A PyTorch parameter's value or gradient, cut into garam's arrays."""
    parts = value.chunk(len(names)) if len(names) > 1 else [value]
    return {n: p.T if p.ndim == 2 and not n.startswith("position") else p for n, p in zip(names, parts)}


def off(ours, theirs):
    """Largest difference, relative to the array's largest value."""
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max().clamp_min(1e-12))


failed = 0


def expect(what, value, allowed):
    global failed
    if not value <= allowed:
        failed += 1
        print(f"  {what}: off by {value:.3g}, allowed {allowed:g}")


# What is allowed of logits and gradients, and of the losses of ten steps. In bf16 an operand is off by 2^-9 at most, and a
# ReLU near its corner opens or shuts, which the norm of a gradient sees as the root of that; widths are such that half
# products pay. Over a dozen shapes PyTorch's own bf16 is off its fp32 by 0.002 to 0.013 within ten steps, and what is printed
# beside ours.
ALLOWED = {"fp32": (1e-5, 1e-4), "bf16": (0.15, 0.02)}
SMALL = dict(d_model=32, heads=4, layers=2, d_ff=64, seq=24, batch=8, features=7, classes=3)
WIDE = dict(SMALL, d_model=256, d_ff=512)

for precision, shape, norm, activation, positions, causal, pooling in [
    ("fp32", SMALL, "post", "relu", "sinusoidal", False, "mean"),
    ("fp32", SMALL, "pre", "gelu", "learned", True, "last"),
    ("fp32", SMALL, "post", "gelu", "learned", False, "last"),
    ("fp32", SMALL, "pre", "relu", "sinusoidal", True, "mean"),
    ("bf16", WIDE, "pre", "gelu", "learned", True, "last"),
    ("bf16", WIDE, "post", "gelu", "sinusoidal", False, "mean"),
]:
    near_by, losses_by = ALLOWED[precision]
    flags = list(itertools.chain.from_iterable(("--" + k.replace("_", "-"), v) for k, v in shape.items()))
    garam("bench", "parity", *flags, "--norm", norm, "--activation", activation, "--positions", positions, "--pooling",
          pooling, "--learning-rate", 0.01 if precision == "fp32" else 3e-4, "--precision", precision, *(["--causal"] if causal else []), "--out", path("parity.safetensors"))
    with safe_open(path("parity.safetensors"), "pt") as f:
        arrays = {name: f.get_tensor(name) for name in f.keys()}
        probe = json.loads(f.metadata()["probe"])
    group = {kind: {n[len(kind) + 1:]: a for n, a in arrays.items() if n.startswith(kind + ".")}
             for kind in ("weight", "grad", "after")}
    print(f"{precision}, {norm}-norm, {activation}, {positions} positions, {'causal' if causal else 'all steps'}, {pooling}: "
          f"{len(group['weight'])} parameters")

    def peer(dtype):
        model = Transformer(shape["features"], shape["classes"], shape["d_model"], shape["heads"], shape["layers"],
                            shape["d_ff"], 0.0, shape["seq"], norm, activation, causal, positions, pooling).to(dtype)
        source = load(model, group["weight"])
        assert {n for names in source.values() for n in names} == set(group["weight"]), "parameters differ by name"
        return model.train(), source

    # The truth is PyTorch in double: both single-precision runs differ from it by rounding.
    model, source = peer(torch.float64)
    x, begin, target = arrays["x"].double(), arrays["begin"], arrays["target"].long()
    logits = model(x, begin)
    loss = F.cross_entropy(logits, target)
    loss.backward()
    expect("logits", off(arrays["scores"], logits.detach()), near_by)
    expect("loss", off(arrays["loss"], loss.detach().reshape(1)), near_by)
    largest = max(float(p.grad.abs().max()) for p in source)
    worst = 0.0
    for parameter, names in source.items():
        for name, theirs in back(parameter.grad, names).items():
            ours = group["grad"][name].double()
            # attention.k.bias has gradient 0: what counts beside it is the size of the others
            scale = max(float(theirs.abs().max()), 1e-3 * largest)
            difference = float((ours - theirs).abs().max()) / scale
            if precision == "bf16":  # one ReLU that opens is a large item of a small array: by norms
                difference = float((ours - theirs).norm() / theirs.norm().clamp_min(1e-3 * largest))
            worst = max(worst, difference)
            expect("gradient of " + name, difference, near_by)

    adam = probe["train"]

    def fresh():
        model, source = peer(torch.float32)
        decayed = [p for p, names in source.items() if p.ndim == 2 and not names[0].startswith("position")]
        others = [p for p in source if not any(p is d for d in decayed)]
        return model, torch.optim.AdamW(
            [{"params": decayed, "weight_decay": adam["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
            lr=adam["learning_rate"], betas=(adam["beta1"], adam["beta2"]), eps=adam["adam_epsilon"])

    def losses(autocast):
        """Of ten steps, by PyTorch; with autocast its products are bf16's."""
        stream = []
        model, optimiser = fresh()
        for step in range(10):
            optimiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                loss = F.cross_entropy(model(arrays["x"], begin).float(), target)
            stream.append(loss.item())
            loss.backward()
            if adam["clip"] > 0:
                torch.nn.utils.clip_grad_norm_(model.parameters(), adam["clip"])
            optimiser.step()
        return stream

    worst_loss, theirs_off = 0.0, 0.0
    stream = losses(False)
    if precision == "bf16":  # what the format does to this stream, by the peer's own rounding
        theirs_off = max(abs(a - b) / abs(b) for a, b in zip(losses(True), stream))
    for step, loss in enumerate(stream):
        difference = abs(float(arrays["losses"][step]) - loss) / abs(loss)
        worst_loss = max(worst_loss, difference)
        expect(f"loss of AdamW step {step + 1}", difference, losses_by)
    own = f", PyTorch's own bf16 {theirs_off:.1e}" if precision == "bf16" else ""
    print(f"  logits within {off(arrays['scores'], logits.detach()):.1e}, gradients within {worst:.1e}, "
          f"losses of ten steps within {worst_loss:.1e}{own} (from {float(arrays['losses'][0]):.4f} to "
          f"{float(arrays['losses'][9]):.4f})")
sys.exit(1 if failed else 0)
