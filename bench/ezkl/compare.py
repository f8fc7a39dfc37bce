#!/usr/bin/env python3
"""Runs EZKL and nanozk on the same models, alternately, and writes the ratio table.

Needs Python 3.10 or newer with venv, and Rust; everything else it makes itself (a virtual environment with the packages
of requirements.txt, a release build of nanozk). Linux and macOS.

Example: bench/ezkl/compare.py onnx-models/mlp-digits onnx-models/block-d16-t16 --out docs/head-to-head.md
"""

import argparse
import json
import os
import platform
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEPS = ["settings", "srs", "witness", "setup", "prove", "verify"]
VARIANTS = [(calibrate, freivalds) for calibrate in ("resources", "accuracy", "none") for freivalds in (True, False)]


class Failed(Exception):
    """A run that did not finish, with the reason to show."""


def make_venv(path: Path) -> Path:
    """The Python of a virtual environment with EZKL, made on first use."""
    python = path / "bin" / "python"
    requirements = HERE / "requirements.txt"
    stamp = path / "requirements.installed"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"making a virtual environment in {path}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True)
        stamp.write_text(requirements.read_text())
    return python


def build_nanozk() -> Path:
    """A release build of this repository."""
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "nanozk-cli"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "nanozk"


def capped(command: list, seconds: float, memory_gb: float) -> dict:
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
        except subprocess.TimeoutExpired:
            # Its own session: children of the command end with it.
            os.killpg(process.pid, 9)
            process.wait()
            raise Failed(f"time cap of the run reached after {seconds:.0f} s in this step") from None
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
        if isinstance(report, dict) and (report.get("error") or report.get("models")):
            reason = report.get("error") or report["models"][0].get("error", "failed")
        else:
            # A panic prints more after the line that tells the cause.
            causes = [line for line in complaints if line.startswith("memory allocation")] or complaints[-1:]
            reason = causes[0] if causes else f"no message, exit code {code}"
        if code < 0:
            reason = f"ended by signal {-code} under the memory cap of {memory_gb:g} GB: {reason}"
        raise Failed(" ".join(reason.split())[:300])
    if not isinstance(report, dict):
        raise Failed("no report printed")
    return report


def run_ezkl(python: Path, model: Path, work: Path, calibrate: str, freivalds: bool, args) -> dict:
    """All steps of one variant of EZKL. Raises Failed with the step's name."""
    steps, deadline = {}, time.monotonic() + args.time_cap
    for step in STEPS:
        command = [python, HERE / "run_ezkl.py", step, model, work, "--calibrate", calibrate]
        command += [] if freivalds else ["--no-freivalds"]
        start = time.monotonic()
        try:
            steps[step] = capped(command, args.time_cap if step == "srs" else deadline - start, args.memory_cap)
        except Failed as error:
            logrows = f", 2^{steps['settings']['logrows']} rows" if "settings" in steps else ""
            raise Failed(f"{step}{logrows}: {error}") from None
        if step == "srs":
            deadline += time.monotonic() - start
        print(f"  {step:<9} {steps[step]['wall_seconds']:10.3f} s {steps[step]['peak_memory_mb']:8.0f} MB", flush=True)
    return {
        "compile_s": steps["settings"]["wall_seconds"],
        "srs_s": None if steps["srs"]["reused"] else steps["srs"]["wall_seconds"],
        "witness_s": steps["witness"]["wall_seconds"],
        "setup_s": steps["setup"]["wall_seconds"],
        "prove_s": steps["prove"]["wall_seconds"],
        "verify_s": steps["verify"]["wall_seconds"],
        "proof_bytes": steps["prove"]["proof_bytes"],
        "pk_bytes": steps["setup"]["pk_bytes"],
        "prove_mb": steps["prove"]["peak_memory_mb"],
        "setup_mb": steps["setup"]["peak_memory_mb"],
        "logrows": steps["settings"]["logrows"],
        "scales": [steps["settings"]["input_scale"], steps["settings"]["param_scale"]],
    }


def run_nanozk(nanozk: Path, model: Path, args) -> dict:
    """One run of every step of nanozk."""
    command = [nanozk, "bench", model, "--warmup", 0, "--repeat", 1, "--json"]
    report = capped(command, args.time_cap, args.memory_cap)["models"][0]
    steps = {step["step"]: step for step in report["steps"]}
    wall = {name: step["wall_seconds_median"] for name, step in steps.items()}
    return {
        "compile_s": wall["compile"],
        "srs_s": wall["srs"],
        "witness_s": None,
        "setup_s": wall["setup"],
        "prove_s": wall["prove"],
        "verify_s": wall["verify"],
        "proof_bytes": report["proof"]["proof_bytes"],
        "pk_bytes": report["sizes"]["prover_bytes"],
        "prove_mb": steps["prove"]["peak_memory_mb"],
        "setup_mb": steps["setup"]["peak_memory_mb"],
        "logrows": report["k"],
        "layers": report["layers"],
        "max_abs_error": report["fidelity"]["max_abs_error"],
    }


