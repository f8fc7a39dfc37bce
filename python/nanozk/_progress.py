"""Progress of long calls: a function of the caller's, or a bar of tqdm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional, Union

Callback = Callable[[str, int, int], object]
#: A function of the stage, the steps done and the steps in all; ``True`` for a bar of tqdm, ``False`` for nothing; ``None``
#: for a bar in a notebook where tqdm is installed.
Progress = Union[None, bool, Callback]


@contextmanager
def telling(progress: Progress) -> Iterator[Optional[Callback]]:
    """The function to call at each step, while the call lasts."""
    if callable(progress):
        yield progress
    elif progress is True or (progress is None and _in_notebook()):
        bar = _Bar(required=progress is True)
        try:
            yield bar.tell
        finally:
            bar.close()
    else:
        yield None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


class _Bar:
    """One bar of tqdm that serves all stages."""

    def __init__(self, required: bool) -> None:
        self._bar: Any = None
        try:
            from tqdm.auto import tqdm
        except ImportError:
            if required:
                raise
            return
        self._bar = tqdm(leave=False, bar_format="{desc}: {n_fmt}/{total_fmt} {bar} {elapsed}")

    def tell(self, stage: str, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.desc, self._bar.n, self._bar.total = stage, done, total
            self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
