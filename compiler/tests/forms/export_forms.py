"""Exports one small transformer block per way of writing it, so that the front end can be tested on every form.

Usage: python export_forms.py OUTPUT_FOLDER   (needs torch 2.15, onnx and onnxscript)

The files `dynamo_*` come from the exporter of `torch.export`, all others from TorchScript. `expected.json` holds what
torch computes for the former.
"""

import json
import logging
import math
import os
import sys
import warnings

import onnx
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
torch.manual_seed(1)
torch.backends.mha.set_fastpath_enabled(False)
T, D, H, VOCAB = 6, 8, 2, 11
DH = D // H
LOWEST = torch.finfo(torch.float32).min
TRIL = torch.tril(torch.ones(T, T))


def split_qkv(form, m, x):
    """Queries, keys and values [1, H, T, DH] from one or three projections."""
    heads = lambda y, h=H: y.view(1, T, h, DH).transpose(1, 2)
    if form == "split":
        return [heads(y) for y in m.qkv(x).split(D, 2)]
    if form == "slice":
        y = m.qkv(x)
        return [heads(y[..., i * D : (i + 1) * D]) for i in range(3)]
    if form == "permute":
        y = m.qkv(x).reshape(1, T, 3, H, DH).permute(2, 0, 3, 1, 4)
        return y[0], y[1], y[2]
    if form == "per_head":
        return [y.transpose(1, 2) for y in m.qkv(x).view(1, T, H, 3 * DH).split(DH, -1)]
    if form == "einsum":
        return [torch.einsum("btd,dhk->bthk", x, w).transpose(1, 2) for w in (m.wq, m.wk, m.wv)]
    return heads(m.q(x)), heads(m.k(x), m.kv), heads(m.v(x), m.kv)


def rotate(form, m, z):
    """Rotary embedding in four writings; the last two rotate neighbouring features."""
    half = DH // 2
    if form == "rotate_half":
        turned = torch.cat([-z[..., half:], z[..., :half]], -1)
        return z * torch.cat([m.cos, m.cos], -1) + turned * torch.cat([m.sin, m.sin], -1)
    if form == "two_parts":
        a, b = z[..., :half], z[..., half:]
        return torch.cat([a * m.cos - b * m.sin, b * m.cos + a * m.sin], -1)
    if form == "strided":
        a, b = z[..., 0::2], z[..., 1::2]
    else:
        pairs = z.view(1, z.shape[1], T, half, 2)
        a, b = pairs[..., 0], pairs[..., 1]
    return torch.stack([a * m.cos - b * m.sin, b * m.cos + a * m.sin], -1).flatten(-2)


def masked(form, scores, mask):
    """Causal and key masks in the writings of common code bases."""
    seen = TRIL.bool()
    if form == "fill_inf":
        return scores.masked_fill(TRIL == 0, float("-inf"))
    if form == "where_1e4":
        return torch.where(seen, scores, torch.tensor(-1e4))
    if form == "where_lowest":
        return torch.where(seen[None, None], scores, LOWEST)
    if form == "fill_soft":
        return scores.masked_fill(TRIL == 0, -10.0)
    if form == "add_soft":
        return scores + (1 - TRIL) * -9.0
    if form == "add_inf":
        return scores + torch.triu(torch.full((T, T), float("-inf")), 1)
    if form == "add_1e4":
        return scores + (1 - TRIL) * -1e4
    if form == "add_lowest":
        return scores + torch.triu(torch.full((T, T), LOWEST), 1)[None, None]
    if form == "multiply_subtract":
        return scores * TRIL - 1e10 * (1 - TRIL)
    if form == "key_add_1e4":
        return scores + (1 - mask[:, None, None, :].float()) * -1e4
    if form == "key_fill":
        return scores.masked_fill(mask[:, None, None, :] == 0, float("-inf"))
    if form == "key_and_causal":
        return scores.masked_fill(~(seen[None, None] & mask[:, None, None, :].bool()), LOWEST)
    if form == "key_plus_causal":
        key = torch.where(mask[:, None, None, :].bool(), 0.0, LOWEST)
        return scores + torch.max(torch.triu(torch.full((T, T), LOWEST), 1) + key, torch.tensor(LOWEST))
    return scores


