"""Keys of a compiled model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Optional, Union

from nanozk import _html, _native
from nanozk._files import AnyPath, Scratch, file_of, place
from nanozk._progress import Progress, telling
from nanozk._values import Inputs, inputs_file
from nanozk.proof import Bytes, Challenge, Commitment, Proof, Verifier, as_bytes
from nanozk.reports import Committed, Proved, Setup

_VERIFIER = "verifier.nanozk"
#: The files of a key directory, and whether they are for the prover alone. The verifier file comes last: a directory
#: that has it is whole.
_FILES = (("srs.bin", False), ("prover.nanozk", True), (_VERIFIER, False))


class Keys:
    """A directory of keys: the prover's files, which are secret, and the verifier file.

    Attributes
    ----------
    report : Setup or None
        What setup found; none for keys that were loaded.
    """

    report: Optional[Setup] = None

    def __init__(self, path: Path, scratch: Optional[Scratch] = None) -> None:
        self._path, self._scratch = path, scratch

    @property
    def path(self) -> Path:
        """The directory."""
        return self._path

    @classmethod
    def load(cls, path: AnyPath) -> Keys:
        """Use the keys in a directory that ``setup`` or ``save`` wrote.

        Raises
        ------
        FileError
            When it holds no verifier file.
        """
        keys = cls(Path(path))
        _native.model_id(keys.path / _VERIFIER)
        return keys

    def save(self, path: AnyPath) -> None:
        """Copy the files to a directory. The prover's is for you alone."""
        directory = Path(path)
        directory.mkdir(parents=True, exist_ok=True)
        for name, secret in _FILES:
            _native.write(directory / name, _native.read(self.path / name), secret)

    @property
    def model_id(self) -> str:
        """Identity of the model: what verifiers compare."""
        return self.verifier.model_id

    @cached_property
    def verifier(self) -> Verifier:
        """The verifier file: what to publish, with the model id."""
        return Verifier.load(self.path / _VERIFIER)

    def prove(
        self,
        inputs: Inputs,
        *,
        nonce: Optional[Bytes] = None,
        layers: Optional[tuple[int, int]] = None,
        strict: bool = False,
        memory: Optional[int] = None,
        out: Optional[AnyPath] = None,
        progress: Progress = None,
    ) -> Proof:
        """Prove one inference: ``nanozk prove``.

        Parameters
        ----------
        inputs : path, mapping, tuple or array
            A file (``input.json`` or ``.npz``), what EZKL has in one (``{"input_data": [[..], ..]}``), arrays by input
            name, a tuple of arrays in the model's order, or the array of the only input.
        nonce : bytes or str, optional
            Verifier's challenge, at most 64 bytes; text is of hexadecimal digits.
        layers : (int, int), optional
            First and last layer to prove. From such a proof nothing follows for the model's output.
        strict : bool
            Refuse inputs that saturate values inside the model.
        memory : int, optional
            Most bytes for proving layers; absent: a share of what the machine has free.
        out : path, optional
            File to write; absent: a temporary one, which goes with the proof. An interrupted call goes on when it is made
            again with the same inputs, nonce and `out`.
        progress : callable or bool, optional
            See `nanozk.compile`.

        Returns
        -------
        Proof

        Raises
        ------
        ProveError
            When the inputs do not fit, or saturate values and `strict` is set.
        """
        inputs_scratch = Scratch()
        file = inputs_file(inputs, inputs_scratch)
        path, scratch = place(out, Proof._NAME)
        bound = as_bytes(nonce, "nonce")
        with telling(progress) as tell:
            answer = inputs_scratch.call(
                _native.prove_input, self.path, file, path, layers, bound, strict, memory, tell, scratch
            )
        proof = Proof(path, scratch)
        proof.report = Proved(answer)
        return proof

    def commit(
        self,
        inputs: Inputs,
        *,
        nonce: Optional[Bytes] = None,
        strict: bool = False,
        out: Optional[AnyPath] = None,
        progress: Progress = None,
    ) -> Commitment:
        """Commit to all tensors of one inference without proving a layer: ``nanozk commit``.

        Parameters
        ----------
        inputs, nonce, strict, progress
            See `prove`.
        out : path, optional
            File to write; the secrets go into a directory beside it, with ``.secret`` behind its name. Absent: a
            temporary place, which goes with the commitment.

        Returns
        -------
        Commitment
            Hand over its bytes, and keep it for `answer`.

        Raises
        ------
        ProveError
            When the inputs do not fit.
        """
        inputs_scratch = Scratch()
        file = inputs_file(inputs, inputs_scratch)
        path, scratch = place(out, Commitment._NAME)
        bound = as_bytes(nonce, "nonce")
        with telling(progress) as tell:
            answer = inputs_scratch.call(
                _native.commit_input, self.path, file, path, bound, strict, tell, scratch
            )
        commitment = Commitment(path, scratch)
        commitment.report = Committed(answer)
        return commitment

    def answer(
        self,
        challenge: Union[Challenge, AnyPath],
        commitment: Union[Commitment, AnyPath],
        *,
        memory: Optional[int] = None,
        out: Optional[AnyPath] = None,
        progress: Progress = None,
    ) -> Proof:
        """Prove the layers that a challenge drew of a commitment: ``nanozk prove --challenge``.

        Parameters
        ----------
        challenge : Challenge or path
            What the verifier drew.
        commitment : Commitment or path
            What `commit` made, with its secrets beside it.
        memory, out, progress
            See `prove`.

        Returns
        -------
        Proof

        Raises
        ------
        ProveError
            When the challenge is of another commitment, or the secrets are not there.
        """
        path, scratch = place(out, Proof._NAME)
        drawn, made = file_of(challenge), file_of(commitment)
        with telling(progress) as tell:
            _native.answer_challenge(self.path, drawn, made, path, memory, tell, scratch)
        return Proof(path, scratch)

    def generate(
        self,
        prompt: Union[str, Sequence[int]],
        *,
        max_new: int,
        temperature: Optional[float] = None,
        tokenizer: Optional[AnyPath] = None,
        nonce: Optional[Bytes] = None,
        strict: bool = False,
        memory: Optional[int] = None,
        out: Optional[AnyPath] = None,
        progress: Progress = None,
    ) -> Proof:
        """Let a language model answer a prompt, and prove the whole answer: ``nanozk generate``.

        Parameters
        ----------
        prompt : str or sequence of int
            Text, which needs the tokenizer, or token ids.
        max_new : int
            Most tokens of the answer.
        temperature : float, optional
            Draw each token at this temperature, with noise that follows from the nonce; absent: the likeliest is taken.
        tokenizer : path, optional
            The ``tokenizer.json`` that the model id names.
        nonce, strict, memory, out, progress
            See `prove`.

        Returns
        -------
        Proof
            With the answer in ``proof.report.answer``.

        Raises
        ------
        ProveError
            When the model is no causal language model compiled with ``head="argmax"``, or the prompt does not fit.
        """
        path, scratch = place(out, Proof._NAME)
        asked = prompt if isinstance(prompt, str) else [int(token) for token in prompt]
        bound = as_bytes(nonce, "nonce")
        with telling(progress) as tell:
            answer = _native.generate_answer(
                self.path, asked, max_new, temperature, tokenizer, path, bound, strict, memory, tell, scratch
            )
        proof = Proof(path, scratch)
        proof.report = Proved(answer)
        return proof

    def __repr__(self) -> str:
        return f"<nanozk Keys {self.path} of model {self.model_id}>"

    def _repr_html_(self) -> str:
        rows = [("model id", self.model_id), ("directory", str(self.path))]
        if self.report is not None:
            rows.append(("prover file", f"{self.report.key_bytes / 1e6:.2f} MB, keep it secret"))
            rows.append(("verifier file", f"{self.report.verifier_bytes / 1e6:.2f} MB, publish it with the model id"))
            rows.append(("SRS", self.report.ceremony or "UNSAFE: made here; whoever made it could forge proofs"))
        return _html.facts("keys", rows)
