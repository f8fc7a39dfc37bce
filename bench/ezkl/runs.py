"""One run of either side, every step in a process of its own, within caps."""

import json
import os
import re
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMED = ["setup", "prove", "verify"]
INPUT = "private"
"""Who sees the input, on both sides."""
STEPS = ["settings", "srs", "witness", "gap", "setup", "prove", "verify"]


class Failed(Exception):
    """A run that did not finish, with the reason to show."""


class Capped(Failed):
    """A run that one of the caps ended."""


@dataclass
class Caps:
    """Bounds of one run. Times are in seconds, memory in GB (10^9) per process."""

    time: float
    settings_time: float
    srs_time: float
    memory: float
    rows: int

    def text(self) -> str:
        return (
            f"{self.time:g} s for all steps of a run without the SRS, of them {self.settings_time:g} s for the settings "
            f"with their calibration; {self.srs_time:g} s for an SRS; {self.memory:g} GB of memory per process; "
            f"2^{self.rows} rows"
        )


@dataclass(frozen=True)
class Variant:
    """Settings of EZKL that change its cost."""

    calibrate: str
    """What its calibration is for, `resources` or `accuracy`, or `none` for its default scales."""
    freivalds: bool = True
    """Whether products of matrices are checked with Freivalds' algorithm, its default."""
    legs: int = 2
    """Digits of its range checks, 2 of 14 bits by default; more are shorter, so that the table needs fewer rows."""

    def name(self) -> str:
        scales = "default scales" if self.calibrate == "none" else f"calibrated for {self.calibrate}"
        digits = "" if self.legs == 2 else f", range checks of {self.legs} digits"
        return f"{scales}, {'with' if self.freivalds else 'without'} Freivalds{digits}"

    def by_hand(self) -> bool:
        """Whether it has a setting that neither EZKL's defaults nor its calibration choose."""
        return self.legs != 2

    def arguments(self) -> list:
        """Options of run_ezkl.py."""
        return [
            "--calibrate", self.calibrate, *([] if self.freivalds else ["--no-freivalds"]),
            *([] if self.legs == 2 else ["--legs", str(self.legs)]),
        ]


def capped(command: list, seconds: float, memory_gb: float, what: str = "time cap") -> dict:
    """The JSON object on the last line that a command prints, within caps of wall time and data memory."""

    def limit() -> None:
        cap = int(memory_gb * 1e9)
        # Private writable memory: unlike the address space it does not count mapped files and reserved ranges.
        resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [str(c) for c in command], stdout=output, stderr=errors, preexec_fn=limit, start_new_session=True
        )
        try:
            code = process.wait(timeout=max(seconds, 1.0))
        except BaseException as error:
            # Its own session: children of the command end with it, also when this program is interrupted.
            os.killpg(process.pid, 9)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Capped(f"{what} reached after {seconds:.0f} s in this step") from None
            raise
        output.seek(0)
        errors.seek(0)
        lines, complaints = output.read().strip().splitlines(), errors.read().strip().splitlines()
    report = None
    if lines:
        try:
            report = json.loads(lines[-1])
        except ValueError:
            report = None
    if code != 0:
        # A panic prints more after the line that tells the cause.
        memory = [line for line in complaints if line.startswith("memory allocation")]
        if isinstance(report, dict) and (report.get("error") or report.get("models")):
            reason = report.get("error") or report["models"][0].get("error", "failed")
        else:
            causes = memory or complaints[-1:]
            reason = causes[0] if causes else f"no message, exit code {code}"
        reason = " ".join(reason.split())[:300]
        if code < 0 or memory or re.search("MemoryError|[Cc]annot allocate|out of memory", reason):
            ended = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
            raise Capped(f"{ended} under the memory cap of {memory_gb:g} GB: {reason}")
        raise Failed(reason)
    if not isinstance(report, dict):
        raise Failed("no report printed")
    return report


