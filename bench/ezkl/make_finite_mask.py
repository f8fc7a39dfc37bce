#!/usr/bin/env python3
"""Writes a copy of a model folder whose -inf mask constants are finite.

EZKL represents every constant in its field, so -inf must become a number. A softmax over scores of ordinary size gives
such positions a share of about exp(-16), and both sides of a comparison run on the same copy.

Usage: make_finite_mask.py MODEL_DIR OUT_DIR [--value -16]
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def finite(tensor: onnx.TensorProto, value: float) -> int:
    """Replaces negative infinities of a tensor in place; returns how many there were."""
    array = numpy_helper.to_array(tensor)
    if array.dtype.kind != "f":
        return 0
    infinite = np.isneginf(array)
    if infinite.any():
        replaced = np.where(infinite, array.dtype.type(value), array)
        tensor.CopyFrom(numpy_helper.from_array(replaced, tensor.name))
    return int(infinite.sum())


def convert(source: Path, target: Path, value: float) -> int:
    """Writes the copy; returns the number of values replaced."""
    model = onnx.load(source / "network.onnx")
    tensors = list(model.graph.initializer)
    tensors += [a.t for n in model.graph.node for a in n.attribute if a.type == onnx.AttributeProto.TENSOR]
    count = sum(finite(tensor, value) for tensor in tensors)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.FLOAT and attribute.f == float("-inf"):
                attribute.f = value
                count += 1
    target.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target / "network.onnx")
    shutil.copyfile(source / "input.json", target / "input.json")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--value", type=float, default=-16.0)
    args = parser.parse_args()
    count = convert(args.model, args.out, args.value)
    if count == 0:
        raise SystemExit(f"{args.model}: no -inf constant found; use the model as it is")
    print(f"{args.out}: {count} values replaced by {args.value:g}")


if __name__ == "__main__":
    main()