class Attention(nn.Module):
    def __init__(self, qkv="split", mask="fill_inf", scale="div", rope=None, kv=H, repeat="expand"):
        super().__init__()
        self.form, self.mask, self.scale, self.rope, self.kv, self.repeat = qkv, mask, scale, rope, kv, repeat
        if qkv in ("split", "slice", "permute", "per_head"):
            self.qkv = nn.Linear(D, 3 * D)
        elif qkv == "einsum":
            self.wq, self.wk, self.wv = (nn.Parameter(torch.randn(D, H, DH) * 0.3) for _ in range(3))
        else:
            self.q, self.k, self.v = nn.Linear(D, D), nn.Linear(D, kv * DH), nn.Linear(D, kv * DH)
        self.out = nn.Linear(D, D)
        angle = torch.arange(T).float()[:, None] / 100 ** (torch.arange(0, DH, 2).float() / DH)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, x, mask=None):
        q, k, v = split_qkv(self.form, self, x)
        if self.rope:
            q, k = rotate(self.rope, self, q), rotate(self.rope, self, k)
        if self.kv != H:
            if self.repeat == "interleave":
                k, v = (z.repeat_interleave(H // self.kv, 1) for z in (k, v))
            else:
                k, v = (z[:, :, None].expand(1, self.kv, H // self.kv, T, DH).reshape(1, H, T, DH) for z in (k, v))
        if self.mask == "sdpa":
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        elif self.mask == "sdpa_key":
            visible = mask[:, None, None, :].bool().expand(1, 1, T, T)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)
        else:
            if self.scale == "query":
                scores = (q * DH**-0.5) @ k.transpose(-2, -1)
            elif self.scale == "both":
                scores = (q * DH**-0.25) @ (k * DH**-0.25).transpose(-2, -1)
            elif self.scale == "einsum":
                scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * DH**-0.5
            elif self.scale == "transposed":
                scores = (k @ q.transpose(-2, -1)).transpose(-2, -1) * DH**-0.5
            else:
                scores = q @ k.transpose(-2, -1) / math.sqrt(DH)
            y = masked(self.mask, scores, mask).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(1, T, D))


class Norm(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form = form
        self.layer = nn.LayerNorm(D)
        self.gain = nn.Parameter(torch.rand(D) + 0.5)

    def forward(self, x):
        if self.form == "rms_rsqrt":
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.gain
        if self.form == "rms_sqrt":
            return self.gain * (x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6))
        if self.form == "layer_sqrt":
            mean = x.mean(-1, keepdim=True)
            return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + 1e-5) * self.gain + 0.25
        if self.form == "layer_var":
            mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
            return (x - mean) / torch.sqrt(var + 1e-5) * self.gain
        return self.layer(x)


def activation(form, x):
    if form == "gelu_erf":
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    if form == "gelu":
        return F.gelu(x)
    if form == "gelu_tanh":
        return F.gelu(x, approximate="tanh")
    if form == "gelu_pow":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))
    if form == "gelu_fast":
        return 0.5 * x * (1 + torch.tanh(x * 0.7978845608 * (1 + 0.044715 * x * x)))
    if form == "silu":
        return F.silu(x)
    if form == "silu_exp":
        return x / (1 + torch.exp(-x))
    if form == "relu_where":
        return torch.where(x > 0, x, torch.zeros(()))
    if form == "leaky":
        return F.leaky_relu(x, 0.1)
    a, b = x.chunk(2, -1)
    return a * F.silu(b)


class Block(nn.Module):
    def __init__(self, norm="layer", act="gelu_pow", **attention):
        super().__init__()
        self.act = act
        self.attention, self.n1, self.n2 = Attention(**attention), Norm(norm), Norm(norm)
        self.up, self.down = nn.Linear(D, 2 * D), nn.Linear(D if act == "swiglu" else 2 * D, D)

    def forward(self, x, mask=None):
        x = x + self.attention(self.n1(x), mask)
        return x + self.down(activation(self.act, self.up(self.n2(x))))


