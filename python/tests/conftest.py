"""What the tests share: a small model with its keys and a proof, made once."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import nanozk

ROOT = Path(__file__).parents[2]
BLOCK = ROOT / "onnx-models/block-d16-t16"
GPT = ROOT / "onnx-models/kjvgpt-d64-l4"


@pytest.fixture(scope="session")
def x() -> NDArray[Any]:
    """The sample input of the block."""
    data = json.loads((BLOCK / "input.json").read_text())
    return np.array(data["input_data"][0], dtype=np.float32).reshape(1, 16, 16)


@pytest.fixture(scope="session")
def model() -> nanozk.Model:
    return nanozk.compile(BLOCK / "network.onnx", data=BLOCK / "input.json")


@pytest.fixture(scope="session")
def keys(model: nanozk.Model) -> nanozk.Keys:
    return model.setup(open_weights=True)


@pytest.fixture(scope="session")
def proof(keys: nanozk.Keys, x: NDArray[Any]) -> nanozk.Proof:
    return keys.prove({"x": x}, nonce=b"\x5f\x3a")


@pytest.fixture(scope="session")
def gpt() -> nanozk.Model:
    return nanozk.compile(GPT / "network.onnx", data=GPT / "input.json")


@pytest.fixture(scope="session")
def gpt_keys(gpt: nanozk.Model) -> nanozk.Keys:
    return gpt.setup()


Cli = Callable[..., "tuple[int, dict[str, Any]]"]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Runs the command line: exit code and JSON."""
    program = Path(os.environ.get("NANOZK", ROOT / "target/release/nanozk"))
    if not program.exists():
        pytest.skip(f"no command line at {program}")

    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        done = subprocess.run([program, *map(str, arguments), "--json"], capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    return run
