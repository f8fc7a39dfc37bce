#!/usr/bin/env python3
"""Write tokenizer.json of a model whose tokens are characters, from the vocabulary in its eval.json.

    python examples/character_tokenizer.py onnx-models/kjvgpt-d64-l4
"""

import json
import pathlib
import sys

if len(sys.argv) != 2:
    sys.exit(__doc__)
folder = pathlib.Path(sys.argv[1])
vocabulary = json.loads((folder / "eval.json").read_text(encoding="utf-8"))["vocab"]
tokenizer = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False},
    "post_processor": None,
    "decoder": {"type": "Fuse"},
    # No character stands for those that the vocabulary lacks: a text that holds one is refused.
    "model": {"type": "WordLevel", "vocab": {char: i for i, char in enumerate(vocabulary)}, "unk_token": "\0"},
}
text = json.dumps(tokenizer, ensure_ascii=False, indent=1)
(folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
