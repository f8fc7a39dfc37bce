"""Train the BERT-style character model of onnx-models/bert-d64-l2 and export it.

A BERT-style encoder: post-norm layers, erf-GELU, learned positions and token types, 2 layers, 4 heads, d = 64, 32
tokens, attention mask added to the scores as (1 - mask) * -10000, masked-language-model head tied to the embedding.
Vocabulary: the text's characters, then [PAD] and [MASK]. Text: the King James Bible (public domain), 95 % for training.

    apt-get install bible-kjv bible-kjv-text
    pip install -r examples/requirements.txt
    python examples/train_bert.py --out /tmp/bert

Writes network.onnx (opset 17, `input_ids` and `attention_mask` int64 [1, 32] -> `logits` [1, 32, vocabulary]),
input.json and eval.json.
"""

import torch
from torch import nn

import check_models
import common

LAYERS, HEADS, DIM, TOKENS, BATCH = 2, 4, 64, 32, 48
MASKED_SHARE, IGNORED = 0.15, -100


class Embeddings(nn.Module):
    """Sum of word, position and token-type embeddings (all tokens of type 0), normalised."""

    def __init__(self, vocab):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab, DIM)
        self.position_embeddings = nn.Embedding(TOKENS, DIM)
        self.token_type_embeddings = nn.Embedding(2, DIM)
        self.LayerNorm = nn.LayerNorm(DIM, eps=1e-12)

    def forward(self, input_ids):
        positions = torch.arange(input_ids.shape[1]).unsqueeze(0)
        types = self.token_type_embeddings(torch.zeros_like(positions))
        return self.LayerNorm(self.word_embeddings(input_ids) + types + self.position_embeddings(positions))


class Attention(nn.Module):
    """Multi-head self-attention with separate query, key and value matrices."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)
        self.dense = nn.Linear(DIM, DIM)

    def forward(self, x, bias):
        batch, tokens, dim = x.shape
        q, k, v = (
            proj(x).view(batch, tokens, HEADS, dim // HEADS).transpose(1, 2)
            for proj in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(2, 3) / (dim // HEADS) ** 0.5 + bias
        mixed = scores.softmax(-1) @ v
        return self.dense(mixed.transpose(1, 2).reshape(batch, tokens, dim))


class Layer(nn.Module):
    """Post-norm encoder layer."""

    def __init__(self):
        super().__init__()
        self.attention, self.attention_norm = Attention(), nn.LayerNorm(DIM, eps=1e-12)
        self.intermediate, self.output = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)
        self.output_norm = nn.LayerNorm(DIM, eps=1e-12)

    def forward(self, x, bias):
        x = self.attention_norm(self.attention(x, bias) + x)
        return self.output_norm(self.output(nn.functional.gelu(self.intermediate(x))) + x)


class Bert(nn.Module):
    """Token ids and mask (1 = token, 0 = padding), both [batch, tokens], to logits [batch, tokens, vocab]."""

    def __init__(self, vocab):
        super().__init__()
        self.embeddings = Embeddings(vocab)
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])
        self.transform, self.transform_norm = nn.Linear(DIM, DIM), nn.LayerNorm(DIM, eps=1e-12)
        self.decoder_bias = nn.Parameter(torch.zeros(vocab))
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, input_ids, attention_mask):
        bias = (1.0 - attention_mask[:, None, None, :].float()) * -10000.0
        x = self.embeddings(input_ids)
        for layer in self.layers:
            x = layer(x, bias)
        x = self.transform_norm(nn.functional.gelu(self.transform(x)))
        return x @ self.embeddings.word_embeddings.weight.t() + self.decoder_bias


def masked_batch(ids, batch, pad, mask_id, generator=None):
    """Random windows of 16 to 32 tokens, padded, with 15 % of the tokens to predict.

    Returns (input_ids, attention_mask, labels), all int64 [batch, 32]. Of the tokens to predict 80 % become [MASK], 10
    % a random character, 10 % stay; the labels of all others are -100.
    """
    starts = torch.randint(len(ids) - TOKENS + 1, (batch, 1), generator=generator)
    tokens = ids[starts + torch.arange(TOKENS)]
    lengths = torch.randint(TOKENS // 2, TOKENS + 1, (batch, 1), generator=generator)
    attention_mask = (torch.arange(TOKENS) < lengths).long()
    chosen = (torch.rand(batch, TOKENS, generator=generator) < MASKED_SHARE) & (attention_mask == 1)
    kind = torch.rand(batch, TOKENS, generator=generator)
    random_tokens = torch.randint(pad, (batch, TOKENS), generator=generator)
    shown = torch.where(chosen & (kind < 0.8), mask_id, tokens)
    shown = torch.where(chosen & (kind >= 0.9), random_tokens, shown)
    shown = torch.where(attention_mask == 1, shown, pad)
    return shown, attention_mask, torch.where(chosen, tokens, IGNORED)


def main():
    args = common.arguments(__doc__, "bert-d64-l2", steps=8000)
    vocab, train, held_out = common.load_text(args.text)
    names = [*vocab, "[PAD]", "[MASK]"]
    pad, mask_id = len(vocab), len(vocab) + 1
    model = Bert(len(names))

    def loss():
        input_ids, attention_mask, labels = masked_batch(train, BATCH, pad, mask_id)
        logits = model(input_ids, attention_mask)
        return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)

    common.train(model, loss, args.steps)
    held = masked_batch(held_out, 200, pad, mask_id, torch.Generator().manual_seed(args.seed))
    keys = ("input_ids", "attention_mask", "labels")
    evaluation = {"vocab": names, **{key: value.tolist() for key, value in zip(keys, held)}}
    common.write_json(args.out / "eval.json", evaluation)
    common.export(model, {"input_ids": held[0][:1], "attention_mask": held[1][:1]}, args.out)
    check_models.report(args.out)


if __name__ == "__main__":
    main()
