"""Exceptions. Their texts are those of the command line: ``cause; way out``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from nanozk.reports import Check, Verdict


class Error(Exception):
    """Anything that nanozk refuses."""


class FileError(Error):
    """A file that cannot be read, written or understood."""


class CompileError(Error):
    """A model, its sample data or its settings cannot be compiled."""


class RunError(Error):
    """A model cannot be run on an input."""


class SetupError(Error):
    """Keys cannot be made."""


class ProveError(Error):
    """An inference cannot be proven."""


class VerifyError(Error):
    """A proof, or a verifier file, does not hold what it must.

    Attributes
    ----------
    verdict : Verdict or Check or None
        What was found; none when the files could not be compared at all.
    """

    verdict: Optional[Verdict | Check] = None