def run_ezkl(python: Path, model: Path, work: Path, variant: Variant, caps: Caps, end: float, known: dict) -> dict:
    """All steps of one variant of EZKL, until the clock shows `end` at the latest.

    `known["rows"]` is the least number of rows, as a power of two, at which a cap ended another variant of the model: a
    variant that needs as many stops there. Raises Failed or Capped with the step's name.
    """
    steps, deadline = {}, time.monotonic() + caps.time
    for step in STEPS:
        command = [python, HERE / "run_ezkl.py", step, model, work, *variant.arguments()]
        start = time.monotonic()
        limits = [(end - start, "time budget of all runs or of the model")]
        if step == "srs":
            limits.append((caps.srs_time, "time cap of the SRS"))
        else:
            limits.append((deadline - start, "time cap of the run"))
        if step == "settings":
            limits.append((caps.settings_time, "time cap of the settings"))
        rows = steps["settings"]["logrows"] if "settings" in steps else None
        try:
            seconds, what = min(limits)
            steps[step] = capped(command, seconds, caps.memory, what)
        except Failed as error:
            if isinstance(error, Capped) and rows is not None:
                known["rows"] = min(rows, known.get("rows", rows))
            shown = f", 2^{rows} rows" if rows is not None else ""
            raise type(error)(f"{step}{shown}: {error}") from None
        if step == "srs":
            deadline += time.monotonic() - start
        print(f"  {step:<9} {steps[step]['wall_seconds']:10.3f} s {steps[step]['peak_memory_mb']:8.0f} MB", flush=True)
        if step == "settings":
            rows = steps["settings"]["logrows"]
            if rows > caps.rows:
                raise Capped(f"settings: EZKL asks for 2^{rows} rows, the cap is 2^{caps.rows}")
            if rows >= known.get("rows", rows + 1):
                raise Capped(f"settings: 2^{rows} rows, at which a cap ended another variant of this model")
    return {
        "compile_s": steps["settings"]["wall_seconds"],
        "srs_s": None if steps["srs"]["reused"] else steps["srs"]["wall_seconds"],
        "witness_s": steps["witness"]["wall_seconds"],
        **{f"{step}_s": steps[step]["wall_seconds"] for step in TIMED},
        **{f"{step}_cpu_s": steps[step]["cpu_seconds"] for step in TIMED},
        "proof_bytes": steps["prove"]["proof_bytes"],
        "pk_bytes": steps["setup"]["pk_bytes"],
        "prove_mb": steps["prove"]["peak_memory_mb"],
        "setup_mb": steps["setup"]["peak_memory_mb"],
        "logrows": steps["settings"]["logrows"],
        "max_abs_error": steps["gap"]["max_abs_error"],
        "scales": [steps["settings"]["input_scale"], steps["settings"]["param_scale"]],
    }


def run_nanozk(nanozk: Path, model: Path, caps: Caps) -> dict:
    """One run of every step of nanozk."""
    command = [nanozk, "bench", model, "--served", "--input", INPUT, "--warmup", 0, "--repeat", 1, "--json"]
    report = capped(command, caps.time, caps.memory)["models"][0]
    steps = {step["step"]: step for step in report["steps"]}
    wall = {name: step["wall_seconds_median"] for name, step in steps.items()}
    cpu = {name: step["cpu_seconds_median"] for name, step in steps.items()}
    return {
        "compile_s": wall["compile"],
        "srs_s": wall["srs"],
        "witness_s": None,
        **{f"{step}_s": wall[step] for step in TIMED},
        **{f"{step}_cpu_s": cpu[step] for step in TIMED},
        "proof_bytes": report["proof"]["proof_bytes"],
        "pk_bytes": report["sizes"]["prover_bytes"],
        "prove_mb": steps["prove"]["peak_memory_mb"],
        "setup_mb": steps["setup"]["peak_memory_mb"],
        "logrows": report["k"],
        "layers": report["layers"],
        "max_abs_error": report["fidelity"]["max_abs_error"],
    }
