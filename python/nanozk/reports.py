"""What the commands say: the fields of ``--json`` as attributes, the text as ``str(report)``."""

from __future__ import annotations

import json
from typing import Any, Optional

from numpy.typing import NDArray

from nanozk import _html
from nanozk._values import array, arrays


class Report:
    """The report of a command.

    The attributes are the fields of its ``--json``; ``json`` holds all of them, ``str()`` is the text that the command
    prints.
    """

    json: dict[str, Any]
    _text: str

    def __init__(self, answer: tuple[str, str]) -> None:
        fields = json.loads(answer[0])
        vars(self).update(fields, json=fields, _text=answer[1])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name}: reports do not change")

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<nanozk {type(self).__name__}>\n{self._text}"

    def _repr_html_(self) -> str:
        return _html.text(self._text)


class Shown(Report):
    """A report that shows the model's inputs and outputs: hidden ones are left out, and all of a proof that does not hold."""

    @property
    def inputs(self) -> dict[str, NDArray[Any]]:
        """Inputs by name, as the proven model reads them."""
        return arrays(self.json["input"])

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """Outputs of the integer model by name.

        Real numbers are float64 and exact: integers of the proven model over its scale. Integers have the type of the ONNX
        model. Elements beyond the true number of tokens are masked (``numpy.ma``).
        """
        return arrays(self.json["output"])


class Compiled(Report):
    """What ``compile`` made.

    Attributes
    ----------
    layers, shapes : int
        Number of layers, and of distinct layer shapes.
    weights : int
        Number of weights.
    k : int
        Rows of the largest circuit: ``2**k``.
    limb_bits : int
        Bits of activations.
    gaps : list of dict
        Distance of each output from the source model's on the sample data.
    clamps : list of dict
        Clamps and their headroom on the sample data, the tightest first.
    warnings : list of str
        What the integer model does differently from the source model.
    choice : str or None
        What was chosen in place of the usual widths.
    """

    layers: int
    shapes: int
    weights: int
    k: int
    limb_bits: int
    tokens: int
    compile_seconds: float
    gaps: list[dict[str, Any]]
    clamps: list[dict[str, Any]]
    warnings: list[str]
    choice: Optional[str] = None


class Plan(Report):
    """Predicted cost of every layer.

    Attributes
    ----------
    layers : list of dict
        For each layer ``index``, ``name``, ``shape``, ``ops``, ``rows``, ``k``, ``lookups``, ``lanes``,
        ``dense_columns``, ``weight_columns``, ``proof_bytes``, ``prove_seconds`` and ``memory_mb``.
    shapes : int
        Number of distinct shapes: so many keys are made.
    proof_bytes : int
        Proof bytes of all layers.
    prove_seconds : float
        Seconds to prove all layers one after the other.
    memory_mb : float
        Peak memory.
    soundness_bits : float
        The least of ``statistical_bits`` and ``computational_bits``.
    """

    layers: list[dict[str, Any]]
    shapes: int
    proof_bytes: int
    prove_seconds: float
    memory_mb: float
    soundness_bits: float
    statistical_bits: float
    computational_bits: float

    def _repr_html_(self) -> str:
        return _html.plan(self.json)


class Run(Shown):
    """The integer model and the source model, side by side.

    Attributes
    ----------
    length : int
        True number of tokens.
    max_abs_error : float or None
        Largest difference of an output; none for an argmax head.
    top1_agreement : float
        Share of rows of scores whose greatest one is the same in both.
    saturated : list of dict
        Clamps that saturated values of this input.
    """

    length: int
    max_abs_error: Optional[float]
    top1_agreement: float
    saturated: list[dict[str, Any]]
    perplexity_float: Optional[float] = None
    perplexity_integer: Optional[float] = None

    @property
    def floats(self) -> dict[str, NDArray[Any]]:
        """Outputs of the source model by name, for comparison; for an argmax head the scores, as one axis."""
        shown = self.json["output"]
        of = {value["name"]: dict(value, dtype="float64") for value in shown}
        return {name: array(_unshaped(value), "float") for name, value in of.items()}


def _unshaped(value: dict[str, Any]) -> dict[str, Any]:
    """A value with its own shape where the source model's values fit it, else with one axis."""
    count = len(value["float"])
    return value if count == len(value["values"]) else dict(value, shape=[count])


class Sensitivity(Report):
    """Where an error hurts: advice for a policy of audits, and no part of what a proof says.

    Attributes
    ----------
    layers : list of dict
        For each layer ``index``, ``name``, ``values``, ``rms``, ``sensitivity``, ``standard_error``, ``fisher_trace`` and
        ``held``.
    outputs : list of dict
        How each output was read.
    """

    layers: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    samples: int


class AuditPlan(Report):
    """How likely each layer is drawn for an audit, and what that catches.

    Attributes
    ----------
    layers : list of dict
        For each layer ``index``, ``name``, ``pinned``, ``probability``, ``inclusion`` and perhaps ``sensitivity``.
    drawn, total : int
        Layers drawn of each answer, and layers of the model.
    least_detection : float
        Least probability that one wrong layer is caught, whichever it is.
    detection, over_answers : list of dict
        What several wrong layers, and cheating now and then, risk.
    """

    layers: list[dict[str, Any]]
    drawn: int
    total: int
    least_detection: float
    policy: Optional[str] = None
    detection: list[dict[str, Any]]
    over_answers: list[dict[str, Any]]
    coverage: Optional[float] = None


