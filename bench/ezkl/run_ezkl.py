#!/usr/bin/env python3
"""Runs one step of EZKL and prints its cost as one JSON line.

One step per process, so that peak memory belongs to that step. Wall time is that of the EZKL call alone: the start of
Python and the import of EZKL do not count.

Usage: run_ezkl.py STEP MODEL_DIR WORK_DIR [--calibrate resources|accuracy|none] [--no-freivalds] [--legs N]
Steps in order: settings, srs, witness, gap, setup, prove, verify. MODEL_DIR holds network.onnx and input.json.
"""

import argparse
import asyncio
import inspect
import json
import resource
import sys
import time
from pathlib import Path

import ezkl


RANGE_BITS = 28
"""Range that EZKL's defaults can check: 2 digits to the base 2^14."""


class Files:
    """Files of one variant in its work directory; the SRS is shared by all variants of a size."""

    def __init__(self, model: Path, work: Path):
        self.onnx, self.data = str(model / "network.onnx"), str(model / "input.json")
        self.settings, self.circuit, self.witness, self.vk, self.pk, self.proof = (
            str(work / name) for name in ("settings.json", "circuit.ezkl", "witness.json", "vk.key", "pk.key", "proof.json")
        )
        self.srs_dir = work.parent

    def run_args(self) -> dict:
        """Settings that EZKL settled on."""
        return json.loads(Path(self.settings).read_text())["run_args"]

    def srs(self) -> str:
        return str(self.srs_dir / f"ezkl-{self.run_args()['logrows']}.srs")


async def settings(files: Files, args: argparse.Namespace) -> dict:
    run_args = ezkl.PyRunArgs()
    run_args.input_visibility, run_args.param_visibility, run_args.output_visibility = "private", "fixed", "public"
    run_args.disable_freivalds = args.no_freivalds
    # A range of 28 bits as by default, in more and shorter digits.
    run_args.decomp_base, run_args.decomp_legs = 1 << (RANGE_BITS // args.legs), args.legs
    await done(ezkl.gen_settings(files.onnx, files.settings, py_run_args=run_args))
    if args.calibrate != "none":
        await done(ezkl.calibrate_settings(files.data, files.onnx, files.settings, args.calibrate))
    await done(ezkl.compile_circuit(files.onnx, files.circuit, files.settings))
    used = files.run_args()
    return {"logrows": used["logrows"], "input_scale": used["input_scale"], "param_scale": used["param_scale"]}


async def srs(files: Files, args: argparse.Namespace) -> dict:
    path, existed = files.srs(), Path(files.srs()).exists()
    if not existed:
        # Renamed when complete: other variants use the file, and this process may be ended at a cap.
        await done(ezkl.gen_srs(path + ".part", files.run_args()["logrows"]))
        Path(path + ".part").rename(path)
    return {"reused": existed, "srs_bytes": Path(path).stat().st_size}


async def witness(files: Files, args: argparse.Namespace) -> dict:
    await done(ezkl.gen_witness(files.data, files.circuit, files.witness))
    return {}


async def gap(files: Files, args: argparse.Namespace) -> dict:
    """Largest difference between the outputs that are proven and those of the float model; none where that is unknown."""
    # Not above: other steps' peak memory is EZKL's alone.
    import numpy as np
    from onnx.helper import tensor_dtype_to_np_dtype
    from onnx.reference import ReferenceEvaluator

    try:
        model = ReferenceEvaluator(files.onnx)
        values = json.loads(Path(files.data).read_text())["input_data"]
        inputs = {}
        for spec, data in zip(model.proto_.graph.input, values):
            kind = spec.type.tensor_type
            shape = [d.dim_value or 1 for d in kind.shape.dim]
            inputs[spec.name] = np.array(data, dtype=tensor_dtype_to_np_dtype(kind.elem_type)).reshape(shape)
        outputs = model.run(None, inputs)
        proven = json.loads(Path(files.witness).read_text())["pretty_elements"]["rescaled_outputs"]
        pairs = [(np.ravel(a), np.array(b, dtype=np.float64)) for a, b in zip(outputs, proven, strict=True)]
        return {"max_abs_error": max(float(np.abs(a - b).max()) for a, b in pairs)}
    except Exception as error:  # the comparison goes on without this figure
        return {"max_abs_error": None, "unknown": str(error)[:200]}


async def setup(files: Files, args: argparse.Namespace) -> dict:
    await done(ezkl.setup(files.circuit, files.vk, files.pk, files.srs()))
    return {"pk_bytes": Path(files.pk).stat().st_size, "vk_bytes": Path(files.vk).stat().st_size}


async def prove(files: Files, args: argparse.Namespace) -> dict:
    await done(ezkl.prove(files.witness, files.circuit, files.pk, files.proof, files.srs()))
    proof = json.loads(Path(files.proof).read_text())["proof"]
    # The file stores the proof as text; what counts is the proof itself.
    return {"proof_bytes": len(proof.removeprefix("0x")) // 2 if isinstance(proof, str) else len(proof)}


async def verify(files: Files, args: argparse.Namespace) -> dict:
    if not await done(ezkl.verify(files.proof, files.settings, files.vk, files.srs())):
        raise RuntimeError("the proof does not verify")
    return {}


async def done(result):
    """Some calls of EZKL return a future, others the result."""
    return await result if inspect.isawaitable(result) else result


STEPS = {step.__name__: step for step in (settings, srs, witness, gap, setup, prove, verify)}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("model", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--calibrate", default="resources", choices=["resources", "accuracy", "none"])
    parser.add_argument("--no-freivalds", action="store_true")
    parser.add_argument("--legs", type=int, default=2, choices=[2, 4, 7], help="digits of a range check")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    files = Files(args.model.resolve(), args.work.resolve())
    start, before = time.perf_counter(), time.process_time()
    report = await STEPS[args.step](files, args)
    report["wall_seconds"] = time.perf_counter() - start
    report["cpu_seconds"] = time.process_time() - before
    unit = 1 if sys.platform == "darwin" else 1024
    report["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    # EZKL prints on stdout too; the report is the last line.
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