def attempt(what: str, run) -> dict:
    """A run, or the message of its failure."""
    print(what, flush=True)
    try:
        result = run()
    except Failed as error:
        print(f"  failed: {error}", flush=True)
        return {"error": str(error)}
    print(f"  prove {result['prove_s']:.3f} s, {result['proof_bytes']} proof bytes", flush=True)
    return result


def compare(python: Path, nanozk: Path, model: Path, args) -> dict:
    """Alternates the variants of EZKL with runs of nanozk on one model."""
    ezkl, ours = [], []
    for calibrate, freivalds in args.variants:
        name = variant_name(calibrate, freivalds)
        with tempfile.TemporaryDirectory(dir=args.work, prefix="ezkl-") as work:
            run = lambda: run_ezkl(python, model, Path(work), calibrate, freivalds, args)
            ezkl.append({"variant": name, **attempt(f"{model.name}: EZKL, {name}", run)})
        ours.append(attempt(f"{model.name}: nanozk", lambda: run_nanozk(nanozk, model, args)))
    return {"model": model.name, "ezkl": ezkl, "nanozk": ours}


def variant_name(calibrate: str, freivalds: bool) -> str:
    scales = "default scales" if calibrate == "none" else f"calibrated for {calibrate}"
    return f"{scales}, {'with' if freivalds else 'without'} Freivalds"


def machine() -> str:
    """Processor, cores and memory."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{cpu}, {cores} cores, {memory:.1f} GB, {platform.system()} {platform.machine()}"


def parse_variant(text: str) -> tuple:
    calibrate, _, freivalds = text.partition(",")
    if calibrate not in ("resources", "accuracy", "none") or freivalds not in ("", "freivalds", "no-freivalds"):
        raise argparse.ArgumentTypeError("expected CALIBRATION[,no-freivalds], for example none,no-freivalds")
    return calibrate, freivalds != "no-freivalds"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", type=Path, nargs="+", help="folders with network.onnx and input.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "head-to-head.md", help="report to write")
    parser.add_argument("--json", type=Path, help="also write all runs as JSON")
    parser.add_argument("--time-cap", type=float, default=3600, help="seconds for one run without its SRS (default 3600)")
    parser.add_argument("--memory-cap", type=float, default=22, help="GB (10^9) per process (default 22)")
    parser.add_argument(
        "--variant", dest="variants", type=parse_variant, action="append", metavar="CALIBRATION[,no-freivalds]",
        help="run only this variant of EZKL, resources, accuracy or none; may be repeated (default all six)",
    )
    parser.add_argument("--finite-mask", action="store_true", help="replace -inf constants by -16, for both sides")
    parser.add_argument("--venv", type=Path, default=HERE / ".venv", help="virtual environment to make or use")
    parser.add_argument("--nanozk", type=Path, help="nanozk program (default: a release build)")
    parser.add_argument("--work", type=Path, help="directory for keys and SRS files, kept (default: temporary)")
    args = parser.parse_args()
    args.variants = args.variants or VARIANTS
    for model in args.models:
        if not (model / "network.onnx").is_file() or not (model / "input.json").is_file():
            parser.error(f"{model}: no folder with network.onnx and input.json")
    return args


def main() -> None:
    args = parse_args()
    # With all that was given, but without the paths of this machine.
    command = shlex.join(["bench/ezkl/compare.py", *(shown(a) for a in sys.argv[1:])])
    python = make_venv(args.venv.resolve())
    nanozk = args.nanozk.resolve() if args.nanozk else build_nanozk()
    kept = args.work is not None
    args.work = (args.work or Path(tempfile.mkdtemp(prefix="head-to-head-"))).resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    # What an ended run leaves behind goes with the work directory.
    os.environ["TMPDIR"] = str(args.work)
    version = subprocess.run([nanozk, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    lookup = "import importlib.metadata as m; print('EZKL', m.version('ezkl'))"
    ezkl = subprocess.run([python, "-c", lookup], capture_output=True, text=True, check=True).stdout.strip()
    results = []
    head = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "load": os.getloadavg()[0],
        "nanozk": version,
        "ezkl": ezkl,
        "time_cap": args.time_cap,
        "memory_cap": args.memory_cap,
    }
    try:
        for model in args.models:
            model = model.resolve()
            if args.finite_mask:
                finite = args.work / "models" / f"{model.name}-finite"
                made = subprocess.run([python, HERE / "make_finite_mask.py", model, finite], stderr=subprocess.DEVNULL)
                # A model without such a constant runs as it is.
                model = finite if made.returncode == 0 else model
            results.append(compare(python, nanozk, model, args))
            # After every model, so that an interrupted session leaves what it has.
            args.out.write_text(table.report(head, results))
            if args.json:
                args.json.write_text(json.dumps({**head, "results": results}, indent=1) + "\n")
    finally:
        if not kept:
            shutil.rmtree(args.work, ignore_errors=True)
    print(f"written: {args.out}")


def shown(argument: str) -> str:
    """An argument, shortened to the part below or beside the repository."""
    path = Path(argument)
    return os.path.relpath(path, ROOT) if path.is_absolute() else argument


if __name__ == "__main__":
    main()