class Setup(Report):
    """What ``setup`` made.

    Attributes
    ----------
    model_id : str
        Identity of the model: what verifiers compare.
    key_bytes, verifier_bytes : int
        Sizes of the prover file and of the verifier file.
    ceremony : str or None
        Ceremony of the SRS, if it is a known one.
    unsafe_srs : bool
        Whether the SRS matches no known ceremony.
    open_weights : bool
        Whether anyone with the model file can recompute the model id.
    ranges : str
        What is proven of the weights: ``projected``, ``exact``, ``exact_few`` or ``exact_wide``.
    """

    model_id: str
    k: int
    key_bytes: int
    verifier_bytes: int
    setup_seconds: float
    ceremony: Optional[str]
    unsafe_srs: bool
    open_weights: bool
    ranges: str


class Proved(Shown):
    """What ``prove`` or ``generate`` made.

    Attributes
    ----------
    model_id : str
        Id of the model.
    layers : list of dict
        For each layer proven ``index``, ``shape``, ``proof_bytes`` and ``prove_seconds``.
    layers_total : int
        Layers of the model.
    length : int
        True number of tokens.
    proof_bytes : int
        Size without public values.
    saturated : list of dict
        Clamps that saturated values of this input.
    answer : dict or None
        For ``generate``: ``prompt``, ``tokens``, ``ended`` and, with a tokenizer, ``prompt_text`` and ``text``.
    """

    model_id: str
    layers: list[dict[str, Any]]
    layers_total: int
    length: int
    proof_bytes: int
    file_bytes: int
    prove_seconds: float
    saturated: list[dict[str, Any]]
    answer: Optional[dict[str, Any]] = None


class Committed(Shown):
    """What ``commit`` made.

    Attributes
    ----------
    commitment_id : str
        Hash of the commitment, which every layer proof is bound to.
    model_id : str
        Id of the model.
    """

    commitment_id: str
    model_id: str
    layers_total: int
    length: int
    file_bytes: int
    saturated: list[dict[str, Any]]


class Challenged(Report):
    """What was drawn.

    Attributes
    ----------
    layers : list of int
        Layers drawn.
    total : int
        Layers of the model.
    source, drawn_at : str
        What was drawn from, and when.
    least_detection : float
        Least probability that one wrong layer is caught, whichever it is.
    """

    layers: list[int]
    total: int
    model_id: str
    source: str
    drawn_at: str
    least_detection: float


class Verdict(Shown):
    """The verdict over a proof.

    True in a condition only when the proof holds for the whole model: a proof of some layers is never true, whatever
    was allowed or drawn.

    Attributes
    ----------
    verified : bool
        Whether everything that was asked for holds.
    full : bool
        Whether it holds for the model as a whole, all layers of it.
    error : str or None
        Why not.
    layers_covered, layers_total : int
        Layers proven, and layers of the model.
    model_id : str
        Id of the verifier file's model.
    model_id_checked : bool
        Whether the caller named the id that was expected.
    weights_checked : bool
        Whether the verifier file was checked too.
    nonce : str
        Challenge that the proof is bound to, in hexadecimal digits.
    unsafe_srs : bool
        Whether the SRS matches no known ceremony.
    soundness_bits : float
        Bits of soundness.
    answer : dict or None
        The answer that the proof shows to be the model's; of an audit of some layers, the answer that is claimed.
    audited : dict or None
        For a challenged proof: ``drawn``, ``total``, ``caught`` (least probability with which one wrong layer would have
        been drawn), ``source`` and ``drawn_at``.
    """

    verified: bool
    full: bool
    error: Optional[str] = None
    verify_seconds: float
    layers_covered: int
    layers_total: int
    layers: list[int]
    model_id: str
    model_id_checked: bool
    weights_checked: bool
    nonce: str
    unsafe_srs: bool
    ceremony: Optional[str]
    soundness_bits: float
    length: int
    tokens: int
    input_checked: bool
    output_checked: bool
    proof_bytes: int
    answer: Optional[dict[str, Any]] = None
    audited: Optional[dict[str, Any]] = None

    def __bool__(self) -> bool:
        return self.verified is True and self.full is True

    def _repr_html_(self) -> str:
        return _html.verdict(self.json)


class Check(Report):
    """The verdict over a verifier file. True in a condition only when the file holds what it must.

    Attributes
    ----------
    checked : bool
        Whether weights are in range, tables the stated integers, and plans and keys those of the integer graphs.
    error : str or None
        Why not.
    model_id : str
        Id of the model.
    weights : int
        Number of weights.
    architecture : list of str
        What the id commits to, in a few sentences.
    """

    checked: bool
    error: Optional[str] = None
    model_id: str
    model_id_checked: bool
    weights: int
    architecture: list[str]
    unsafe_srs: bool

    def __bool__(self) -> bool:
        return self.checked is True
