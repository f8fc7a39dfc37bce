"""Proofs, and what verifies them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Optional, Union

from numpy.typing import NDArray

from nanozk import _html, _native
from nanozk._files import AnyPath, File, Scratch, file_of, place
from nanozk._values import Inputs, Outputs, inputs_file, outputs_file
from nanozk.errors import VerifyError
from nanozk.reports import Challenged, Check, Committed, Proved, Report, Verdict

#: Bytes, or text of hexadecimal digits.
Bytes = Union[bytes, str]


def as_bytes(value: Optional[Bytes], what: str) -> Optional[bytes]:
    """The bytes of hexadecimal digits."""
    if value is None or isinstance(value, bytes):
        return value
    try:
        return bytes.fromhex(value[2:] if value.startswith("0x") else value)
    except ValueError:
        raise ValueError(f"{what}: an even number of hexadecimal digits is needed") from None


def _id(value: Optional[Bytes]) -> Optional[bytes]:
    found = as_bytes(value, "model_id")
    if found is not None and len(found) != 32:
        raise ValueError("a model id has 64 hexadecimal digits")
    return found


class Proof(File):
    """A proof of one inference, a few kilobytes for each layer. Whoever has the verifier file can check it.

    Attributes
    ----------
    report : Proved or None
        What the prover found; none for a proof that was loaded.
    """

    _NAME = "proof.nanozk"
    report: Optional[Proved] = None

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """Public outputs by name, as the prover states them.

        Raises
        ------
        VerifyError
            For a proof that was loaded: what it says counts once it is verified, and stands in the verdict.
        """
        if self.report is None:
            raise VerifyError("a proof that was loaded is not verified; take the outputs of its verdict")
        return self.report.outputs

    def __repr__(self) -> str:
        return f"<nanozk Proof {self.path}>"

    def _repr_html_(self) -> str:
        rows = [("file", f"{self.path.stat().st_size} bytes")]
        if self.report is not None:
            layers = f"{len(self.report.layers)} of {self.report.layers_total}"
            rows += [("model id", self.report.model_id), ("layers", layers)]
            rows.append(("proof", f"{self.report.proof_bytes} bytes, {self.report.prove_seconds:.2f} s"))
        return _html.facts("proof, not verified yet", rows)


class Commitment(File):
    """A commitment to all tensors of one inference, for which a verifier may draw layers.

    Attributes
    ----------
    report : Committed or None
        What was committed to; none for a commitment that was loaded.
    """

    _NAME = "answer.commit"
    report: Optional[Committed] = None

    def __repr__(self) -> str:
        return f"<nanozk Commitment {self.path}>"


class Challenge(File):
    """The layers that were drawn of a commitment. The file records the proof that answered it first.

    Attributes
    ----------
    report : Challenged or None
        What was drawn; none for a challenge that was loaded.
    """

    _NAME = "challenge.json"
    report: Optional[Challenged] = None

    @classmethod
    def load(cls, path: AnyPath) -> Challenge:
        """Use the file where it is, since it records what answered it."""
        return cls(Path(path))

    def __repr__(self) -> str:
        return f"<nanozk Challenge {self.path}>"


class Verifier(File):
    """A verifier file: what a publisher gives out with the model id."""

    _NAME = "verifier.nanozk"

    @staticmethod
    def _check(path: Path) -> None:
        _native.model_id(path)

    @cached_property
    def model_id(self) -> str:
        """Id of the model. It means something once you compare it with an id from a source that you trust."""
        return _native.model_id(self.path)

    def inspect(self) -> Report:
        """The architecture that the model id commits to: ``nanozk inspect``."""
        return Report(_native.inspect_verifier(self.path))

    def check(self, *, model_id: Optional[Bytes] = None, allow_unsafe_srs: bool = False) -> Check:
        """Check the file itself, once: ``nanozk check``.

        Parameters
        ----------
        model_id : str or bytes, optional
            The id that you expect.
        allow_unsafe_srs : bool
            Accept an SRS of no known ceremony: whoever made it could forge this check.

        Returns
        -------
        Check

        Raises
        ------
        VerifyError
            When the file does not hold what it must; ``error.verdict`` has the report.
        """
        check = Check(_native.check_verifier(self.path, _id(model_id), allow_unsafe_srs))
        if not check.checked:
            raise _refused(check.error, check)
        return check

    def challenge(
        self,
        commitment: Union[Commitment, AnyPath],
        policy: AnyPath,
        *,
        beacon: Optional[tuple[bytes, str]] = None,
        nonce: Optional[Bytes] = None,
        input: Optional[Inputs] = None,
        out: Optional[AnyPath] = None,
    ) -> Challenge:
        """Draw layers of an answer that its provider committed to: ``nanozk challenge``.

        Draw one challenge for one question, for the first commitment to it that you received.

        Parameters
        ----------
        commitment : Commitment or path
            What the provider handed over.
        policy : path
            Policy that `plan_audit` wrote.
        beacon : (bytes, str), optional
            Value of a public beacon, published after you received the commitment, and which it is; absent: randomness of
            this system.
        nonce : bytes or str, optional
            The nonce that you asked for.
        input : path, mapping, tuple or array, optional
            The input that you sent.
        out : path, optional
            File to write; absent: a temporary one, which goes with the challenge.

        Returns
        -------
        Challenge

        Raises
        ------
        VerifyError
            When the commitment is to another model, input or nonce, or the policy is of another model.
        """
        path, scratch = place(out, Challenge._NAME)
        given = Scratch()
        file = None if input is None else inputs_file(input, given, "sent")
        bound = as_bytes(nonce, "nonce")
        of = file_of(commitment)
        answer = given.call(_native.draw_challenge, of, self.path, policy, beacon, bound, file, path)
        challenge = Challenge(path, scratch)
        challenge.report = Challenged(answer)
        return challenge

    def __repr__(self) -> str:
        return f"<nanozk Verifier of model {self.model_id}>"

    def _repr_html_(self) -> str:
        return _html.facts("verifier file", [("model id", self.model_id), ("size", f"{len(bytes(self))} bytes")])


def verify(
    verifier: Union[Verifier, AnyPath, bytes],
    proof: Union[Proof, AnyPath, bytes],
    *,
    model_id: Optional[Bytes] = None,
    nonce: Optional[Bytes] = None,
    allow_unsafe_srs: bool = False,
    check_weights: bool = False,
    allow_partial: bool = False,
    input: Optional[Inputs] = None,
    output: Optional[Outputs] = None,
    prompt: Optional[Union[str, Sequence[int]]] = None,
    max_new: Optional[int] = None,
    temperature: Optional[float] = None,
    tokenizer: Optional[AnyPath] = None,
    challenge: Optional[Union[Challenge, AnyPath]] = None,
) -> Verdict:
    """Check a proof: ``nanozk verify``.

    Parameters
    ----------
    verifier : Verifier, path or bytes
        The verifier file.
    proof : Proof, path or bytes
        The proof.
    model_id : str or bytes, optional
        The model id that you expect, from a source that you trust.
    nonce : bytes or str, optional
        The challenge that the proof must be bound to.
    allow_unsafe_srs : bool
        Accept an SRS of no known ceremony: whoever made it could forge this proof.
    check_weights : bool
        Check the verifier file too, which is needed once for each file.
    allow_partial : bool
        Accept a proof of some layers. Its verdict is still false in a condition.
    input : path, mapping, tuple or array, optional
        What you sent: the proof must be of it.
    output : path, mapping, tuple or array, optional
        What you received: the proof must be of it.
    prompt : str or sequence of int, optional
        The prompt that you sent: the proof must be of the model's answer to it.
    max_new : int, optional
        Most tokens that you asked for.
    temperature : float, optional
        The temperature that you asked for; 0: every token must be the likeliest.
    tokenizer : path, optional
        The ``tokenizer.json`` that the model id names.
    challenge : Challenge or path, optional
        What you drew for this answer: the proof must be of exactly its layers. Unless those are all, the verdict is false in
        a condition, and has what was ``audited``.

    Returns
    -------
    Verdict
        Of a proof that holds.

    Raises
    ------
    VerifyError
        When it does not; ``error.verdict`` has the report.
    FileError
        When a file cannot be read.

    Examples
    --------
    >>> verdict = nanozk.verify("verifier.nanozk", "proof.nanozk", model_id=published, input=sent)
    >>> verdict.outputs["logits"]
    """
    scratch = Scratch()
    files = [
        value.path if isinstance(value, File) else _on_disk(value, scratch.path / name)
        for value, name in ((verifier, Verifier._NAME), (proof, Proof._NAME))
    ]
    verdict = Verdict(
        scratch.call(
            _native.verify_proof,
            files[0],
            files[1],
            _id(model_id),
            as_bytes(nonce, "nonce"),
            allow_unsafe_srs,
            check_weights,
            allow_partial,
            None if input is None else inputs_file(input, scratch),
            None if output is None else outputs_file(output, scratch),
            prompt if prompt is None or isinstance(prompt, str) else [int(token) for token in prompt],
            max_new,
            temperature,
            tokenizer,
            None if challenge is None else file_of(challenge),
        )
    )
    if not verdict.verified:
        raise _refused(verdict.error, verdict)
    return verdict


def _on_disk(value: Union[AnyPath, bytes], path: Path) -> Path:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        return Path(value)
    _native.write(path, bytes(value), True)
    return path


def _refused(why: Optional[str], verdict: Union[Verdict, Check]) -> VerifyError:
    error = VerifyError(why or "not verified; do not rely on this output")
    error.verdict = verdict
    return error
