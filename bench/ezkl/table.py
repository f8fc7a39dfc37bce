"""The report of a head-to-head session as Markdown."""

import statistics

METRICS = [
    ("setup_s", "setup s"),
    ("prove_s", "prove s"),
    ("prove_cpu_s", "prove CPU s"),
    ("verify_s", "verify s"),
    ("verify_cpu_s", "verify CPU s"),
    ("proof_bytes", "proof B"),
    ("pk_bytes", "proving key B"),
    ("prove_mb", "peak MB of prove"),
]

RULES = """Rules of the comparison:

- Same ONNX file, same input, same machine, same cores; the two sides take turns, and every step runs in a process of
  its own. The load average before the runs, named above, tells whether other work shared the cores.
{visibility}
- EZKL runs with and without Freivalds, calibrated for `resources`, for `accuracy`, and with its default scales, and, for
  `resources`, with range checks of four short digits, whose table needs fewer rows. **For every figure apart, EZKL's best
  variant counts.** Of nanozk's runs the median counts.
- Seconds are wall time of the call, without the start of Python. CPU seconds are user and system time of all threads in
  the call: where other work shared the cores, they are what to compare. EZKL's prove time leaves out its witness generation;
  nanozk's prove time holds everything from reading the keys to checking its own proof and writing it. Verify times hold
  the reading of key and proof on both sides.
- Setup is key generation. The SRS is generated locally on both sides and reported apart. nanozk's prover file holds
  model and seeds; the proving keys are derived from it while proving, and that time is in prove.
- Proof bytes are those of the proof itself, not of the file that holds it, and without public values.
- EZKL's default scales are coarse: what a variant costs in fidelity stands under "worst gap" in the list of all runs
  (a dash where it was not recorded). nanozk runs with its default settings.
- Short range checks are set by hand: neither EZKL's defaults nor its calibration choose them. What they save is shown apart.
- Peak memory is the peak resident memory of the process that proves.
- A run that fails, or reaches a cap, is shown with its message. A variant that was not run at all is not listed.
"""


VISIBILITY = {
    "private": "- Same visibility: private input, hidden or fixed weights, public output (EZKL: `private`, `fixed`, `public`).",
    None: """- Hidden or fixed weights, public output. The input is private to EZKL's proofs and public to nanozk's, which are
  cheaper by that.""",
}
"""By who sees the input of nanozk's proofs, which older records do not hold."""


def report(head: dict, results: list, pictures: list, brief: bool) -> str:
    """The whole page; `pictures` are titles and files beside it. A brief one has no plots and no list of all runs."""
    plots = [
        "## Plots\n",
        "EZKL's best run and nanozk's median run, on logarithmic axes. Models without a bar of EZKL: no run of it finished.\n",
        "\n\n".join(f"![{title}]({file})" for title, file in pictures) + "\n",
    ]
    parts = [
        "# nanozk and EZKL, head to head\n",
        f"Made on {head['date']}: {head['nanozk']} and {head['ezkl']} on {head['machine']}, load average {head['load']:.2f} "
        f"before the runs. Caps: {head['caps']}.\n",
        *(["Made by these commands, each of which went on with the record of those before:\n"] if len(head["commands"]) > 1 else []),
        "```sh\n" + "\n".join(head["commands"]) + "\n```\n",
        *([f"The runs of nanozk were made again {head['renewed']}, after those of EZKL.\n"] if "renewed" in head else []),
        *([f"Both sides again: {head['renewed_models']}.\n"] if "renewed_models" in head else []),
        RULES.format(visibility=VISIBILITY[head.get("input")]),
        "## In short\n",
        in_short(results),
        "## Ratios\n",
        "EZKL / nanozk: above 1, nanozk is ahead. A dash stands where one side has no finished run.\n",
        ratios(results),
        *([] if brief else plots),
        "## Figures\n",
        figures(results),
        *([] if brief else ["## All runs\n", runs(results)]),
        *(["## Runs that did not finish\n", failed] if (failed := failures(results)) else []),
    ]
    return "\n".join(parts)


def best(result: dict, metric: str) -> float | None:
    """EZKL's least figure over the variants that finished."""
    return min(finished(result["ezkl"], metric), default=None)


def ours(result: dict, metric: str) -> float | None:
    """nanozk's median figure over the runs that finished."""
    values = finished(result["nanozk"], metric)
    return statistics.median(values) if values else None


def finished(runs: list, metric: str) -> list:
    """Figures of the runs that finished; records older than a figure do not hold it."""
    return [run[metric] for run in runs if "error" not in run and run.get(metric) is not None]


