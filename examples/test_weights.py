#!/usr/bin/env python3
"""Test smollm2.py and minilm.py on small models made here, without any download.

    python examples/test_weights.py [target/release/nanozk]

Writes a GGUF file and a safetensors file of random weights, runs both scripts on them, and, given the program, compiles what
they wrote. Skips, saying so, where a Python package is missing.
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

NEEDED = ("numpy", "onnx", "onnxruntime", "gguf", "tokenizers")
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TOKENS, LAYERS, DIM, HEADS, GROUPS, INNER = 64, 2, 64, 2, 1, 96


def byte_letters():
    """The letters that stand for bytes in byte-level tokenizers, by byte."""
    import tokenizers

    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    of = {chr(b): split.pre_tokenize_str(chr(b))[0][0] for b in range(128)}
    return letters, of


def write_gguf(path, random):
    """A Llama-shaped model whose tokens are the control tokens, bytes, and one merged pair."""
    import gguf

    letters, of = byte_letters()
    pair = (of["t"], of["h"])
    vocabulary = [*CONTROL, *letters, "".join(pair)]
    file = gguf.GGUFWriter(path, "llama")
    file.add_block_count(LAYERS)
    file.add_embedding_length(DIM)
    file.add_head_count(HEADS)
    file.add_head_count_kv(GROUPS)
    file.add_rope_freq_base(1e5)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_token_list(vocabulary)
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL) + [gguf.TokenType.NORMAL] * (len(vocabulary) - len(CONTROL))
    file.add_token_types(kinds)
    file.add_token_merges([" ".join(pair)])
    head = DIM // HEADS
    sizes = {"attn_q": (DIM, DIM), "attn_k": (GROUPS * head, DIM), "attn_v": (GROUPS * head, DIM), "attn_output": (DIM, DIM)}
    sizes |= {"ffn_gate": (INNER, DIM), "ffn_up": (INNER, DIM), "ffn_down": (DIM, INNER)}
    kind = gguf.GGMLQuantizationType.Q8_0

    def matrix(name, shape):
        value = (random.standard_normal(shape) / shape[1] ** 0.5).astype("float32")
        file.add_tensor(f"{name}.weight", gguf.quants.quantize(value, kind), raw_dtype=kind)

    def gains(name):
        file.add_tensor(f"{name}.weight", random.uniform(0.5, 1.5, DIM).astype("float32"))

    matrix("token_embd", (len(vocabulary), DIM))
    gains("output_norm")
    for block in (f"blk.{i}" for i in range(LAYERS)):
        gains(f"{block}.attn_norm")
        gains(f"{block}.ffn_norm")
        for name, shape in sizes.items():
            matrix(f"{block}.{name}", shape)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def write_safetensors(path, random):
    """A BERT-shaped model, with its config.json and a tokenizer of a few words beside it."""
    import numpy
    import tokenizers

    words = ["[PAD]", "[UNK]", "a", "the", "is", "of", "and", "god"]
    sizes = {"embeddings.word_embeddings.weight": (len(words), DIM)}
    sizes |= {"embeddings.position_embeddings.weight": (TOKENS, DIM), "embeddings.token_type_embeddings.weight": (2, DIM)}
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{i}" for i in range(LAYERS)):
        maps = {f"attention.self.{part}": (DIM, DIM) for part in ("query", "key", "value")}
        maps |= {"attention.output.dense": (DIM, DIM), "intermediate.dense": (INNER, DIM), "output.dense": (DIM, INNER)}
        for name, (out, inner) in maps.items():
            sizes |= {f"{layer}.{name}.weight": (out, inner), f"{layer}.{name}.bias": (out,)}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    sizes |= {f"{name}.{part}": (DIM,) for name in norms for part in ("weight", "bias")}
    header, blob = {"__metadata__": {"format": "pt"}}, b""
    for name, shape in sizes.items():
        value = random.standard_normal(shape) / shape[-1] ** 0.5 + ("LayerNorm.weight" in name)
        raw = value.astype(numpy.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + blob)
    config = {"hidden_size": DIM, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "layer_norm_eps": 1e-12}
    (path.parent / "config.json").write_text(json.dumps(config))
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(path.parent / "tokenizer.json"))


def check_rotation(path):
    """Queries and keys give the scores that the file's interleaved halves give when neighbours are rotated."""
    import numpy
    import smollm2

    model = smollm2.Checkpoint(path)
    cos, sin = model.angles(3)
    x = numpy.random.default_rng(1).standard_normal((3, DIM))

    def halves(matrix, heads):
        y = (x @ matrix.T).reshape(3, heads, 2, -1)
        c, s = (a[:, None, : model.head_dim // 2] for a in (cos, sin))
        return numpy.concatenate([y[:, :, 0] * c - y[:, :, 1] * s, y[:, :, 1] * c + y[:, :, 0] * s], -1)

    def neighbours(matrix, heads):
        y = (x @ matrix.T).reshape(3, heads, -1, 2)
        c, s = (a[:, None, : model.head_dim // 2] for a in (cos, sin))
        return numpy.stack([y[..., 0] * c - y[..., 1] * s, y[..., 1] * c + y[..., 0] * s], -1).reshape(3, heads, -1)

    def scores(rotate, matrix):
        q, k = (rotate(matrix(f"blk.0.attn_{name}", n), n) for name, n in (("q", HEADS), ("k", GROUPS)))
        return numpy.einsum("thd,ud->htu", q, k[:, 0])

    assert numpy.allclose(scores(halves, model.rotated), scores(neighbours, lambda name, _: model.weight(name)), atol=1e-4)


def check_tokenizer(path, prompt):
    """Control tokens are one token each, and text comes back as it was."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    ids = tokenizer.encode(prompt).ids
    assert [ids.count(i) for i in range(len(CONTROL))] == [0, 2, 1], ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == prompt
    assert len(tokenizer.encode("thth").ids) == 2


def main():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: the scripts that read published weights (no Python package {', '.join(missing)})")
        return
    import numpy

    here, program = pathlib.Path(__file__).resolve().parent, sys.argv[1:2]
    random = numpy.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_gguf(folder / "tiny.gguf", random)
        write_safetensors(folder / "model.safetensors", random)
        check_rotation(folder / "tiny.gguf")
        given = {"smollm2": ["--gguf", "tiny.gguf", "--windows", "2"], "minilm": ["--safetensors", "model.safetensors"]}
        for name, options in given.items():
            tokens = ["--tokens", str(TOKENS if name == "smollm2" else 16)]
            subprocess.run([sys.executable, here / f"{name}.py", *options, *tokens, "--out", name], cwd=folder, check=True)
            if program:
                data = [word for sample in sorted((folder / name).glob("sample-*.json")) for word in ("--data", sample)]
                command = [pathlib.Path(program[0]).resolve(), "compile", folder / name / "network.onnx", *data]
                subprocess.run([*command, "-o", folder / f"{name}.nanozk"], check=True)
        check_tokenizer(folder / "smollm2" / "tokenizer.json", (folder / "smollm2" / "prompt.txt").read_text())
    print("both scripts write models that onnxruntime runs as numpy does")


if __name__ == "__main__":
    main()
