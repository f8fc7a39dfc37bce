"""Long calls: progress, interrupts, threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from conftest import BLOCK, GPT
from numpy.typing import NDArray

import nanozk


def test_progress_tells_stages_and_steps_on_the_calling_thread(keys: nanozk.Keys, x: NDArray[Any]) -> None:
    told: list[tuple[str, int, int]] = []
    threads: set[int] = set()

    def progress(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        threads.add(threading.get_ident())

    keys.prove(x, progress=progress)
    assert threads == {threading.get_ident()}
    assert {stage for stage, _, _ in told} >= {"reading keys", "computing the model", "proving layers"}
    assert [(d, t) for stage, d, t in told if stage == "proving layers"] == [(0, 1), (1, 1)]


def test_a_bar_of_tqdm_on_demand(keys: nanozk.Keys, x: NDArray[Any], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    keys.prove(x, progress=True)
    assert "proving layers" in capsys.readouterr().err
    keys.prove(x)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("step", ["computing the model", "proving layers"])
def test_an_exception_of_progress_stops_the_work(gpt_keys: nanozk.Keys, tmp_path: Path, step: str) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == step:
            raise KeyError(stage)

    out = tmp_path / "p.nanozk"
    with pytest.raises(KeyError, match=step):
        gpt_keys.prove(np.arange(64) % 60, out=out, progress=progress)
    time.sleep(3)
    assert not out.exists()
    # What was finished before is kept, and the same call goes on.
    again = gpt_keys.prove(np.arange(64) % 60, out=out)
    assert nanozk.verify(gpt_keys.verifier, again)
    assert [path.name for path in tmp_path.iterdir()] == ["p.nanozk"]


def interrupted(call: Callable[[Callable[[str, int, int], None]], object], stage: str) -> float:
    """Seconds from a signal, sent within a stage of a call, to the exception."""
    reached, sent = threading.Event(), [0.0]

    def send() -> None:
        assert reached.wait(60)
        time.sleep(0.02)
        sent[0] = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call(lambda what, done, total: reached.set() if what == stage else None)
        pytest.fail("the call ended before the signal came")
    thread.join()
    return time.monotonic() - sent[0]


def test_an_interrupt_is_honoured_within_a_second(gpt: nanozk.Model, gpt_keys: nanozk.Keys, tmp_path: Path) -> None:
    model, keys, proof = tmp_path / "m.nanozk", tmp_path / "keys", tmp_path / "p.nanozk"
    calls: list[tuple[str, Callable[[Callable[[str, int, int], None]], object]]] = [
        ("quantising", lambda tell: nanozk.compile(GPT / "network.onnx", out=model, progress=tell)),
        ("making keys", lambda tell: gpt.setup(out=keys, progress=tell)),
        ("proving layers", lambda tell: gpt_keys.prove(np.arange(64) % 60, out=proof, progress=tell)),
    ]
    for stage, call in calls:
        assert interrupted(call, stage) < 1.0
    # The work ends at its next step and writes nothing after that.
    time.sleep(5)
    assert not list(tmp_path.glob("*.nanozk")) and not list(keys.glob("*"))


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    program = (
        "import nanozk, numpy, sys\n"
        f"keys = nanozk.compile({str(BLOCK / 'network.onnx')!r}, data={str(BLOCK / 'input.json')!r}).setup()\n"
        "proof = keys.prove(numpy.ones((1, 16, 16)))\n"
        "assert nanozk.verify(keys.verifier, proof)\n"
        "sys.exit(7)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_threads_prove_and_verify_at_the_same_time(keys: nanozk.Keys, x: NDArray[Any]) -> None:
    def one(factor: int) -> NDArray[Any]:
        proof = keys.prove({"x": x / factor}, nonce=bytes([factor]))
        verdict = nanozk.verify(keys.verifier, proof, nonce=bytes([factor]), input={"x": x / factor})
        assert verdict
        return verdict.outputs["y"]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, range(1, 9)))
    for factor, result in enumerate(results, 1):
        np.testing.assert_array_equal(result, one(factor))


def test_other_threads_run_while_one_proves(gpt_keys: nanozk.Keys) -> None:
    counted, done = [0], threading.Event()

    def count() -> None:
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.01)

    thread = threading.Thread(target=count)
    thread.start()
    start = time.monotonic()
    gpt_keys.prove(np.arange(16))
    seconds = time.monotonic() - start
    done.set()
    thread.join()
    # Without the interpreter's lock it would count only between calls.
    assert counted[0] > 5 * seconds
