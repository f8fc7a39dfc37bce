#!/usr/bin/env python3
"""Runs EZKL and nanozk on the same models, alternately, and writes the ratio table and plots.

In rounds: one variant of EZKL on every model, each followed by nanozk, then the next variant; so the first round says
most. Everything is written after every run, and the same command again goes on where it stopped.

Needs Python 3.10 or newer with venv, and Rust; everything else it makes itself (a virtual environment with the packages
of requirements.txt, a release build of nanozk). Linux and macOS.

Example: bench/ezkl/compare.py onnx-models/mlp-digits onnx-models/block-d16-t16 --out docs/head-to-head.md
"""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import plots
import table
from runs import INPUT, Capped, Caps, Failed, Variant, run_ezkl, run_nanozk

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VARIANTS = [
    Variant("resources"),
    Variant("resources", legs=4),
    Variant("none"),
    Variant("accuracy"),
    *(Variant(calibrate, freivalds=False) for calibrate in ("resources", "none", "accuracy")),
]
LOCAL = ("--work", "--venv", "--nanozk")
"""Options that name places on this machine and change nothing of what is measured."""


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
    metadata = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
    metadata = subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return Path(json.loads(metadata)["target_directory"]) / "release" / "nanozk"


def attempt(model: Path, side: str, run) -> dict:
    """A run, or the message of its failure without the model's place; `capped` tells whether a cap ended it."""
    print(f"{model.name}: {side}", flush=True)
    start = time.monotonic()
    try:
        result = run()
        print(f"  prove {result['prove_s']:.3f} s, {result['proof_bytes']} proof bytes", flush=True)
    except Failed as error:
        print(f"  failed: {error}", flush=True)
        result = {"error": str(error).replace(f"{model}/", ""), "capped": isinstance(error, Capped)}
    return {**result, "session_s": time.monotonic() - start}


class Session:
    """What has been run, kept in a file after every run so that a session goes on where it stopped."""

    def __init__(self, args, head: dict):
        self.args, self.head, self.results = args, head, {}
        if args.json.exists() and not args.fresh:
            old = json.loads(args.json.read_text())
            same = ["machine", "nanozk", "ezkl", "caps", "finite_mask", *([] if args.renew_nanozk else ["input"])]
            other = [key for key in same if old.get(key) != head[key]]
            if other:
                sys.exit(f"{args.json}: another session (other {', '.join(other)}); name another --json, or --fresh")
            self.head = {**head, **{key: old[key] for key in ("date", "load", "renewed", "renewed_models") if key in old}}
            earlier = [command for command in old["commands"] if command not in head["commands"]]
            self.head["commands"] = earlier + head["commands"]
            self.results = {result["model"]: result for result in old["results"]}
        if args.renew:
            names = ", ".join(model.name for model in args.models)
            self.head["renewed_models"] = f"{names} on {head['date']}, with load average {head['load']:.2f} before them"
            variants = [variant.name() for variant in args.variants]
            for result in (self.results[model.name] for model in args.models if model.name in self.results):
                result["ezkl"] = [run for run in result["ezkl"] if run["variant"] not in variants]
                result["nanozk"] = []
        if args.renew_nanozk:
            self.head["renewed"] = f"on {head['date']}, with load average {head['load']:.2f} before them"
            for result in self.results.values():
                result["nanozk"] = []

    def model(self, name: str) -> dict:
        return self.results.setdefault(name, {"model": name, "ezkl": [], "nanozk": []})

    def done(self, name: str, variant: str) -> bool:
        return any(run["variant"] == variant for run in self.model(name)["ezkl"])

    def add(self, name: str, side: str, run: dict) -> None:
        self.model(name)[side].append(run)
        self.save()

    def save(self) -> None:
        results = [result for result in self.results.values() if result["ezkl"] or result["nanozk"]]
        head = {**self.head, "last": time.strftime("%Y-%m-%d")}
        summary = {"by_itself": table.summary(table.by_itself(results)), "all": table.summary(results)}
        record = {**head, "summary": summary, "results": results}
        write(self.args.json, json.dumps(record, indent=1) + "\n")
        pictures = [] if self.args.brief else plots.write(results, self.args.out)
        write(self.args.out, table.report(head, results, pictures, self.args.brief))


