"""Run models in onnxruntime: their input.json, and their accuracy on eval.json where there is one.

    pip install -r examples/requirements.txt
    python examples/check_models.py [FOLDER ...]

Without arguments: every folder of onnx-models.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime

MODELS = pathlib.Path(__file__).resolve().parent.parent / "onnx-models"
IGNORED = -100


def log_softmax(logits):
    """Logarithm of the softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def next_token_score(run, data):
    """Perplexity and top-1 accuracy of a causal model over the windows of `val`."""
    length, val = data["T"], np.array(data["val"])
    losses, hits = [], []
    for start in range(0, len(val) - length, length):
        logp = log_softmax(run([val[start : start + length]])[0])
        labels = val[start + 1 : start + length + 1]
        losses.extend(-logp[np.arange(length), labels])
        hits.extend(logp.argmax(-1) == labels)
    return f"perplexity {np.exp(np.mean(losses)):.3f}, top-1 {np.mean(hits):.4f} over {len(hits)} tokens"


def masked_token_score(run, data):
    """Perplexity and top-1 accuracy of a masked model over the labelled tokens."""
    losses, hits = [], []
    for ids, mask, labels in zip(data["input_ids"], data["attention_mask"], np.array(data["labels"])):
        logp = log_softmax(run([ids, mask])[0])
        (places,) = np.nonzero(labels != IGNORED)
        losses.extend(-logp[places, labels[places]])
        hits.extend(logp[places].argmax(-1) == labels[places])
    return f"perplexity {np.exp(np.mean(losses)):.3f}, top-1 {np.mean(hits):.4f} over {len(hits)} masked tokens"


def class_score(run, data):
    """Top-1 accuracy of a classifier."""
    hits = [run([row])[0].argmax() == label for row, label in zip(data["inputs"], data["labels"])]
    return f"accuracy {np.mean(hits):.4f} over {len(hits)} inputs"


def report(folder):
    """Print the shapes and the accuracy of the model in `folder`."""
    session = onnxruntime.InferenceSession(str(folder / "network.onnx"), providers=["CPUExecutionProvider"])
    types = {"tensor(int64)": np.int64, "tensor(float)": np.float32}

    def run(values):
        feed = {
            node.name: np.array(value, dtype=types[node.type]).reshape(node.shape)
            for node, value in zip(session.get_inputs(), values, strict=True)
        }
        return session.run(None, feed)[0]

    output = run(json.loads((folder / "input.json").read_text(encoding="utf-8"))["input_data"])
    shapes = ", ".join(f"{node.name} {node.shape}" for node in session.get_inputs())
    line = f"{folder.name}: {shapes} -> {session.get_outputs()[0].name} {list(output.shape)}"
    if not np.isfinite(output).all():
        raise SystemExit(f"{folder.name}: the output has values that are not finite")
    if (folder / "eval.json").exists():
        data = json.loads((folder / "eval.json").read_text(encoding="utf-8"))
        score = next_token_score if "val" in data else masked_token_score if "attention_mask" in data else class_score
        line += f"; {score(run, data)}"
    print(line)


def main():
    folders = [pathlib.Path(name) for name in sys.argv[1:]] or sorted(MODELS.iterdir())
    for folder in folders:
        if (folder / "network.onnx").exists():
            report(folder)


if __name__ == "__main__":
    main()
