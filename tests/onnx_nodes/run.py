#!/usr/bin/env python3
"""Run ONNX's backend node tests through nanozk and report, per operator, how many compile, prove and match."""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
from onnx import numpy_helper

#: Inputs that say how an operator works, by operator: their positions.
PARAMETERS = {
    "AffineGrid": [1], "BlackmanWindow": [0], "CenterCropPad": [1], "Clip": [1, 2], "Col2Im": [1, 2],
    "ConstantOfShape": [0], "CumSum": [1], "CumProd": [1], "DFT": [1, 2], "Dropout": [1, 2], "Expand": [1],
    "HammingWindow": [0], "HannWindow": [0], "Loop": [0, 1], "MaxUnpool": [2], "MelWeightMatrix": [0, 1, 2, 3, 4],
    "OneHot": [1], "Pad": [1, 2, 3], "QuantizeLinear": [1, 2], "DequantizeLinear": [1, 2],
    "QLinearMatMul": [1, 2, 4, 5, 6, 7], "QLinearConv": [1, 2, 4, 5, 6, 7], "Range": [0, 1, 2], "Reshape": [1],
    "Resize": [1, 2, 3], "Slice": [1, 2, 3, 4],
    "Split": [1], "SplitToSequence": [1], "Squeeze": [1], "STFT": [1, 3], "Tile": [1], "TopK": [1], "Trilu": [1],
    "Unsqueeze": [1], "Upsample": [1],
    **{f"Reduce{name}": [1] for name in
       ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]},
}
#: Operators whose output is drawn at random.
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
#: Operators whose output shape depends on values.
VALUE_SHAPED = {"Compress", "NonZero", "NonMaxSuppression", "Unique"}
TOLERANCE = 0.02


@dataclasses.dataclass
class Result:
    """How far a case got: one of left out, refused, failed, wrong, match; and why no further."""

    operator: str
    case: str
    outcome: str
    reason: str = ""


def operator(case):
    """The operator that a case is about: the last part of an expanded function keeps the name of its test."""
    nodes = [node.op_type for node in case.model.graph.node]
    return nodes[0] if len(nodes) == 1 else next((op for op in nodes if op not in ("Constant", "Identity")), nodes[0])


def left_out(case):
    """Why a case is not for a circuit of fixed shape over numbers, if so."""
    operators = {node.op_type for node in case.model.graph.node}
    if operators & RANDOM or ("Dropout" in operators and "train" in case.name):
        return "random output"
    if operators & VALUE_SHAPED:
        return "output shape depends on values"
    values = [*case.model.graph.input, *case.model.graph.output]
    if any(not value.type.HasField("tensor_type") for value in values):
        return "sequences and optional values"
    inputs, outputs = case.data_sets[0]
    tensors = [np.asarray(tensor) for tensor in [*inputs, *outputs]]
    if any(tensor.dtype.kind in "OUSV" or tensor.dtype.kind == "c" for tensor in tensors):
        return "strings, complex and packed numbers"
    if not outputs:
        return "no output"
    return ""


def original(case, cases):
    """The case that an expanded one stands for, whose one node still says which inputs are parameters."""
    name = re.sub(r"_expanded.*$", "", case.name)
    return cases.get(name, case)


def freeze(case, source):
    """The model with its parameter inputs as constants, and the values of the inputs that are left."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    frozen = set()
    for node in [*model.graph.node, *source.model.graph.node]:
        frozen.update(node.input[i] for i in PARAMETERS.get(node.op_type, []) if i < len(node.input))
    kept, values = [], []
    for value, data in zip(model.graph.input, case.data_sets[0][0]):
        if value.name in frozen:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(data), value.name))
        else:
            kept.append(value)
            values.append(np.asarray(data))
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model, values


def run(command, folder, timeout):
    """Standard output of a command in a folder, or the last line of its complaint."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no end within {timeout} s"
    if done.returncode == 0:
        return done.stdout, ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    panicked = "PANIC " if "panicked" in done.stderr else ""
    return None, panicked + (lines[-1].strip() if lines else f"exit code {done.returncode}")


def differences(expected, verified):
    """What is wrong with the verified outputs; empty when nothing is."""
    found = {output["name"]: output for output in verified}
    for name, tensor in expected:
        output = found.get(name)
        if output is None:
            return f"output {name} is missing"
        if output["shape"] != list(tensor.shape) or len(output["values"]) != tensor.size:
            return f"output {name} has shape {output['shape']}, not {list(tensor.shape)}"
        values, wanted = np.asarray(output["values"], np.float64), tensor.astype(np.float64).ravel()
        if tensor.dtype.kind in "iub":
            if not np.array_equal(values, wanted):
                return f"output {name}: integers differ"
            continue
        finite = wanted[np.isfinite(wanted)]
        scale = max([1e-3, *np.abs(finite)])
        gap = np.abs(values - wanted)
        if not (gap <= TOLERANCE * scale).all():
            return f"output {name} is off by {np.nanmax(gap) / scale:.3g} of its scale"
    return ""


