#!/usr/bin/env python3
"""Write README.md's list of ONNX operators from the table in docs/operators.md, or check that it is that list.

    python3 tests/onnx_nodes/supported.py            # write
    python3 tests/onnx_nodes/supported.py --check    # exit with 1 where README.md says something else
"""

import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- operators, from docs/operators.md -->\n", "<!-- end of operators -->\n"
ROW = re.compile(r"^\| (\w+) \| (\d+) \| \d+ \| \d+ \| (\d+) \|", re.MULTILINE)


def listed():
    """The list: operators whose cases all match, then those of which some do."""
    rows = [(name, int(cases), int(match)) for name, cases, match in ROW.findall((ROOT / "docs/operators.md").read_text())]
    whole = [name for name, cases, match in rows if match == cases > 0]
    part = [f"{name} ({match} of {cases})" for name, cases, match in rows if 0 < match < cases]
    paragraphs = [f"All of ONNX's node tests match for {', '.join(whole)}.", f"Some of them do for {', '.join(part)}."]
    return "\n".join(textwrap.fill(paragraph, 120) + "\n" for paragraph in paragraphs)


def main():
    readme = ROOT / "README.md"
    text = readme.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    made = f"{head}{BEGIN}{listed()}{END}{tail}"
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if made == text else "README.md: not the operators of docs/operators.md; run tests/onnx_nodes/supported.py")
    readme.write_text(made)


if __name__ == "__main__":
    main()
