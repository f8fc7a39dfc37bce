"""Objects in notebooks. Names in files are their authors' choice: everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_CARD = "border-left:6px solid {colour};padding:.4em 1em;margin:.4em 0;max-width:52em"
_GREEN, _AMBER, _RED, _GREY = "#2e7d32", "#b26a00", "#c62828", "#607d8b"


def text(content: str) -> str:
    """Plain text."""
    return f"<pre>{escape(content)}</pre>"


def card(title: str, colour: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title and lines of name and value."""
    lines = "".join(
        f'<tr><th style="text-align:left;vertical-align:top">{escape(name)}</th>'
        f'<td style="text-align:left;overflow-wrap:anywhere">{escape(value)}</td></tr>'
        for name, value in rows
    )
    style = _CARD.format(colour=colour)
    return f'<div style="{style}"><strong style="color:{colour}">{escape(title)}</strong><table>{lines}</table></div>'


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def ports(values: Iterable[Any]) -> str:
    """Inputs or outputs on one line."""
    return ", ".join(f"{v.name} {v.dtype}{list(v.shape)}" for v in values)


def facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A card without a verdict."""
    return card(title, _GREY, rows)


def plan(json: Mapping[str, Any]) -> str:
    """The cost of each layer."""
    header = ("layer", "name", "shape", "ops", "rows", "k", "lookups", "lanes", "proof bytes", "s", "MB")
    rows = [
        (
            layer["index"],
            layer["name"],
            layer["shape"],
            layer["ops"],
            layer["rows"],
            layer["k"],
            layer["lookups"],
            layer["lanes"],
            layer["proof_bytes"],
            f"{layer['prove_seconds']:.2f}",
            f"{layer['memory_mb']:.0f}",
        )
        for layer in json["layers"]
    ]
    total = (
        f"predicted: {len(rows)} layers of {json['shapes']} shapes, {json['proof_bytes']} proof bytes, "
        f"{json['prove_seconds']:.1f} s, {json['memory_mb']:.0f} MB; soundness {json['soundness_bits']:.0f} bits"
    )
    return f"{table(header, rows)}<p>{escape(total)}</p>"


def verdict(json: Mapping[str, Any]) -> str:
    """What a proof shows, green only when it shows all."""
    whole = json["verified"] is True and json["full"] is True
    if whole:
        title, colour = "VERIFIED", _GREEN
    elif json["verified"] is True and json.get("audited"):
        audited = json["audited"]
        title = (
            f"AUDITED {audited['drawn']} of {audited['total']} layers: one wrong layer is caught with probability "
            f"{audited['caught']:.4f}; full only with all layers"
        )
        colour = _AMBER
    elif json["verified"] is True:
        title, colour = "PARTIAL: some layers verified, nothing follows for the model", _AMBER
    else:
        title, colour = "NOT VERIFIED", _RED
    rows = [("model id", json["model_id"])]
    if json["verified"] is not True:
        return card(title, colour, [("why", str(json.get("error"))), *rows, ("SRS", _srs(json))])
    rows[0] = ("model id", f"{json['model_id']} ({_compared(json['model_id_checked'])})")
    rows.append(("layers", f"{json['layers_covered']} of {json['layers_total']}"))
    weights = "in range; tables and keys as the file says" if json["weights_checked"] else "not checked now"
    rows.append(("weights", weights))
    if json["nonce"]:
        rows.append(("nonce", json["nonce"]))
    if json.get("answer"):
        answer = json["answer"]
        rows.append(("prompt", repr(answer.get("prompt_text", answer["prompt"]))))
        rows.append(("answer" if whole else "claimed", repr(answer.get("text", answer["tokens"]))))
    rows.append(("tokens", f"{json['length']} of {json['tokens']}"))
    if json.get("audited") and not whole:
        rows.append(("values", "those committed to, right if all layers are"))
    for end in ("input", "output"):
        rows += [(end, _value(value)) for value in json[end]]
    rows.append(("SRS", _srs(json)))
    rows.append(("soundness", f"{json['soundness_bits']:.0f} bits"))
    rows.append(("size", f"{json['proof_bytes']} proof bytes"))
    return card(title, colour, rows)


def _compared(checked: bool) -> str:
    return "as expected" if checked else "compare it with the id you expect"


def _srs(json: Mapping[str, Any]) -> str:
    return json["ceremony"] or "UNSAFE: of no known ceremony; whoever made it could forge proofs"


def _value(value: Mapping[str, Any]) -> str:
    name = f"{value['name']} {value['dtype']}{value['shape']}"
    if "values" not in value:
        return f"{name}: {value['reason']}"
    known = [v for v in value["values"] if v is not None]
    last = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in known[-8:])
    return f"{name}: {'... ' if len(known) > 8 else ''}{last} ({len(known)} values)"
