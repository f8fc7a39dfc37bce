"""Models as ONNX files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nanozk import _native
from nanozk._files import Scratch
from nanozk._values import is_path


def onnx_file(model: Any, data: Any, scratch: Scratch) -> Path:
    """The ONNX file of a path, bytes, an ``onnx.ModelProto`` or a ``torch.nn.Module``."""
    if isinstance(model, (str, os.PathLike)):
        return Path(model)
    path = scratch.path / "network.onnx"
    if isinstance(model, (bytes, bytearray, memoryview)):
        _native.write(path, bytes(model), True)
    elif hasattr(model, "SerializeToString"):
        _native.write(path, model.SerializeToString(), True)
    elif any(base.__module__.split(".")[0] == "torch" for base in type(model).__mro__):
        _export(model, data, path)
    else:
        raise TypeError(
            f"{type(model).__name__} is no model; give a path, bytes, an onnx.ModelProto or a torch.nn.Module"
        )
    return path


def _export(module: Any, data: Any, path: Path) -> None:
    """Exports a module with the first sample of the data, by torch's own exporter."""
    import torch

    sample = data[0] if isinstance(data, list) and data else data
    if sample is None or is_path(sample):
        raise TypeError("torch's exporter needs an input; give arrays as data")

    def tensor(value: Any) -> Any:
        return value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value))

    kwargs: dict[str, Any] = {}
    args: tuple[Any, ...] = ()
    if isinstance(sample, Mapping):
        kwargs = {name: tensor(value) for name, value in sample.items()}
    else:
        args = tuple(tensor(value) for value in (sample if isinstance(sample, tuple) else (sample,)))
    training = module.training
    module.eval()
    try:
        if kwargs:
            torch.onnx.export(module, args, str(path), kwargs=kwargs, input_names=list(kwargs))
        else:
            torch.onnx.export(module, args, str(path))
    finally:
        module.train(training)
