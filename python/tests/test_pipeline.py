"""From a model to a verdict, with arrays, files and bytes."""

from __future__ import annotations

import json
import pickle
import stat
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BLOCK, GPT
from numpy.typing import NDArray

import nanozk


def test_names_and_shapes_are_those_of_the_onnx_model(model: nanozk.Model) -> None:
    assert model.inputs == [nanozk.Port("x", (1, 16, 16), "float32")]
    assert model.outputs == [nanozk.Port("y", (1, 16, 16), "float32")]
    assert model.report is not None and model.report.layers == len(model.plan().layers)
    assert model.report.gaps[0]["relative"] < 0.02


def test_outputs_are_close_to_the_source_model(model: nanozk.Model, x: NDArray[Any]) -> None:
    run = model.run({"x": x})
    y, floats = run.outputs["y"], run.floats["y"]
    assert y.shape == floats.shape == (1, 16, 16) and y.dtype == np.float64
    expected = json.loads((BLOCK / "input.json").read_text())["output_data"][0]
    np.testing.assert_allclose(floats.ravel(), expected, atol=1e-4)
    assert run.max_abs_error is not None and np.abs(y - floats).max() == pytest.approx(run.max_abs_error)
    assert 0 < run.max_abs_error < 0.05
    np.testing.assert_allclose(run.inputs["x"], x, atol=1e-5)


