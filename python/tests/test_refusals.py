"""What is refused, and what is not to be taken for verified."""

from __future__ import annotations

import copy
import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BLOCK
from numpy.typing import NDArray

import nanozk
from nanozk import _html


def test_a_tampered_proof_raises(keys: nanozk.Keys, proof: nanozk.Proof) -> None:
    damaged = bytearray(bytes(proof))
    damaged[-40] ^= 1
    with pytest.raises(nanozk.FileError, match="damaged|checksum"):
        nanozk.verify(keys.verifier, bytes(damaged))


def test_flipped_bits_under_a_right_checksum_never_verify(keys: nanozk.Keys, proof: nanozk.Proof) -> None:
    data = bytes(proof)
    header, content = data[:20], data[52:]
    for place in range(0, len(content), len(content) // 40):
        changed = bytearray(content)
        changed[place] ^= 1
        check = hashlib.blake2b(
            header[6:7] + header[8:12] + changed, digest_size=32, person=b"nanozk-file"
        ).digest()
        with pytest.raises((nanozk.VerifyError, nanozk.FileError)):
            nanozk.verify(keys.verifier, header + check + bytes(changed), nonce="5f3a")


def test_what_differs_from_expected_raises_with_the_verdict(
    keys: nanozk.Keys, proof: nanozk.Proof, x: NDArray[Any]
) -> None:
    wrong: list[dict[str, Any]] = [
        {"model_id": "00" * 32},
        {"nonce": "00"},
        {"input": x + 1},
        {"output": {"y": proof.outputs["y"] + 1}},
        {"output": (proof.outputs["y"] + 1,)},
        {"prompt": [1, 2]},
    ]
    for options in wrong:
        with pytest.raises(nanozk.VerifyError) as raised:
            nanozk.verify(keys.verifier, proof, **options)
        verdict = raised.value.verdict
        assert isinstance(verdict, nanozk.Verdict) and not verdict and not verdict.verified
        assert verdict.error == str(raised.value) and verdict.outputs == {}
        assert "/" not in verdict.error, "no temporary file is named"
        assert "NOT VERIFIED" in verdict._repr_html_() and "NOT VERIFIED" in str(verdict)
    assert nanozk.verify(keys.verifier, proof, output=proof.outputs, nonce="5f3a")


def test_a_partial_proof_is_never_true(gpt_keys: nanozk.Keys) -> None:
    partial = gpt_keys.prove(np.arange(8), layers=(0, 0))
    with pytest.raises(nanozk.VerifyError, match="layers"):
        nanozk.verify(gpt_keys.verifier, partial)
    verdict = nanozk.verify(gpt_keys.verifier, partial, allow_partial=True)
    assert verdict.verified and not verdict.full and verdict.layers == [0]
    assert not verdict and bool(verdict) is False
    page = verdict._repr_html_()
    assert "PARTIAL" in page and "VERIFIED" not in page and verdict.outputs == {}


def test_an_audited_answer_is_not_true_unless_all_layers_are_drawn(gpt_keys: nanozk.Keys, tmp_path: Path) -> None:
    verifier, sent = gpt_keys.verifier, {"tokens": np.arange(1, 9)}
    for layers in (2, 6):
        policy = tmp_path / f"policy-{layers}.yaml"
        nanozk.plan_audit(verifier, layers=layers, out=policy)
        commitment = gpt_keys.commit(sent, nonce="0a")
        received = nanozk.Commitment.from_bytes(bytes(commitment))
        with pytest.raises(nanozk.VerifyError, match="nonce"):
            verifier.challenge(received, policy, nonce="0b")
        challenge = verifier.challenge(received, policy, nonce="0a", input=sent)
        assert challenge.report is not None and len(challenge.report.layers) == layers
        proof = gpt_keys.answer(challenge, commitment)
        verdict = nanozk.verify(verifier, proof, challenge=challenge, nonce="0a", input=sent)
        assert verdict.verified and verdict.audited is not None and verdict.audited["drawn"] == layers
        assert bool(verdict) is verdict.full is (layers == 6)
        assert (">VERIFIED<" in verdict._repr_html_()) is (layers == 6)
        assert ("right if all layers are" in verdict._repr_html_()) is (layers != 6)
        assert commitment.report is not None
        np.testing.assert_array_equal(verdict.outputs["logits"], commitment.report.outputs["logits"])
    assert "first_verified" in nanozk.verify(verifier, proof, challenge=nanozk.Challenge.load(challenge.path)).json["audited"]
    with pytest.raises(nanozk.ProveError, match="commitment"):
        gpt_keys.answer(challenge, gpt_keys.commit(sent))


def test_a_foreign_verifier_file_is_refused(keys: nanozk.Keys, proof: nanozk.Proof, gpt_keys: nanozk.Keys) -> None:
    with pytest.raises(nanozk.VerifyError):
        nanozk.verify(gpt_keys.verifier, proof)
    with pytest.raises(nanozk.VerifyError, match="another model") as raised:
        keys.verifier.check(model_id=gpt_keys.model_id)
    assert isinstance(raised.value.verdict, nanozk.Check) and not raised.value.verdict


def test_reports_do_not_change(keys: nanozk.Keys, proof: nanozk.Proof) -> None:
    verdict = nanozk.verify(keys.verifier, proof)
    with pytest.raises(AttributeError):
        verdict.full = True
    for other in (copy.copy(verdict), pickle.loads(pickle.dumps(verdict))):
        assert other.json == verdict.json and bool(other)


def test_wrong_arguments_are_named(model: nanozk.Model, keys: nanozk.Keys, proof: nanozk.Proof) -> None:
    network, data = BLOCK / "network.onnx", BLOCK / "input.json"
    with pytest.raises(TypeError, match="limbs"):
        nanozk.compile(network, data=data, limbs=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="dict is no model"):
        nanozk.compile({})
    with pytest.raises(nanozk.CompileError, match="limbs"):
        nanozk.compile(network, data=data, quantise={"limbs": 3})
    with pytest.raises(nanozk.CompileError, match="limb_bits = 30: must lie within 8..=16"):
        nanozk.compile(network, data=data, quantise={"limb_bits": 30})
    with pytest.raises(nanozk.CompileError, match="argmin"):
        nanozk.compile(network, data=data, head="argmin")
    with pytest.raises(nanozk.CompileError, match="not an ONNX|cannot|ONNX"):
        nanozk.compile(b"no model", data=data)
    with pytest.raises(TypeError, match="numbers"):
        model.run({"x": np.array(["a"])})
    with pytest.raises(nanozk.RunError, match="^input.npz: .*shape"):
        model.run({"x": np.zeros((1, 4, 64))})
    with pytest.raises(nanozk.RunError, match="finite"):
        model.run({"x": np.full((1, 16, 16), np.nan)})
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        nanozk.verify(keys.verifier, proof, model_id="abcd")
    with pytest.raises(ValueError, match="nonce"):
        keys.prove(data, nonce="abc")
    with pytest.raises(ValueError, match="at most 64 bytes"):
        keys.prove(data, nonce=bytes(65))
    with pytest.raises(nanozk.VerifyError, match="not verified"):
        nanozk.Proof.from_bytes(bytes(proof)).outputs


def test_names_in_files_cannot_write_html() -> None:
    bad = "</td><script>alert(1)</script>"
    layer = dict.fromkeys(
        ("index", "shape", "ops", "rows", "k", "lookups", "lanes", "proof_bytes", "prove_seconds", "memory_mb"), 1
    )
    totals = dict.fromkeys(("shapes", "proof_bytes", "prove_seconds", "memory_mb", "soundness_bits"), 1)
    page = _html.plan({"layers": [{**layer, "name": bad}], **totals})
    page += _html.text(bad) + _html.card(bad, "red", [(bad, bad)])
    assert "<script" not in page and page.count("&lt;script") == 5


def test_objects_show_themselves(
    model: nanozk.Model, keys: nanozk.Keys, proof: nanozk.Proof, x: NDArray[Any]
) -> None:
    verdict = nanozk.verify(keys.verifier, proof, model_id=keys.model_id)
    for shown in (model, model.plan(), model.run(x), keys, keys.verifier, proof, verdict, keys.verifier.check()):
        assert shown._repr_html_() and repr(shown)
    page = verdict._repr_html_()
    assert keys.model_id in page and ">VERIFIED<" in page and "as expected" in page and "5f3a" in page
    assert str(verdict).startswith("VERIFIED")
