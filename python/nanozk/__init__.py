"""Verifiable inference: models compiled to zero-knowledge circuits, one small proof for each layer.

>>> import nanozk
>>> model = nanozk.compile("network.onnx", data="input.json")
>>> keys = model.setup()
>>> proof = keys.prove("input.json")
>>> verdict = nanozk.verify(keys.verifier, proof, model_id=keys.model_id)

Long calls leave the interpreter's lock to other threads, and end within a second on ``KeyboardInterrupt``. Objects do not
change and may be used from several threads; they have no use in a process that was forked after the first call.
"""

from importlib.metadata import version

from nanozk._values import Port
from nanozk.audit import plan_audit
from nanozk.errors import CompileError, Error, FileError, ProveError, RunError, SetupError, VerifyError
from nanozk.keys import Keys
from nanozk.model import Model, compile
from nanozk.proof import Challenge, Commitment, Proof, Verifier, verify
from nanozk.reports import (
    AuditPlan,
    Challenged,
    Check,
    Committed,
    Compiled,
    Plan,
    Proved,
    Report,
    Run,
    Sensitivity,
    Setup,
    Verdict,
)

__version__ = version("nanozk")

__all__ = [
    "AuditPlan",
    "Challenge",
    "Challenged",
    "Check",
    "Commitment",
    "Committed",
    "CompileError",
    "Compiled",
    "Error",
    "FileError",
    "Keys",
    "Model",
    "Plan",
    "Port",
    "Proof",
    "ProveError",
    "Proved",
    "Report",
    "Run",
    "RunError",
    "Sensitivity",
    "Setup",
    "SetupError",
    "Verdict",
    "Verifier",
    "VerifyError",
    "compile",
    "plan_audit",
    "verify",
]