class Language(nn.Module):
    def __init__(self, tail, **block):
        super().__init__()
        self.tokens, self.positions, self.tail = nn.Embedding(VOCAB, D), nn.Embedding(T, D), tail
        self.block = Block(**block)

    def forward(self, ids):
        x = self.block(self.tokens(ids) + self.positions(torch.arange(T)))
        if self.tail == "last":
            x = x[:, -1]
        if self.tail == "mean":
            x = x.mean(1)
        return x @ self.tokens.weight.t()


class Dynamic(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.out = nn.Embedding(VOCAB, D), nn.Linear(D, VOCAB)

    def forward(self, ids):
        return self.out(F.gelu(self.tokens(ids)))


class Image(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(36, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, x):
        return F.softmax(self.b(F.relu(self.norm(self.a(x.flatten(1))))), -1)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(D, H, 2 * D, batch_first=True, activation="gelu")

    def forward(self, x):
        return self.layer(x)


class Grouped(nn.Module):
    """Attention with two query heads on one key head, left to torch."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(D, D), nn.Linear(D, DH), nn.Linear(D, DH), nn.Linear(D, D)

    def forward(self, x):
        q, k, v = (z.view(1, T, -1, DH).transpose(1, 2) for z in (self.q(x), self.k(x), self.v(x)))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return x + self.out(y.transpose(1, 2).reshape(1, T, D))


class Rms(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.out = nn.RMSNorm(D), nn.Linear(D, D)

    def forward(self, x):
        return x + self.out(self.norm(x))


folder = sys.argv[1]


def write(name, model, args, inputs, opset, **options):
    path = os.path.join(folder, name + ".onnx")
    names = {"input_names": inputs, "output_names": ["y"]}
    torch.onnx.export(model.eval(), args, path, opset_version=opset, **names, **options)
    return path


def export(name, model, args, inputs, opset=17, dynamic=None):
    return write(name, model, args, inputs, opset, dynamic_axes=dynamic, dynamo=False)


x, mask = torch.randn(1, T, D), torch.tensor([[1] * (T - 2) + [0] * 2])
ids = torch.arange(T)[None] % VOCAB
for form in ["split", "slice", "permute", "per_head", "separate"]:
    export("qkv_" + form, Block(qkv=form), (x,), ["x"])
export("qkv_einsum", Block(qkv="einsum"), (x,), ["x"])
for form in ["sdpa", "where_1e4", "where_lowest", "add_inf", "add_1e4", "add_lowest", "multiply_subtract", "none"]:
    export("mask_" + form, Block(mask=form), (x,), ["x"])
for form in ["key_add_1e4", "key_fill", "key_and_causal", "key_plus_causal", "sdpa_key"]:
    export("mask_" + form, Block(mask=form), (x, mask), ["x", "attention_mask"])
for form in ["query", "both", "einsum", "transposed"]:
    export("scale_" + form, Block(scale=form), (x,), ["x"])
for form in ["gelu_erf", "gelu", "gelu_tanh", "gelu_fast", "silu", "silu_exp", "relu_where", "leaky", "swiglu"]:
    export("act_" + form, Block(act=form), (x,), ["x"])
export("act_gelu_opset20", Block(act="gelu"), (x,), ["x"], 20)
export("act_gelu_tanh_opset20", Block(act="gelu_tanh"), (x,), ["x"], 20)
export("opset11", Block(act="gelu"), (x,), ["x"], 11)
for form in ["rms_rsqrt", "rms_sqrt", "layer_sqrt", "layer_var"]:
    export("norm_" + form, Block(norm=form), (x,), ["x"])
for form in ["rotate_half", "two_parts", "strided", "pairs"]:
    export("rope_" + form, Block(norm="rms_rsqrt", qkv="separate", rope=form), (x,), ["x"])
for form in ["expand", "interleave"]:
    export("gqa_" + form, Block(norm="rms_rsqrt", qkv="separate", rope="rotate_half", kv=1, repeat=form), (x,), ["x"])
export("torch_encoder", Encoder(), (x,), ["x"])
export("language", Language("all"), (ids,), ["ids"])
export("image_mlp", Image(), (torch.randn(1, 1, 6, 6),), ["x"])
export("batch_mlp", Image(), (torch.randn(4, 36),), ["x"])
export("dynamic", Dynamic(), (ids,), ["ids"], 17, {"ids": {0: "batch", 1: "seq"}, "y": {0: "batch", 1: "seq"}})
export("last_token", Language("last"), (ids,), ["ids"])
export("mean_of_tokens", Language("mean"), (ids,), ["ids"])
path = export("refused_external_data", nn.Linear(D, D), (x,), ["x"])
onnx.save_model(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
os.remove(os.path.join(folder, "weights.bin"))

expected = {}


def export_dynamo(name, model, args, inputs, opset=18, external=False, dynamic=None):
    """Exports with `torch.export`, without the stack traces that the exporter stores, and notes torch's own result."""
    name = "dynamo_" + name
    options = {"dynamo": True, "dynamic_shapes": dynamic, "external_data": external, "verbose": False}
    path = write(name, model, args, inputs, opset, **options)
    proto = onnx.load(path, load_external_data=False)
    graph = proto.graph
    for holder in [proto, graph, *graph.node, *graph.input, *graph.output, *graph.initializer]:
        del holder.metadata_props[:]
    del graph.value_info[:]
    with open(path, "wb") as file:
        file.write(proto.SerializeToString())
    flat = lambda z: [round(float(v), 6) for v in z.flatten()]
    expected[name] = {"input_data": [flat(a) for a in args], "output_data": flat(model(*args))}


for form in ["split", "permute", "per_head", "einsum"]:
    export_dynamo("qkv_" + form, Block(qkv=form), (x,), ["x"])
for form in ["sdpa", "where_lowest", "add_inf", "multiply_subtract", "none"]:
    export_dynamo("mask_" + form, Block(mask=form), (x,), ["x"])
for form in ["key_fill", "key_and_causal", "sdpa_key"]:
    export_dynamo("mask_" + form, Block(mask=form), (x, mask), ["x", "attention_mask"])
for form in ["gelu_erf", "gelu", "gelu_tanh", "gelu_fast", "silu", "relu_where", "leaky", "swiglu"]:
    export_dynamo("act_" + form, Block(act=form), (x,), ["x"])
for form in ["rms_rsqrt", "rms_sqrt", "layer_sqrt", "layer_var"]:
    export_dynamo("norm_" + form, Block(norm=form), (x,), ["x"])
for form in ["rotate_half", "two_parts", "strided", "pairs"]:
    export_dynamo("rope_" + form, Block(norm="rms_rsqrt", qkv="separate", rope=form), (x,), ["x"])
for form in ["expand", "interleave"]:
    model = Block(norm="rms_rsqrt", qkv="separate", rope="rotate_half", kv=1, repeat=form)
    export_dynamo("gqa_" + form, model, (x,), ["x"])
for opset in [18, 23]:
    export_dynamo(f"gqa_sdpa_opset{opset}", Grouped(), (x,), ["x"], opset)
    export_dynamo(f"rms_opset{opset}", Rms(), (x,), ["x"], opset)
for opset in [20, 23, 24]:
    export_dynamo(f"sdpa_opset{opset}", Block(mask="sdpa", act="gelu"), (x,), ["x"], opset)
for opset in [20, 23]:
    model = Block(mask="sdpa_key", act="gelu_tanh")
    export_dynamo(f"sdpa_key_opset{opset}", model, (x, mask), ["x", "attention_mask"], opset)
export_dynamo("torch_encoder", Encoder(), (x,), ["x"])
export_dynamo("language", Language("all"), (ids,), ["ids"])
export_dynamo("image_mlp", Image(), (torch.randn(1, 1, 6, 6),), ["x"])
export_dynamo("external_data", Block(act="gelu"), (x,), ["x"], external=True)
seq = {"ids": {1: torch.export.Dim("seq", min=2, max=64)}}
export_dynamo("dynamic", Dynamic(), (ids,), ["ids"], dynamic=seq)
with open(os.path.join(folder, "expected.json"), "w") as file:
    json.dump(expected, file, separators=(",", ":"))

for form in ["fill_soft", "add_soft"]:
    export("soft_mask_" + form[:-5], Block(mask=form), (x,), ["x"])
export("language_two_way", Language("all", mask="none"), (ids,), ["ids"])
