"""The notebook runs from top to bottom."""

from __future__ import annotations

import pytest
from conftest import ROOT


def test_the_notebook_runs() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("matplotlib")
    notebook = nbformat.read(ROOT / "examples/verify_your_llm.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "examples")}}).execute()
    outputs = [str(output) for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = "\n".join(outputs)
    assert ">VERIFIED<" in shown and "NOT VERIFIED" in shown and "image/png" in shown