def ratio(result: dict, metric: str) -> float | None:
    """EZKL / nanozk, where both have a finished run."""
    theirs, mine = best(result, metric), ours(result, metric)
    return theirs / mine if theirs is not None and mine else None


def summary(results: list) -> dict:
    """Of every figure the models that both sides finished, the geometric mean of the ratios, the least one, and the models
    on which nanozk is behind."""
    found = {}
    for metric, _ in METRICS:
        ratios = {r["model"]: value for r in results if (value := ratio(r, metric)) is not None}
        if ratios:
            least = min(ratios, key=ratios.get)
            found[metric] = {
                "models": len(ratios),
                "geometric_mean": statistics.geometric_mean(ratios.values()),
                "least": ratios[least],
                "least_model": least,
                "behind": [model for model, value in ratios.items() if value < 1],
            }
    return found


def by_itself(results: list) -> list:
    """The results without the runs of EZKL whose settings were chosen by hand."""
    return [{**r, "ezkl": [run for run in r["ezkl"] if not run.get("by_hand")]} for r in results]


def in_short(results: list) -> str:
    whole, parts = by_itself(results), []
    by_hand = any(run.get("by_hand") for result in results for run in result["ezkl"])
    for title, chosen in [("EZKL as its defaults and its calibration set it", whole), ("EZKL set by hand too", results)]:
        if chosen is whole or by_hand:
            parts.append((f"### {title}\n\n" if by_hand else "") + short_table(chosen))
    return "\n".join([*parts, variants(results)])


def variants(results: list) -> str:
    """On how many models each variant of EZKL was tried, and on how many it finished."""
    tried = {}
    for run in (run for result in results for run in result["ezkl"]):
        tried.setdefault(run["variant"], []).append("error" not in run)
    rows = [[name, str(len(outcomes)), str(sum(outcomes))] for name, outcomes in tried.items()]
    return markdown(["variant of EZKL", "models tried", "finished"], rows)


def short_table(results: list) -> str:
    prove = lambda side: sum(bool(finished(result[side], "prove_s")) for result in results)
    rows, short = [], summary(results)
    for metric, title in METRICS:
        if metric in short:
            s = short[metric]
            least = f"{s['least']:.3g}x, {s['least_model']}"
            rows.append([title, str(s["models"]), f"{s['geometric_mean']:.3g}x", least, ", ".join(s["behind"]) or "none"])
    text = f"Of {len(results)} models nanozk proves {prove('nanozk')}, EZKL {prove('ezkl')} within the caps. "
    text += "Ratios are EZKL / nanozk over the models that both prove.\n\n"
    return text + markdown(["figure", "models", "geometric mean", "least ratio", "nanozk is behind on"], rows)


def ratios(results: list) -> str:
    rows = []
    for result in results:
        values = [ratio(result, metric) for metric, _ in METRICS]
        rows.append([result["model"], *("-" if v is None else f"{v:.3g}x" for v in values)])
    short = summary(results)
    if len(results) > 1:
        means = [f"{short[m]['geometric_mean']:.3g}x" if m in short else "-" for m, _ in METRICS]
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
    rows = []
    for name, run in named(results):
        if "error" not in run:
            before = [figure(m, run[m]) for m in ("compile_s", "srs_s", "witness_s")]
            cells = [*name, f"2^{run['logrows']}", *before, *(figure(m, run.get(m)) for m, _ in METRICS)]
            gap = run.get("max_abs_error")
            rows.append([*cells, "-" if gap is None else f"{gap:.5f}"])
    text = markdown(header, rows) if rows else "No run finished.\n"
    text += "\nA dash under SRS stands for one that an earlier run of the same size had made; nanozk computes the witness "
    text += "within prove. The worst gap is the largest difference between an output and that of the float model on this input.\n"
    return text


def named(results: list) -> list:
    """All runs with the names of their model and of themselves."""
    found = []
    for result in results:
        found += [((result["model"], f"EZKL, {run['variant']}"), run) for run in result["ezkl"]]
        found += [((result["model"], f"nanozk, run {i + 1}"), run) for i, run in enumerate(result["nanozk"])]
    return found


def failures(results: list) -> str:
    """Runs that did not finish, those of one model with one message together."""
    messages = {}
    for (model, run), outcome in named(results):
        if "error" in outcome:
            messages.setdefault((model, outcome["error"]), []).append(run)
    return "".join(f"- {model}, {'; '.join(runs)}: {error}\n" for (model, error), runs in messages.items())


def figure(metric: str, value: float | None) -> str:
    if value is None:
        return "-"
    if metric.endswith("_bytes"):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if metric.endswith("_mb") else f"{value:.3f}"


def markdown(header: list, rows: list) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