def attempt(binary, case, source, timeout):
    """Put one case through the whole pipeline."""
    result = Result(operator(case), case.name, "left out", left_out(case))
    if result.reason:
        return result
    model, inputs = freeze(case, source)
    expected = list(zip([output.name for output in model.graph.output], map(np.asarray, case.data_sets[0][1])))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        onnx.save(model, folder / "network.onnx")
        data = [tensor.astype(np.float64).ravel().tolist() for tensor in inputs]
        shapes = [list(tensor.shape) for tensor in inputs]
        (folder / "input.json").write_text(json.dumps({"input_data": data, "input_shapes": shapes}))
        step = lambda words: run([binary, *words.split()], folder, timeout)
        _, why = step("compile network.onnx --data input.json -o model.nanozk")
        if why:
            return dataclasses.replace(result, outcome="refused", reason=why)
        for words in ["setup model.nanozk -o keys", "prove keys --input input.json -o proof.nanozk"]:
            _, why = step(words)
            if why:
                return dataclasses.replace(result, outcome="failed", reason=f"{words.split()[0]}: {why}")
        out, why = step("verify keys/verifier.nanozk proof.nanozk --allow-unsafe-srs --json")
        if why:
            return dataclasses.replace(result, outcome="failed", reason=f"verify: {why}")
        why = differences(expected, json.loads(out)["output"])
    return dataclasses.replace(result, outcome="wrong" if why else "match", reason=why)


def models(title, file):
    """The results of a folder of models, as Markdown: how many pass, and what stops the others."""
    rows = [line.rstrip("\n").split("\t") for line in file.read_text().splitlines() if line.count("\t") == 2]
    lines = [f"## {title}", "", f"{sum(row[1] == 'PASS' for row in rows)} of {len(rows)} pass.", ""]
    others = [row for row in rows if row[1] != "PASS"]
    if others:
        lines += ["| model | what stops it |", "|---|---|"]
    for name, _, reason in others:
        reason = re.sub(r"(?:/[\w.@+-]+)+/([\w.@+-]+\.(?:onnx|json))", r"\1", reason).replace("|", "\\|")
        reason = "".join(c for c in reason if c.isprintable())
        lines.append(f"| {name} | {reason[:300]} |")
    return "\n".join(lines) + "\n"


def table(results):
    """The results per operator, as Markdown."""
    by_operator = collections.defaultdict(list)
    for result in results:
        by_operator[result.operator].append(result)
    count = lambda rows, *outcomes: sum(row.outcome in outcomes for row in rows)
    tried = [row for row in results if row.outcome != "left out"]
    matched = count(results, "match")
    lines = [
        "## ONNX's node tests, by operator", "",
        f"Made by `tests/onnx_nodes/run.py` with onnx {onnx.__version__}: {matched} of {len(tried)} cases match"
        f" ({100 * matched / max(1, len(tried)):.0f} %); {len(results) - len(tried)} are left out (random, strings,"
        " sequences, shapes that depend on values).", "",
        "| operator | cases | compile | prove | match | what stops the others |", "|---|---|---|---|---|---|",
    ]
    for name, rows in sorted(by_operator.items()):
        reasons = collections.Counter(row.reason for row in rows if row.outcome != "match")
        reason = reasons.most_common(1)[0][0].replace("|", "\\|")[:160] if reasons else ""
        cells = [name, len(rows), count(rows, "failed", "wrong", "match"), count(rows, "wrong", "match"),
                 count(rows, "match"), reason]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the nanozk binary")
    parser.add_argument("--op", action="append", help="only this operator (repeatable)")
    parser.add_argument("--case", action="append", help="only this case (repeatable)")
    parser.add_argument("--stride", type=int, default=1, help="only every N-th case")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one command")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table here")
    parser.add_argument("--models", action="append", default=[], metavar="TITLE=FILE",
                        help="a table of models for the page: lines of name, PASS or FAIL, and what was seen (repeatable)")
    parser.add_argument("--least", type=float, default=0.0, help="exit with 1 below this share of matching cases")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    binary = str(pathlib.Path(arguments.binary).resolve())
    known = {case.name: case for case in collect_testcases(None)}
    cases = [case for case in known.values()
             if (not arguments.op or operator(case) in arguments.op)
             and (not arguments.case or case.name in arguments.case)][:: arguments.stride]
    results = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda case: attempt(binary, case, original(case, known), arguments.timeout), cases):
            results.append(result)
            print(f"{result.operator}\t{result.case}\t{result.outcome}\t{result.reason[:200]}", flush=True)
    if arguments.markdown:
        folders = [models(title, pathlib.Path(file)) for title, _, file in (m.partition("=") for m in arguments.models)]
        arguments.markdown.write_text("\n".join(["# What compiles, proves and matches\n", *folders, table(results)]))
    outcomes = collections.Counter(result.outcome for result in results)
    tried = len(results) - outcomes["left out"]
    print(", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items())))
    broken = outcomes["wrong"] + outcomes["failed"]
    share = outcomes["match"] / max(1, tried)
    sys.exit(1 if share < arguments.least or (arguments.least > 0 and broken) else 0)


if __name__ == "__main__":
    main()
