"""The package and the command line make the same files, accept each other's, and say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BLOCK, Cli
from numpy.typing import NDArray

import nanozk


def test_the_same_model_file_and_model_id(cli: Cli, keys: nanozk.Keys, x: NDArray[Any], tmp_path: Path) -> None:
    here, there = tmp_path / "here.nanozk", tmp_path / "there.nanozk"
    nanozk.compile(BLOCK / "network.onnx", data=BLOCK / "input.json", out=here)
    assert cli("compile", BLOCK / "network.onnx", "--data", BLOCK / "input.json", "-o", there)[0] == 0
    assert here.read_bytes() == there.read_bytes()
    code, report = cli("setup", there, "--open-weights", "-o", tmp_path / "keys")
    assert code == 0 and report["model_id"] == keys.model_id
    assert (tmp_path / "keys/verifier.nanozk").read_bytes() == bytes(keys.verifier)
    # Whatever form model and sample data have.
    arrays = nanozk.compile((BLOCK / "network.onnx").read_bytes(), data={"x": x})
    assert arrays.setup(open_weights=True).model_id == keys.model_id


def test_settings_mean_the_same(cli: Cli, tmp_path: Path) -> None:
    settings = tmp_path / "nanozk.yaml"
    settings.write_text("quantise: {limb_bits: 10, margin: 2.0}\noptimize: memory\n")
    here = nanozk.compile(
        BLOCK / "network.onnx",
        data=BLOCK / "input.json",
        output="private",
        optimize="memory",
        quantise={"limb_bits": 10, "margin": 2.0},
    )
    both = nanozk.compile(
        BLOCK / "network.onnx",
        data=BLOCK / "input.json",
        output="private",
        config=settings,
        quantise={"margin": 2},
    )
    there = tmp_path / "there.nanozk"
    arguments = ("--data", BLOCK / "input.json", "--output", "private", "--config", settings, "-o", there)
    assert cli("compile", BLOCK / "network.onnx", *arguments)[0] == 0
    assert bytes(here) == bytes(both) == there.read_bytes()


def test_proofs_verify_both_ways(
    cli: Cli, keys: nanozk.Keys, proof: nanozk.Proof, x: NDArray[Any], tmp_path: Path
) -> None:
    verifier = tmp_path / "v.nanozk"
    keys.verifier.save(verifier)
    proof.save(tmp_path / "p.nanozk")
    code, verdict = cli("verify", verifier, tmp_path / "p.nanozk", "--nonce", "5f3a", "--model-id", keys.model_id)
    assert code == 0 and verdict["full"]
    ours = nanozk.verify(verifier, tmp_path / "p.nanozk", nonce="5f3a", model_id=keys.model_id)
    times = ("verify_seconds", "read_seconds")
    assert {k: v for k, v in ours.json.items() if k not in times} == {k: v for k, v in verdict.items() if k not in times}
    code, report = cli("prove", keys.path, "--input", BLOCK / "input.json", "-o", tmp_path / "c.nanozk")
    assert code == 0
    theirs = nanozk.verify(keys.verifier, tmp_path / "c.nanozk", input=x)
    assert theirs and report["output"] == theirs.json["output"]
    np.testing.assert_array_equal(theirs.outputs["y"], proof.outputs["y"])


def test_sensitivities_and_policies_are_the_same(
    cli: Cli, model: nanozk.Model, keys: nanozk.Keys, x: NDArray[Any], tmp_path: Path
) -> None:
    report, policy = tmp_path / "s.json", tmp_path / "policy.yaml"
    code, theirs = cli("sensitivity", model.path, "--data", BLOCK / "input.json", "--probes", 4, "-o", report)
    ours = model.sensitivity({"x": x}, probes=4)
    assert code == 0 and ours.json == theirs and ours.layers[0]["sensitivity"] > 0
    arguments = ("--layers", 1, "--weights", f"sensitivity:{report}", "--pin", "output", "-o", policy)
    code, theirs = cli("audit", "plan", keys.path, *arguments)
    out = tmp_path / "ours.yaml"
    planned = nanozk.plan_audit(keys, layers=1, sensitivity=ours, pins=["output"], out=out)
    assert code == 0 and out.read_bytes() == policy.read_bytes()
    assert {**planned.json, "policy": str(policy)} == theirs and planned.least_detection == 1.0
    with pytest.raises(nanozk.Error, match="layers"):
        nanozk.plan_audit(keys.verifier, layers=2)


def test_errors_have_the_texts_of_the_command_line(cli: Cli, keys: nanozk.Keys, tmp_path: Path) -> None:
    verifier, bad = keys.path / "verifier.nanozk", tmp_path / "bad.json"
    bad.write_text('{"input_data": [[1, 2]]}')
    text = tmp_path / "text.nanozk"
    text.write_text("no proof")
    absent = tmp_path / "absent.nanozk"
    calls: list[tuple[type[nanozk.Error], Any, tuple[object, ...]]] = [
        (
            nanozk.CompileError,
            lambda: nanozk.compile(absent, data=bad, out=tmp_path / "m"),
            ("compile", absent, "--data", bad, "-o", tmp_path / "m"),
        ),
        (
            nanozk.CompileError,
            lambda: nanozk.compile(BLOCK / "network.onnx", data=bad, out=tmp_path / "m"),
            ("compile", BLOCK / "network.onnx", "--data", bad, "-o", tmp_path / "m"),
        ),
        (
            nanozk.ProveError,
            lambda: keys.prove(bad, out=tmp_path / "p"),
            ("prove", keys.path, "--input", bad, "-o", tmp_path / "p"),
        ),
        (nanozk.FileError, lambda: nanozk.Model.load(absent), ("inspect", absent)),
        (nanozk.FileError, lambda: nanozk.verify(verifier, text), ("verify", verifier, text)),
        (
            nanozk.FileError,
            lambda: keys.prove(BLOCK / "input.json", out=tmp_path / "no/p"),
            ("prove", keys.path, "--input", BLOCK / "input.json", "-o", tmp_path / "no/p"),
        ),
    ]
    for kind, call, arguments in calls:
        with pytest.raises(kind) as raised:
            call()
        code, report = cli(*arguments)
        assert code == 1 and report["error"] == str(raised.value)
        assert "\n" not in str(raised.value) and isinstance(raised.value, nanozk.Error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "text.nanozk"], "nothing was written"
