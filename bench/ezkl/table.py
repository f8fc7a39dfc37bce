"""The report of a head-to-head session as Markdown."""

import statistics

METRICS = [
    ("setup_s", "setup s"),
    ("prove_s", "prove s"),
    ("verify_s", "verify s"),
    ("proof_bytes", "proof B"),
    ("pk_bytes", "proving key B"),
    ("prove_mb", "peak MB of prove"),
]

RULES = """Rules of the comparison:

- Same ONNX file, same input, same machine, same cores; the two sides take turns, and every step runs in a process of
  its own. The load average before the session, named above, tells whether other work shared the cores.
- Same visibility: private input, hidden or fixed weights, public output (EZKL: `private`, `fixed`, `public`).
- EZKL runs with and without Freivalds, calibrated for `resources`, for `accuracy`, and with its default scales. **For
  every figure apart, EZKL's best variant counts.** Of nanozk's runs the median counts.
- Seconds are wall time of the call, without the start of Python. EZKL's prove time leaves out its witness generation;
  nanozk's prove time holds everything from reading the keys to checking its own proof and writing it. Verify times hold
  the reading of key and proof on both sides.
- Setup is key generation. The SRS is generated locally on both sides and reported apart. nanozk's prover file holds
  model and seeds; the proving keys are derived from it while proving, and that time is in prove.
- Proof bytes are those of the proof itself, not of the file that holds it, and without public values.
- EZKL's default scales are coarse: what a variant costs in fidelity stands under "worst gap" in the list of all runs
  (a dash where it was not recorded). nanozk runs with its default settings.
- Peak memory is the peak resident memory of the process that proves.
- A run that fails, or reaches a cap, is shown with its message. A variant that was not run at all is not listed.
"""


def report(head: dict, results: list, pictures: list) -> str:
    """The whole page; `pictures` are titles and files beside it."""
    parts = [
        "# nanozk and EZKL, head to head\n",
        f"Made on {head['date']}: {head['nanozk']} and {head['ezkl']} on {head['machine']}, load average {head['load']:.2f} "
        f"before the session. Caps: {head['caps']}.\n",
        *(["Made by these commands, each of which went on with the record of those before:\n"] if len(head["commands"]) > 1 else []),
        "```sh\n" + "\n".join(head["commands"]) + "\n```\n",
        *([f"The runs of nanozk were made again {head['renewed']}, after those of EZKL.\n"] if "renewed" in head else []),
        RULES,
        "## Ratios\n",
        "EZKL / nanozk: above 1, nanozk is ahead. A dash stands where one side has no finished run.\n",
        ratios(results),
        "## Plots\n",
        "EZKL's best run and nanozk's median run, on logarithmic axes. Models without a bar of EZKL: no run of it finished.\n",
        "\n\n".join(f"![{title}]({file})" for title, file in pictures) + "\n",
        "## Figures\n",
        figures(results),
        "## All runs\n",
        runs(results),
    ]
    return "\n".join(parts)


def best(result: dict, metric: str) -> float | None:
    """EZKL's least figure over the variants that finished."""
    return min((r[metric] for r in result["ezkl"] if "error" not in r), default=None)


def ours(result: dict, metric: str) -> float | None:
    """nanozk's median figure over the runs that finished."""
    values = [r[metric] for r in result["nanozk"] if "error" not in r and r[metric] is not None]
    return statistics.median(values) if values else None


def ratios(results: list) -> str:
    rows, columns = [], {metric: [] for metric, _ in METRICS}
    for result in results:
        cells = [result["model"]]
        for metric, _ in METRICS:
            theirs, mine = best(result, metric), ours(result, metric)
            if theirs is None or not mine:
                cells.append("-")
                continue
            columns[metric].append(theirs / mine)
            cells.append(f"{theirs / mine:.3g}x")
        rows.append(cells)
    means = [f"{statistics.geometric_mean(v):.3g}x" if v else "-" for v in columns.values()]
    if len(results) > 1:
        rows.append(["geometric mean", *means])
    return markdown(["model", *(title for _, title in METRICS)], rows)


def figures(results: list) -> str:
    rows = []
    for result in results:
        rows.append([result["model"], "EZKL, best", *(figure(m, best(result, m)) for m, _ in METRICS)])
        rows.append([result["model"], "nanozk, median", *(figure(m, ours(result, m)) for m, _ in METRICS)])
    return markdown(["model", "side", *(title for _, title in METRICS)], rows)


def runs(results: list) -> str:
    header = ["model", "run", "rows", "compile s", "SRS s", "witness s", *(title for _, title in METRICS)]
    header.append("worst gap")
    rows, failures = [], []
    for result in results:
        named = [(f"EZKL, {r['variant']}", r) for r in result["ezkl"]]
        named += [(f"nanozk, run {i + 1}", r) for i, r in enumerate(result["nanozk"])]
        for name, run in named:
            if "error" in run:
                failures.append(f"- {result['model']}, {name}: {run['error']}\n")
                continue
            before = [figure(m, run[m]) for m in ("compile_s", "srs_s", "witness_s")]
            cells = [result["model"], name, f"2^{run['logrows']}", *before, *(figure(m, run[m]) for m, _ in METRICS)]
            gap = run.get("max_abs_error")
            rows.append([*cells, "-" if gap is None else f"{gap:.5f}"])
    text = markdown(header, rows) if rows else "No run finished.\n"
    text += "\nA dash under SRS stands for one that an earlier run of the same size had made; nanozk computes the witness "
    text += "within prove. The worst gap is the largest difference between an output and that of the float model on this input.\n"
    if failures:
        text += "\nRuns that did not finish:\n\n" + "".join(failures)
    return text


def figure(metric: str, value: float | None) -> str:
    if value is None:
        return "-"
    if metric.endswith("_bytes"):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if metric.endswith("_mb") else f"{value:.3f}"


def markdown(header: list, rows: list) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