def write(path: Path, text: str) -> None:
    """Replaces a file as a whole, so that a session ended at any time leaves one that can be read."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    part.rename(path)


def known_caps(result: dict) -> dict:
    """What the runs of a model so far say about the others."""
    rows = [re.search(r"2\^(\d+) rows", run["error"]) for run in result["ezkl"] if run.get("capped")]
    rows = [int(match.group(1)) for match in rows if match]
    return {"rows": min(rows)} if rows else {}


def shared_cap(result: dict, variant: Variant) -> str | None:
    """Why a variant need not be tried: the calibration itself met a cap, and the variant calibrates too."""
    for run in result["ezkl"]:
        if run.get("capped") and run["error"].startswith("settings: time cap") and variant.calibrate != "none":
            return f"not tried: the calibration of the variant \"{run['variant']}\" met its cap"
    return None


def one_round(session: Session, python: Path, nanozk: Path, models: list, variant: Variant, end: float) -> None:
    """One variant of EZKL on every model, each followed by a run of nanozk."""
    args, name = session.args, variant.name()
    for model in models:
        result = session.model(model.name)
        used = sum(run.get("session_s", 0.0) for run in result["ezkl"])
        until = min(end, time.monotonic() + args.model_budget - used)
        if session.done(model.name, name) or time.monotonic() >= until:
            continue
        reason = shared_cap(result, variant) if args.skip_after_cap else None
        if reason:
            print(f"{model.name}: EZKL, {name}: {reason}", flush=True)
            session.add(model.name, "ezkl", {"variant": name, "error": reason, "capped": True})
            continue
        known = known_caps(result) if args.skip_after_cap else {}
        with tempfile.TemporaryDirectory(dir=args.work, prefix="ezkl-") as work:
            run = lambda: run_ezkl(python, model, Path(work), variant, args.caps, until, known)
            run = attempt(model, f"EZKL, {name}", run)
        if "time budget of all runs" in run.get("error", "") and time.monotonic() >= end:
            # Neither side's fault: the next session tries it again.
            return
        session.add(model.name, "ezkl", {"variant": name, "by_hand": variant.by_hand(), **run})
        session.add(model.name, "nanozk", attempt(model, "nanozk", lambda: run_nanozk(nanozk, model, args.caps)))


def nanozk_again(session: Session, nanozk: Path, models: list, end: float) -> None:
    """Runs of nanozk on the models of which it has fewer than EZKL, one on each, then the next."""
    fewer = lambda result: len(result["nanozk"]) < len(result["ezkl"])
    while behind := [model for model in models if fewer(session.model(model.name)) and time.monotonic() < end]:
        for model in behind:
            run = attempt(model, "nanozk", lambda: run_nanozk(nanozk, model, session.args.caps))
            session.add(model.name, "nanozk", run)


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


def parse_variant(text: str) -> Variant:
    calibrate, *options = text.split(",")
    known = {"freivalds": {}, "no-freivalds": {"freivalds": False}, "legs=4": {"legs": 4}, "legs=7": {"legs": 7}}
    if calibrate not in ("resources", "accuracy", "none") or not known.keys() >= set(options):
        raise argparse.ArgumentTypeError("expected CALIBRATION[,no-freivalds][,legs=4], for example none,no-freivalds")
    return Variant(calibrate, **{key: value for option in options for key, value in known[option].items()})


def folders(paths: list) -> list:
    """Models among the paths and in the folders of models among them."""
    whole = lambda folder: (folder / "network.onnx").is_file() and (folder / "input.json").is_file()
    found = []
    for path in paths:
        inside = sorted(child for child in path.iterdir() if whole(child)) if path.is_dir() else []
        if not whole(path) and not inside:
            raise SystemExit(f"{path}: no folder with network.onnx and input.json, nor one of such folders")
        found += [path] if whole(path) else inside
    return found


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", type=Path, nargs="+", help="folders with network.onnx and input.json, or folders of these")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "head-to-head.md", help="report to write")
    parser.add_argument("--json", type=Path, help="all runs, read again to go on (default: the report's name in .json)")
    parser.add_argument("--fresh", action="store_true", help="begin anew even if --json holds a session")
    parser.add_argument("--time-cap", type=float, default=3600, help="seconds for one run without its SRS (default 3600)")
    parser.add_argument("--settings-cap", type=float, help="seconds of it for settings and calibration (default: all)")
    parser.add_argument("--srs-cap", type=float, help="seconds for making an SRS (default: the time cap)")
    parser.add_argument("--memory-cap", type=float, default=22, help="GB (10^9) per process (default 22)")
    parser.add_argument("--rows-cap", type=int, default=26, help="EZKL runs that ask for more than 2^N rows end (default 26)")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds for the whole session (default: no end)")
    parser.add_argument("--model-budget", type=float, default=float("inf"), help="seconds of EZKL for one model (default: no end)")
    parser.add_argument(
        "--skip-after-cap", action="store_true",
        help="leave out variants that share a cap met: calibrations after one that met its cap, and runs of as many rows",
    )
    parser.add_argument(
        "--variant", dest="variants", type=parse_variant, action="append", metavar="CALIBRATION[,no-freivalds][,legs=4]",
        help="run only this variant of EZKL, resources, accuracy or none; may be repeated (default: all seven)",
    )
    parser.add_argument("--finite-mask", action="store_true", help="replace -inf constants by -16, for both sides")
    parser.add_argument(
        "--renew-nanozk", action="store_true",
        help="drop the runs of nanozk in --json and make them again, as after a change of nanozk; the report says so",
    )
    parser.add_argument(
        "--renew", action="store_true",
        help="drop the runs of the models and variants named here, and nanozk's of these models, and make them again",
    )
    parser.add_argument("--brief", action="store_true", help="report without plots and without the list of all runs")
    parser.add_argument("--venv", type=Path, default=HERE / ".venv", help="virtual environment to make or use")
    parser.add_argument("--nanozk", type=Path, help="nanozk program (default: a release build)")
    parser.add_argument("--work", type=Path, help="directory for keys and SRS files, kept (default: temporary)")
    args = parser.parse_args()
    args.variants = args.variants or VARIANTS
    args.json = args.json or args.out.with_suffix(".json")
    settings_cap, srs_cap = args.settings_cap or args.time_cap, args.srs_cap or args.time_cap
    args.caps = Caps(args.time_cap, settings_cap, srs_cap, args.memory_cap, args.rows_cap)
    args.models = folders(args.models)
    return args


def main() -> None:
    # Ended from outside, this program ends the run at work and leaves what it has.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, frame: sys.exit(128 + number))
    args = parse_args()
    command = shlex.join(["bench/ezkl/compare.py", *shown(sys.argv[1:])])
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
    head = {
        "commands": [command],
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "load": os.getloadavg()[0],
        "nanozk": version,
        "ezkl": ezkl,
        "caps": args.caps.text(),
        "finite_mask": args.finite_mask,
        "input": INPUT,
    }
    session, end = Session(args, head), time.monotonic() + args.budget
    try:
        models = [prepared(python, model.resolve(), args) for model in args.models]
        for variant in args.variants:
            one_round(session, python, nanozk, models, variant, end)
        nanozk_again(session, nanozk, models, end)
        session.save()
    finally:
        if not kept:
            shutil.rmtree(args.work, ignore_errors=True)
    print(f"written: {args.out}")


def prepared(python: Path, model: Path, args) -> Path:
    """The model that both sides run: with a finite mask if asked for and needed."""
    if not args.finite_mask:
        return model
    finite = args.work / "models" / f"{model.name}-finite"
    made = subprocess.run([python, HERE / "make_finite_mask.py", model, finite], stderr=subprocess.DEVNULL)
    return finite if made.returncode == 0 else model


def shown(arguments: list) -> list:
    """What was given, without the paths of this machine: shortened to the part below or beside the repository."""
    shorter = lambda text: os.path.relpath(text, ROOT) if Path(text).is_absolute() else text
    local = [i for i, text in enumerate(arguments) if text.partition("=")[0] in LOCAL]
    left_out = {*local, *(i + 1 for i in local if "=" not in arguments[i])}
    return [shorter(text) for i, text in enumerate(arguments) if i not in left_out]


if __name__ == "__main__":
    main()
