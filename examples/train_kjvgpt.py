"""Train the character-level GPT of onnx-models/kjvgpt-d64-l4 and export it.

A GPT-2-style decoder: 4 layers, 4 heads, d = 64, 64 tokens, learned positions, tanh-GELU, LayerNorm with bias, output
matrix tied to the embedding. Text: the King James Bible (public domain), 95 % for training.

    apt-get install bible-kjv bible-kjv-text
    pip install -r examples/requirements.txt
    python examples/train_kjvgpt.py --out /tmp/kjvgpt

Writes network.onnx (opset 17, `tokens` int64 [1, 64] -> `logits` [1, 64, vocabulary]), input.json and eval.json.
The committed model was made with these settings; another machine or torch version gives slightly other weights.
"""

import torch
from torch import nn

import check_models
import common

LAYERS, HEADS, DIM, TOKENS, BATCH = 4, 4, 64, 64, 24


def gelu(x):
    """GELU in its tanh form."""
    return 0.5 * (x * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * (x * (x * x))))))


class Attention(nn.Module):
    """Causal multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self):
        super().__init__()
        self.c_attn = nn.Linear(DIM, 3 * DIM)
        self.c_proj = nn.Linear(DIM, DIM)
        self.register_buffer("allowed", torch.ones(1, 1, TOKENS, TOKENS).tril().bool(), persistent=False)

    def forward(self, x):
        batch, tokens, dim = x.shape
        q, k, v = (
            part.view(batch, tokens, HEADS, dim // HEADS).transpose(1, 2) for part in self.c_attn(x).split(dim, dim=2)
        )
        scores = (q @ k.transpose(2, 3)) * (DIM // HEADS) ** -0.5
        scores = scores.masked_fill(~self.allowed[:, :, :tokens, :tokens], float("-inf"))
        mixed = scores.softmax(-1) @ v
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, tokens, dim))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self):
        super().__init__()
        self.ln1, self.attn = nn.LayerNorm(DIM), Attention()
        self.ln2, self.fc, self.pr = nn.LayerNorm(DIM), nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.pr(gelu(self.fc(self.ln2(x))))


class Gpt(nn.Module):
    """Token ids [batch, tokens] to next-token logits [batch, tokens, vocab]."""

    def __init__(self, vocab):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, DIM), nn.Embedding(TOKENS, DIM)
        self.h = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.lnf = nn.LayerNorm(DIM)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1]).unsqueeze(0)
        return self.lnf(self.h(self.wte(tokens) + self.wpe(positions))) @ self.wte.weight.t()


def main():
    args = common.arguments(__doc__, "kjvgpt-d64-l4", steps=3000)
    common.make_language_model(args, Gpt, BATCH, TOKENS)
    check_models.report(args.out)


if __name__ == "__main__":
    main()