def test_every_form_of_inputs_is_read_alike(model: nanozk.Model, x: NDArray[Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=x)
    forms: list[Any] = [
        {"x": x},
        {"x": x.tolist()},
        (x,),
        x,
        x.astype(np.float64),
        {"input_data": [x.ravel().tolist()]},
        {"input_data": [x]},
        tmp_path / "x.npz",
        str(BLOCK / "input.json"),
    ]
    first, *others = [model.run(form).outputs["y"] for form in forms]
    for other in others:
        np.testing.assert_array_equal(other, first)
    half = model.run({"x": x.astype(np.float16)}).outputs["y"]
    np.testing.assert_array_equal(half, model.run({"x": x.astype(np.float16).astype(np.float32)}).outputs["y"])


def test_models_come_as_path_bytes_or_proto(model: nanozk.Model) -> None:
    onnx = pytest.importorskip("onnx")
    path = BLOCK / "network.onnx"
    proto = onnx.load(path)
    for form in (path.read_bytes(), proto):
        other = nanozk.compile(form, data=BLOCK / "input.json")
        assert other.setup(open_weights=True).model_id == model.setup(open_weights=True).model_id


def test_a_proof_verifies_for_its_model_input_output_and_nonce(
    keys: nanozk.Keys, proof: nanozk.Proof, x: NDArray[Any]
) -> None:
    verdict = nanozk.verify(
        keys.verifier,
        proof,
        model_id=keys.model_id,
        nonce="5f3a",
        input={"x": x},
        output=proof.outputs,
        check_weights=True,
    )
    assert verdict and verdict.full and verdict.weights_checked and verdict.model_id_checked
    assert verdict.input_checked and verdict.output_checked
    assert verdict.soundness_bits > 100 and not verdict.unsafe_srs
    np.testing.assert_array_equal(verdict.outputs["y"], proof.outputs["y"])


def test_the_proven_outputs_are_those_of_run(model: nanozk.Model, proof: nanozk.Proof, x: NDArray[Any]) -> None:
    np.testing.assert_array_equal(proof.outputs["y"], model.run(x).outputs["y"])


def test_objects_survive_files_bytes_and_pickle(
    model: nanozk.Model, keys: nanozk.Keys, proof: nanozk.Proof, x: NDArray[Any], tmp_path: Path
) -> None:
    model.save(tmp_path / "m.nanozk")
    keys.save(tmp_path / "keys")
    keys.verifier.save(tmp_path / "v.nanozk")
    proof.save(tmp_path / "p.nanozk")
    assert stat.S_IMODE((tmp_path / "keys/prover.nanozk").stat().st_mode) == 0o600
    loaded = nanozk.Model.load(tmp_path / "m.nanozk")
    assert bytes(loaded) == bytes(model) and loaded.report is None
    # The source model is not in the file, but where it was.
    np.testing.assert_array_equal(loaded.run(x).outputs["y"], proof.outputs["y"])
    assert nanozk.Keys.load(tmp_path / "keys").prove(x, memory=10**9).report is not None
    for verifier in (keys.verifier, bytes(keys.verifier), tmp_path / "v.nanozk", pickle.loads(pickle.dumps(keys.verifier))):
        for again in (bytes(proof), tmp_path / "p.nanozk", nanozk.Proof.load(tmp_path / "p.nanozk")):
            assert nanozk.verify(verifier, again, nonce=b"\x5f\x3a", model_id=keys.model_id)
    with pytest.raises(TypeError, match="save"):
        pickle.dumps(keys)


def test_a_loaded_verifier_stays_as_it_was(keys: nanozk.Keys, proof: nanozk.Proof, tmp_path: Path) -> None:
    path = tmp_path / "v.nanozk"
    keys.verifier.save(path)
    verifier = nanozk.Verifier.load(path)
    path.write_bytes(b"swapped")
    assert nanozk.verify(verifier, proof, nonce="5f3a").model_id == verifier.model_id == keys.model_id


def test_check_and_inspect_describe_the_model(keys: nanozk.Keys) -> None:
    check = keys.verifier.check(model_id=keys.model_id)
    assert check and check.weights > 3000 and check.architecture
    assert str(check).startswith("CHECKED")
    assert keys.verifier.inspect().json["model_id"] == keys.model_id


def test_several_samples_in_one_array_are_several_samples(x: NDArray[Any]) -> None:
    batch = np.concatenate([x, -x, 2 * x])
    stacked = nanozk.compile(BLOCK / "network.onnx", data=batch)
    listed = nanozk.compile(BLOCK / "network.onnx", data=[x, -x, {"x": 2 * x}])
    assert stacked.inspect().json["calibration_samples"] == listed.inspect().json["calibration_samples"] == 3
    assert stacked.setup(open_weights=True).model_id == listed.setup(open_weights=True).model_id


def test_a_short_prompt_masks_what_lies_beyond(gpt: nanozk.Model) -> None:
    run = gpt.run({"tokens": np.arange(1, 6)})
    logits = run.outputs["logits"]
    assert run.length == 5 and logits.shape == (1, 64, 63)
    assert isinstance(logits, np.ma.MaskedArray) and logits.count() == 5 * 63
    assert run.inputs["tokens"].dtype == np.int64 and run.inputs["tokens"].compressed().tolist() == [1, 2, 3, 4, 5]  # type: ignore[attr-defined]


def test_an_answer_is_generated_proven_and_verified() -> None:
    tokenizer = GPT / "tokenizer.json"
    model = nanozk.compile(GPT / "network.onnx", data=GPT / "input.json", head="argmax", tokenizer=tokenizer, end=["\n"])
    keys = model.setup()
    proof = keys.generate("In the beg", max_new=4, memory=10**9, tokenizer=tokenizer, nonce="00ff")
    assert proof.report is not None and proof.report.answer is not None
    verdict = nanozk.verify(
        keys.verifier, proof, prompt="In the beg", max_new=4, tokenizer=tokenizer, nonce="00ff"
    )
    assert verdict and verdict.answer is not None and verdict.answer["text"] == proof.report.answer["text"]
    assert len(verdict.answer["tokens"]) <= 4 and verdict.inputs["tokens"].dtype == np.int64
    with pytest.raises(nanozk.VerifyError, match="temperature 0"):
        nanozk.verify(keys.verifier, proof, temperature=0.7)
    with pytest.raises(nanozk.ProveError, match="max-temperature"):
        keys.generate([1, 2], max_new=1, temperature=0.7, nonce="00")
    with pytest.raises(nanozk.VerifyError, match="another prompt"):
        nanozk.verify(keys.verifier, proof, prompt="In the end", tokenizer=tokenizer)


def test_torchs_exporter_gets_the_first_sample(
    monkeypatch: pytest.MonkeyPatch, model: nanozk.Model, x: NDArray[Any]
) -> None:
    """With a stand-in for torch, so that it runs without."""
    calls: list[tuple[Any, ...]] = []

    class Module:
        training = True

        def eval(self) -> None:
            self.training = False

        def train(self, mode: bool) -> None:
            self.training = mode

    def export(module: Module, args: tuple[Any, ...], path: str, **options: Any) -> None:
        calls.append((module.training, args, options))
        Path(path).write_bytes((BLOCK / "network.onnx").read_bytes())

    Module.__module__ = "torch.nn.modules"
    torch = types.SimpleNamespace(Tensor=(), as_tensor=np.asarray, onnx=types.SimpleNamespace(export=export))
    monkeypatch.setitem(sys.modules, "torch", torch)
    module = Module()
    by_place = nanozk.compile(module, data=[x, -x])
    by_name = nanozk.compile(module, data={"x": x})
    assert [call[0] for call in calls] == [False, False] and module.training
    np.testing.assert_array_equal(calls[0][1][0], x)
    assert calls[1][1] == () and calls[1][2]["input_names"] == ["x"]
    np.testing.assert_array_equal(calls[1][2]["kwargs"]["x"], x)
    assert by_place.inputs == by_name.inputs == model.inputs
    with pytest.raises(TypeError, match="give arrays"):
        nanozk.compile(module, data=BLOCK / "input.json")


def test_a_torch_module_goes_through_the_exporter() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    sample = np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 4)
    model = nanozk.compile(module, data=sample)
    (output,) = model.run(sample).outputs.values()
    expected = module(torch.as_tensor(sample)).detach().numpy()
    np.testing.assert_allclose(output, expected, atol=0.02)
    assert module.training, "left as it was"
