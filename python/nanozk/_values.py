"""Values between numpy and files."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanozk._files import AnyPath, Scratch

#: The inputs of one inference: a file (``input.json`` of EZKL's form, or ``.npz``), its content (``{"input_data": ..}``),
#: arrays by input name, a tuple of arrays in the model's order, or the array of a model's only input.
Inputs = Union[AnyPath, Mapping[str, ArrayLike], tuple[ArrayLike, ...], NDArray[Any]]
#: Sample inputs: those of one inference, or a list of them.
Data = Union[None, Inputs, Sequence[Inputs]]
#: Outputs of one inference: a file, arrays by name, a tuple of arrays, or the array of the only one.
Outputs = Union[AnyPath, Mapping[str, ArrayLike], tuple[ArrayLike, ...], NDArray[Any]]


@dataclass(frozen=True)
class Port:
    """An input or output of a model.

    Attributes
    ----------
    name : str
        Name in the ONNX model.
    shape : tuple of int
        Shape in the ONNX model.
    dtype : str
        Element type in the ONNX model.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


def is_path(value: object) -> bool:
    """Whether a value names a file."""
    return isinstance(value, (str, os.PathLike))


def inputs_file(inputs: Inputs, scratch: Scratch, stem: str = "input") -> Path:
    """A file with these inputs."""
    if isinstance(inputs, (str, os.PathLike)):
        return Path(inputs)
    if isinstance(inputs, Mapping) and "input_data" in inputs:
        path = scratch.path / f"{stem}.json"
        path.write_text(json.dumps(inputs, default=lambda value: np.asarray(value).tolist()))
        return path
    path = scratch.path / f"{stem}.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in _named(inputs):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, _array(name, value), allow_pickle=False)
    return path


def data_files(data: Data, scratch: Scratch) -> list[Path]:
    """Files with these sample inputs."""
    samples: Iterable[Inputs]
    if data is None:
        samples = ()
    elif isinstance(data, list):
        samples = data
    else:
        samples = (data,)  # type: ignore[assignment]
    return [inputs_file(sample, scratch, f"data{index}") for index, sample in enumerate(samples)]


def outputs_file(outputs: Outputs, scratch: Scratch) -> Path:
    """A file with these outputs, in the form of ``nanozk prove --json``."""
    if isinstance(outputs, (str, os.PathLike)):
        return Path(outputs)
    by_name = isinstance(outputs, Mapping)
    entries = [
        {"values": np.ma.asarray(value).ravel().tolist(), **({"name": name} if by_name else {})}
        for name, value in _named(outputs)
    ]
    path = scratch.path / "output.json"
    path.write_text(json.dumps({"output": entries}))
    return path


def _named(values: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(values, Mapping):
        return [(str(name), value) for name, value in values.items()]
    if isinstance(values, tuple):
        return [(f"input:{index}", value) for index, value in enumerate(values)]
    return [("input:0", values)]


def _array(name: str, value: Any) -> NDArray[Any]:
    """An array of a type that input files have; tensors of torch and others as numpy sees them."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    array = np.asarray(value)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: an array of {array.dtype}; give numbers or truth values")
    return array


def array(shown: Mapping[str, Any], values: str = "values") -> NDArray[Any]:
    """The array of a value in a report: integers as the ONNX type has them, real numbers exactly, as float64.

    Elements beyond the true number of tokens are masked.
    """
    listed = shown[values]
    known = [v for v in listed if v is not None]
    exact = all(isinstance(v, int) for v in known) and not shown["dtype"].startswith(("float", "bfloat"))
    shape = tuple(shown["shape"])
    filled = np.array([0 if v is None else v for v in listed], dtype=np.int64 if exact else np.float64)
    filled = filled.astype(shown["dtype"] if exact else np.float64).reshape(shape)
    if len(known) == len(listed):
        return filled
    mask = np.array([v is None for v in listed]).reshape(shape)
    return np.ma.MaskedArray(filled, mask=mask)


def arrays(shown: Iterable[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of values in a report by name; hidden ones are left out."""
    return {value["name"]: array(value) for value in shown if "values" in value}
