"""Train the Llama-style character model of onnx-models/llama-d64-l2 and export it.

A Llama-style decoder: RMSNorm, rotary positions (half-split rotation), grouped-query attention (4 query heads, 2 key
and value heads of 16), SwiGLU with hidden size 172, d = 64, 2 layers, 32 tokens, no biases, separate output matrix,
additive causal mask. Text: the King James Bible (public domain), 95 % for training.

    apt-get install bible-kjv bible-kjv-text
    pip install -r examples/requirements.txt
    python examples/train_llama.py --out /tmp/llama

Writes network.onnx (opset 17, `tokens` int64 [1, 32] -> `logits` [1, 32, vocabulary]), input.json and eval.json.
"""

import torch
from torch import nn

import check_models
import common

LAYERS, HEADS, KV_HEADS, HEAD_DIM, DIM, HIDDEN, TOKENS, BATCH = 2, 4, 2, 16, 64, 172, 32, 48
ROPE_BASE = 10000.0


class RmsNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps), times a learned weight."""

    def __init__(self, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(DIM)), eps

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


def rotate_half(x):
    """(a, b) to (-b, a), where a and b are the halves of the last axis."""
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def repeat_kv(x, times):
    """[batch, kv heads, tokens, dim] to [batch, kv heads * times, tokens, dim], each head repeated `times` times."""
    batch, heads, tokens, dim = x.shape
    return x[:, :, None].expand(batch, heads, times, tokens, dim).reshape(batch, heads * times, tokens, dim)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(DIM, HEADS * HEAD_DIM, bias=False)
        self.k_proj = nn.Linear(DIM, KV_HEADS * HEAD_DIM, bias=False)
        self.v_proj = nn.Linear(DIM, KV_HEADS * HEAD_DIM, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD_DIM, DIM, bias=False)

    def forward(self, x, cos, sin, mask):
        batch, tokens, _ = x.shape
        q, k, v = (
            proj(x).view(batch, tokens, -1, HEAD_DIM).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        q = q * cos + rotate_half(q) * sin
        k = k * cos + rotate_half(k) * sin
        k, v = repeat_kv(k, HEADS // KV_HEADS), repeat_kv(v, HEADS // KV_HEADS)
        scores = (q @ k.transpose(2, 3)) * HEAD_DIM**-0.5 + mask
        mixed = scores.softmax(-1) @ v
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, HEADS * HEAD_DIM))


class Mlp(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self):
        super().__init__()
        self.gate_proj = nn.Linear(DIM, HIDDEN, bias=False)
        self.up_proj = nn.Linear(DIM, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, DIM, bias=False)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Pre-norm decoder layer."""

    def __init__(self):
        super().__init__()
        self.input_layernorm, self.self_attn = RmsNorm(), Attention()
        self.post_attention_layernorm, self.mlp = RmsNorm(), Mlp()

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Token ids [batch, tokens] to next-token logits [batch, tokens, vocab]."""

    def __init__(self, vocab):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab, DIM)
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])
        self.norm, self.lm_head = RmsNorm(), nn.Linear(DIM, vocab, bias=False)
        frequencies = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
        angles = torch.outer(torch.arange(TOKENS).float(), frequencies).repeat(1, 2)
        mask = torch.full((TOKENS, TOKENS), torch.finfo(torch.float32).min).triu(1)
        for name, value in (("cos", angles.cos()), ("sin", angles.sin()), ("mask", mask)):
            self.register_buffer(name, value[None, None], persistent=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin, self.mask)
        return self.lm_head(self.norm(x))


def main():
    args = common.arguments(__doc__, "llama-d64-l2", steps=4000)
    common.make_language_model(args, Llama, BATCH, TOKENS)
    check_models.report(args.out)


if __name__ == "__main__":
    main()
