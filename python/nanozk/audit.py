"""Audits: which layers of an answer to prove, when not all are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Optional, Union

from nanozk import _native
from nanozk._files import AnyPath, Scratch
from nanozk.keys import Keys
from nanozk.model import Model
from nanozk.proof import Verifier
from nanozk.reports import AuditPlan, Sensitivity


def plan_audit(
    of: Union[Keys, Verifier, Model, AnyPath],
    *,
    layers: int,
    sensitivity: Optional[Union[Sensitivity, AnyPath]] = None,
    floor: Optional[float] = None,
    pins: Iterable[Union[str, int]] = (),
    answers: int = 1000,
    challenged: float = 1.0,
    out: Optional[AnyPath] = None,
) -> AuditPlan:
    """Choose how likely each layer is proven of an answer, and see what that catches: ``nanozk audit plan``.

    Parameters
    ----------
    of : Keys, Verifier, Model or path
        What the policy is for.
    layers : int
        Layers drawn of each answer, pinned ones among them.
    sensitivity : Sensitivity or path, optional
        What makes a layer likelier; absent: nothing.
    floor : float, optional
        Least probability of a layer; absent: half of what it would be if all were alike.
    pins : iterable of str or int
        Layers that are always drawn: ``"input"``, ``"output"``, an index, ``"FIRST-LAST"``, or a name.
    answers : int
        Answers that the provider gives, for the figures over many answers.
    challenged : float
        Share of answers that are challenged, for the same.
    out : path, optional
        Policy file to write.

    Returns
    -------
    AuditPlan

    Raises
    ------
    Error
        When the policy cannot be had, or the sensitivities are of another model.
    """
    scratch = Scratch()
    weights = scratch.path / "sensitivity.json"
    if isinstance(sensitivity, Sensitivity):
        _native.write(weights, json.dumps(sensitivity.json).encode(), True)
        sensitivity = weights
    path = of.path if isinstance(of, (Keys, Verifier, Model)) else of
    pinned = [str(pin) for pin in pins]
    return AuditPlan(
        scratch.call(_native.plan_audit, path, layers, sensitivity, floor, pinned, answers, challenged, out)
    )
