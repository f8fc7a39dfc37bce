"""Train the digit classifier of onnx-models/mlp-digits and export it.

A ReLU network 64 -> 128 -> 64 -> 10 on the 8x8 digits that come with scikit-learn (1,797 images, pixels scaled to
0..1); one fifth is held out.

    pip install -r examples/requirements.txt
    python examples/train_mlp_digits.py --out /tmp/mlp

Writes network.onnx (opset 17, `pixels` float [1, 64] -> `logits` [1, 10]), input.json and eval.json (50 held-out
digits).
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import check_models
import common

BATCH, EVAL_DIGITS = 64, 50


def main():
    args = common.arguments(__doc__, "mlp-digits", steps=2000)
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.2, stratify=labels, random_state=args.seed)
    train_x, test_x = (torch.tensor(part, dtype=torch.float32) for part in split[:2])
    train_y, test_y = (torch.tensor(part) for part in split[2:])
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))

    def loss():
        rows = torch.randint(len(train_x), (BATCH,))
        return nn.functional.cross_entropy(model(train_x[rows]), train_y[rows])

    common.train(model, loss, args.steps)
    with torch.no_grad():
        hits = (model(test_x).argmax(1) == test_y).sum().item()
    print(f"test accuracy {hits / len(test_y):.4f} ({hits} of {len(test_y)} held-out digits)")
    evaluation = {"inputs": test_x[:EVAL_DIGITS].tolist(), "labels": test_y[:EVAL_DIGITS].tolist()}
    common.write_json(args.out / "eval.json", evaluation)
    common.export(model, {"pixels": test_x[:1]}, args.out)
    check_models.report(args.out)


if __name__ == "__main__":
    main()
