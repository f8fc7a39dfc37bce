"""Compiled models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from nanozk import _html, _native
from nanozk._files import AnyPath, File, Scratch, place
from nanozk._progress import Progress, telling
from nanozk._source import onnx_file
from nanozk._values import Data, Inputs, Port, data_files, inputs_file
from nanozk.keys import Keys
from nanozk.reports import Compiled, Plan, Report, Run, Sensitivity, Setup

if TYPE_CHECKING:
    import onnx
    import torch


class Model(File):
    """A compiled model: integers, cut into layers, each with its circuit. It holds the weights.

    Attributes
    ----------
    report : Compiled or None
        What compilation found; none for a model that was loaded.
    """

    _NAME = "model.nanozk"
    report: Optional[Compiled] = None
    _source: Optional[Path] = None
    _source_scratch: Optional[Scratch] = None

    @staticmethod
    def _check(path: Path) -> None:
        _native.inspect_model(path)

    def inspect(self) -> Report:
        """Graph, partition, scales and tables: ``nanozk inspect``."""
        return self._inspected

    @cached_property
    def _inspected(self) -> Report:
        return Report(_native.inspect_model(self.path))

    @property
    def inputs(self) -> list[Port]:
        """Inputs, in the order of the ONNX model."""
        return _ports(self._inspected.json["inputs"])

    @property
    def outputs(self) -> list[Port]:
        """Outputs, in the order of the ONNX model."""
        return _ports(self._inspected.json["outputs"])

    def plan(self) -> Plan:
        """What each layer will cost to prove: ``nanozk plan``."""
        return Plan(_native.plan_model(self.path))

    def run(
        self,
        inputs: Inputs,
        *,
        eval: Optional[AnyPath] = None,
        source: Optional[AnyPath] = None,
        progress: Progress = None,
    ) -> Run:
        """Run the integer model and the source model side by side: ``nanozk run``.

        Parameters
        ----------
        inputs : path, mapping, tuple or array
            See `Keys.prove`.
        eval : path, optional
            Held-out data, ``{"val": [token ids]}`` or ``{"inputs": [..], "labels": [..]}``.
        source : path, optional
            The ONNX file that the model was compiled from; absent: where it was then.
        progress : callable or bool, optional
            See `compile`.

        Returns
        -------
        Run
            Outputs of both, by name.

        Raises
        ------
        RunError
            When the inputs do not fit, or the ONNX file is not there any more.
        """
        scratch = Scratch()
        file = inputs_file(inputs, scratch)
        with telling(progress) as tell:
            return Run(scratch.call(_native.run_model, self.path, file, eval, source or self._source, tell))

    def sensitivity(
        self,
        data: Data,
        *,
        probes: int = 16,
        step: float = 0.05,
        seed: int = 0,
        output: Optional[str] = None,
        out: Optional[AnyPath] = None,
        html: Optional[AnyPath] = None,
        progress: Progress = None,
    ) -> Sensitivity:
        """Measure where an error hurts: ``nanozk sensitivity``.

        Parameters
        ----------
        data : path, mapping, tuple, array, or list of these
            Sample inputs: those of one inference, or a list of them.
        probes : int
            Random directions per layer and sample.
        step : float
            Size of a disturbance, as a share of the root mean square of what it disturbs.
        seed : int
            Seed of the directions.
        output : {'scores', 'probabilities', 'gaussian'}, optional
            What the outputs are; absent: as their values look.
        out, html : path, optional
            Report as JSON, for `plan_audit`, and page with a plot to write.
        progress : callable or bool, optional
            See `compile`.

        Returns
        -------
        Sensitivity

        Raises
        ------
        RunError
            When the data do not fit, or the output is the place of the greatest score.
        """
        scratch = Scratch()
        files = data_files(data, scratch)
        with telling(progress) as tell:
            answer = scratch.call(
                _native.measure_sensitivity, self.path, files, probes, step, seed, output, out, html, tell
            )
        return Sensitivity(answer)

    def setup(
        self,
        *,
        srs: Optional[AnyPath] = None,
        open_weights: bool = False,
        exact_ranges: bool = False,
        out: Optional[AnyPath] = None,
        progress: Progress = None,
    ) -> Keys:
        """Make the prover's files and the verifier file: ``nanozk setup``.

        Parameters
        ----------
        srs : path, optional
            SRS of your own; absent: one that nanozk carries, or, above the rows that these serve, an unsafe one made here.
        open_weights : bool
            Use a public mask seed, so that anyone with the model can recompute the model id.
        exact_ranges : bool
            Prove the exact range of every weight; else random projections show that all weights are small.
        out : path, optional
            Directory to write; absent: a temporary one, which goes with the keys.
        progress : callable or bool, optional
            See `compile`.

        Returns
        -------
        Keys

        Raises
        ------
        SetupError
            When keys cannot be made.
        """
        path, scratch = place(out, "keys")
        with telling(progress) as tell:
            answer = _native.setup_keys(self.path, srs, open_weights, exact_ranges, path, tell, scratch)
        keys = Keys(path, scratch)
        keys.report = Setup(answer)
        return keys

    def __repr__(self) -> str:
        return f"<nanozk Model {self.path}>"

    def _repr_html_(self) -> str:
        found = self._inspected.json
        rows = [
            ("inputs", _html.ports(self.inputs)),
            ("outputs", _html.ports(self.outputs)),
            ("weights", str(found["weights"])),
            ("layers", f"{len(found['layers'])} of {len(found['shapes'])} shapes"),
            ("activations", f"{found['limb_bits']} bits"),
        ]
        return _html.facts("compiled model", rows)


def _ports(found: Iterable[Mapping[str, Any]]) -> list[Port]:
    return [Port(port["name"], tuple(port["shape"]), port["dtype"]) for port in found]


def compile(
    model: Union[AnyPath, bytes, "onnx.ModelProto", "torch.nn.Module"],
    *,
    data: Data = None,
    config: Optional[AnyPath] = None,
    set: Optional[Mapping[str, Union[int, float, bool]]] = None,
    outputs: Iterable[str] = (),
    head: Optional[str] = None,
    max_temperature: Optional[float] = None,
    input: Optional[str] = None,
    output: Optional[str] = None,
    tokenizer: Optional[AnyPath] = None,
    end: Iterable[Union[int, str]] = (),
    optimize: Optional[str] = None,
    max_k: Optional[int] = None,
    quantise: Optional[Mapping[str, Union[int, float]]] = None,
    accept_gap: bool = False,
    out: Optional[AnyPath] = None,
    progress: Progress = None,
) -> Model:
    """Turn a model into integers, cut it into layers and lay out circuits: ``nanozk compile``.

    Parameters
    ----------
    model : path, bytes, onnx.ModelProto or torch.nn.Module
        The model. A module goes through ``torch.onnx.export`` with the first sample of `data`, which must be arrays then.
    data : path, mapping, tuple, array, or list of these
        Sample inputs, from which scales are chosen: those of one inference, or a list of them. An array with several
        times the values of the input is of as many samples.
    config : path, optional
        Settings file (YAML); arguments given here override it.
    set : mapping, optional
        Lengths of dynamic dimensions, and values of inputs of one element, by name.
    outputs : iterable of str
        Outputs to keep; all when empty.
    head : {'logits', 'argmax'}, optional
        What the output is: all scores, or the index of the greatest.
    max_temperature : float, optional
        Greatest temperature at which answers can be drawn, for an argmax head; absent: they are greedy.
    input, output : {'public', 'private'}, optional
        Whether the verifier sees them.
    tokenizer : path, optional
        ``tokenizer.json`` of a language model; its hash becomes part of the model id.
    end : iterable of int or str
        Tokens that end an answer.
    optimize : {'balanced', 'proof-size', 'prove-time', 'memory'}, optional
        What the layout minimises.
    max_k : int, optional
        Largest circuits: ``2**max_k`` rows.
    quantise : mapping, optional
        Settings of the quantiser by name, such as ``{"limb_bits": 14}``; README.md lists them.
    accept_gap : bool
        Accept outputs that are further from the source model's than ``quantise.tolerance``.
    out : path, optional
        File to write; absent: a temporary one, which goes with the model.
    progress : callable or bool, optional
        A function of the stage, the steps done and the steps in all, called on this thread; ``True`` for a bar of tqdm,
        ``False`` for nothing. Absent: a bar in a notebook where tqdm is installed.

    Returns
    -------
    Model

    Raises
    ------
    CompileError
        When the model, its data or its settings cannot be compiled.

    Examples
    --------
    >>> model = nanozk.compile("network.onnx", data="input.json")
    >>> model = nanozk.compile(network, data={"x": samples}, head="argmax", quantise={"limb_bits": 12})
    """
    source_scratch = Scratch()
    source = onnx_file(model, data, source_scratch)
    options = {
        "data": [os.fspath(file) for file in data_files(data, source_scratch)],
        "config": config and os.fspath(config),
        "set": dict(set or {}),
        "outputs": list(outputs),
        "head": head,
        "max_temperature": max_temperature,
        "input": input,
        "output": output,
        "tokenizer": tokenizer and os.fspath(tokenizer),
        "end": list(end),
        "optimize": optimize,
        "max_k": max_k,
        "quantise": dict(quantise or {}),
        "accept_gap": accept_gap,
    }
    path, scratch = place(out, Model._NAME)
    with telling(progress) as tell:
        answer = source_scratch.call(_native.compile_model, source, json.dumps(options), path, tell, scratch)
    compiled = Model(path, scratch)
    compiled.report = Compiled(answer)
    compiled._source, compiled._source_scratch = source, source_scratch
    return compiled
