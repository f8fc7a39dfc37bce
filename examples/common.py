"""Shared by the training scripts: the King James text, the training loop, the ONNX export and the JSON files."""

import argparse
import json
import math
import pathlib
import re
import subprocess

import numpy as np
import onnxruntime
import torch

MODELS = pathlib.Path(__file__).resolve().parent.parent / "onnx-models"
OPSET = 17


def arguments(doc, model, steps, seed=1):
    """Parse the options all scripts have; `doc` is the script's docstring, `model` its folder below onnx-models."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=MODELS / model, help="folder to write to")
    parser.add_argument("--steps", type=int, default=steps, help="training steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=seed, help="random seed (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--text", type=pathlib.Path, help="train on this UTF-8 text instead of the King James Bible")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def kjv_text():
    """The King James Bible, one verse a line, without verse numbers, as the Debian program `bible` prints it."""
    try:
        run = subprocess.run(["bible", "-f", "Genesis1:1-Revelation22:21"], capture_output=True, text=True, check=True)
    except FileNotFoundError as err:
        raise SystemExit("`bible` not found: apt-get install bible-kjv bible-kjv-text, or give --text FILE") from err
    verses = [line.split(" ", 1)[1] for line in run.stdout.splitlines() if re.match(r"\S+\d+:\d+ ", line)]
    return "\n".join(verses) + "\n"


def load_text(path=None):
    """Return (vocab, train, held_out): the sorted characters, and token ids (index in vocab) split 95 % to 5 %."""
    text = path.read_text(encoding="utf-8") if path else kjv_text()
    vocab = "".join(sorted(set(text)))
    index = {char: i for i, char in enumerate(vocab)}
    ids = torch.tensor([index[char] for char in text])
    cut = int(0.95 * len(ids))
    return vocab, ids[:cut], ids[cut:]


def windows(ids, batch, length):
    """Draw `batch` random windows of `length` token ids: int64 [batch, length]."""
    starts = torch.randint(len(ids) - length + 1, (batch, 1))
    return ids[starts + torch.arange(length)]


def next_token_loss(model, ids, batch, length):
    """Cross-entropy (nats) of predicting each next token in random windows of `length` tokens."""
    seq = windows(ids, batch, length + 1)
    return torch.nn.functional.cross_entropy(model(seq[:, :-1]).flatten(0, 1), seq[:, 1:].flatten())


def train(model, loss_of_step, steps, lr=2e-3, warmup=100, weight_decay=0.05, clip=1.0):
    """AdamW with linear warm-up, cosine decay of the learning rate to 10 %, and gradient clipping."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    model.train()
    for step in range(steps):
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        rate = lr * min(1.0, (step + 1) / warmup) * (0.1 + 0.9 * cosine)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = loss_of_step()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimiser.step()
        if step % 200 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    model.eval()


def make_language_model(args, build, batch, length):
    """Train `build(vocabulary size)` to predict the next token in windows of `length`; write its three files."""
    vocab, ids, held_out = load_text(args.text)
    model = build(len(vocab))
    train(model, lambda: next_token_loss(model, ids, batch, length), args.steps)
    write_language_eval(args.out, vocab, held_out, length)
    export(model, {"tokens": held_out[:length].unsqueeze(0)}, args.out)


def export(model, inputs, out, output="logits"):
    """Write out/network.onnx and out/input.json for `inputs` (name -> tensor); return the onnxruntime session.

    Fails if onnxruntime's output is further than 1e-3 from torch's.
    """
    path = out / "network.onnx"
    torch.onnx.export(
        model,
        tuple(inputs.values()),
        str(path),
        input_names=list(inputs),
        output_names=[output],
        opset_version=OPSET,
        dynamo=False,
    )
    shapes = [list(tensor.shape) for tensor in inputs.values()]
    data = [tensor.flatten().tolist() for tensor in inputs.values()]
    write_json(out / "input.json", {"input_shapes": shapes, "input_data": data})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
    with torch.no_grad():
        gap = np.abs(got - model(*inputs.values()).numpy()).max()
    print(f"{path}: {path.stat().st_size} bytes, output {got.shape}, onnxruntime against torch: {gap:.1e}")
    if gap > 1e-3:
        raise SystemExit(f"{path}: onnxruntime and torch differ by {gap}")
    return session


def write_json(path, value):
    """Write `value` as one line of JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def write_language_eval(out, vocab, held_out, length, count=200):
    """Write eval.json of a causal language model: `count` windows of `length` held-out tokens and one token more."""
    write_json(out / "eval.json", {"vocab": vocab, "T": length, "val": held_out[: count * length + 1].tolist()})
