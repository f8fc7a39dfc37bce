"""Plots of a session as SVG files beside its report: bars per model, and lines over the width of blocks."""

import math
import re
from html import escape
from pathlib import Path

import table

COLOURS = {"EZKL": "#c05621", "nanozk": "#2b6cb0"}
LEFT, PLOT, RIGHT, BAR = 190, 520, 90, 15
STYLE = "<style>text{font:12px system-ui,sans-serif;fill:#222}line{stroke:#ddd}</style><rect width='100%' height='100%' fill='#fff'/>"


def write(results: list, out: Path) -> list:
    """Writes the plots that the results allow; titles and file names."""
    pictures = []
    for metric, title in table.METRICS:
        bars = [(r["model"], {"EZKL": table.best(r, metric), "nanozk": table.ours(r, metric)}) for r in results]
        pictures.append((f"{title} per model", f"{metric}", bar_chart(title, bars)))
    for metric, title in (("prove_s", "prove s"), ("proof_bytes", "proof B")):
        lines = widths(results, metric)
        pictures.append((f"{title} against width", f"{metric}-width", line_chart(title, "width d", lines)))
    written = []
    for title, suffix, svg in pictures:
        if svg:
            file = out.with_name(f"{out.stem}-{suffix}.svg")
            file.write_text(svg)
            written.append((title, file.name))
    return written


def widths(results: list, metric: str) -> dict:
    """Points of the blocks of 16 tokens, by side."""
    lines = {side: [] for side in COLOURS}
    for result in results:
        if match := re.match(r"block-d(\d+)-t16\b", result["model"]):
            for side, value in (("EZKL", table.best(result, metric)), ("nanozk", table.ours(result, metric))):
                if value:
                    lines[side].append((int(match.group(1)), value))
    return {side: sorted(points) for side, points in lines.items()}


def decades(values: list) -> tuple:
    """Ends of a logarithmic axis at powers of ten, the lower one below every value."""
    low = math.floor(math.log10(min(values)) - 0.01)
    return low, max(math.ceil(math.log10(max(values))), low + 1)


def label(power: int) -> str:
    return f"{10.0 ** power:g}"


def bar_chart(title: str, bars: list) -> str:
    values = [v for _, sides in bars for v in sides.values() if v]
    if not values:
        return ""
    low, high = decades(values)
    at = lambda v: (math.log10(v) - low) / (high - low) * PLOT
    height = len(bars) * (2 * BAR + 10) + 44
    width = LEFT + PLOT + RIGHT
    svg = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>{STYLE}", legend(title)]
    for power in range(low, high + 1):
        x = LEFT + at(10.0**power)
        svg.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='24' y2='{height - 20}'/>")
        svg.append(f"<text x='{x:.1f}' y='{height - 5}' text-anchor='middle'>{label(power)}</text>")
    for i, (model, sides) in enumerate(bars):
        top = 30 + i * (2 * BAR + 10)
        svg.append(f"<text x='{LEFT - 6}' y='{top + BAR + 4}' text-anchor='end'>{escape(model)}</text>")
        for j, (side, value) in enumerate(sides.items()):
            if value:
                y, length = top + j * BAR, at(value)
                svg.append(f"<rect x='{LEFT}' y='{y}' width='{length:.1f}' height='{BAR - 2}' fill='{COLOURS[side]}'/>")
                svg.append(f"<text x='{LEFT + length + 5:.1f}' y='{y + 11}'>{value:.3g}</text>")
    return "\n".join([*svg, "</svg>"]) + "\n"


def legend(title: str) -> str:
    items = [f"<text x='6' y='15'>{escape(title)}, log scale</text>"]
    for i, (side, colour) in enumerate(COLOURS.items()):
        x = LEFT + PLOT - 120 + 80 * i
        items.append(f"<rect x='{x}' y='5' width='12' height='12' fill='{colour}'/><text x='{x + 16}' y='15'>{side}</text>")
    return "".join(items)


def line_chart(title: str, x_title: str, lines: dict) -> str:
    points = [p for line in lines.values() for p in line]
    if len({x for x, _ in points}) < 2:
        return ""
    low, high = decades([y for _, y in points])
    first, last = math.log2(min(x for x, _ in points)), math.log2(max(x for x, _ in points))
    left, bottom, width = 70, 290, 800
    to_x = lambda x: left + (math.log2(x) - first) / (last - first) * (width - left - RIGHT)
    to_y = lambda y: bottom - (math.log10(y) - low) / (high - low) * (bottom - 30)
    svg = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} 330' role='img'>{STYLE}", legend(title)]
    for power in range(low, high + 1):
        y = to_y(10.0**power)
        svg.append(f"<line x1='{left}' x2='{width - RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>")
        svg.append(f"<text x='{left - 6}' y='{y + 4:.1f}' text-anchor='end'>{label(power)}</text>")
    for x in sorted({x for x, _ in points}):
        svg.append(f"<text x='{to_x(x):.1f}' y='{bottom + 16}' text-anchor='middle'>{x}</text>")
    svg.append(f"<text x='{(left + width - RIGHT) / 2}' y='{bottom + 34}' text-anchor='middle'>{x_title}, log scale</text>")
    for side, line in lines.items():
        path = " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in line)
        svg.append(f"<polyline fill='none' stroke='{COLOURS[side]}' stroke-width='2' points='{path}'/>")
        svg += [f"<circle cx='{to_x(x):.1f}' cy='{to_y(y):.1f}' r='4' fill='{COLOURS[side]}'/>" for x, y in line]
    return "\n".join([*svg, "</svg>"]) + "\n"
