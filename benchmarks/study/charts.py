"""Bar charts as SVG: one panel for each pool, one bar for each rule, a line for chance."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH, LABELS, BAR, HEAD, GAP = 860, 280, 18, 44, 18
COLOURS = {"bar": "#4c78a8", "random": "#b8b8b8", "text": "#222222", "line": "#c44e52"}

Panels = Mapping[str, Mapping[str, float]]


def bars(title: str, panels: Panels, baseline: str = "random") -> str:
    """Return a chart of numbers between 0 and 1: for each pool a bar for each rule, longest possible 1."""
    parts, y = [_text(0, 20, title, 16)], HEAD
    for pool, values in panels.items():
        parts.append(_text(0, y + 4, pool, 14))
        y += 12
        top = y
        for name, value in values.items():
            parts += _bar(y, name, value, COLOURS["random" if name == baseline else "bar"])
            y += BAR + 4
        place = LABELS + (WIDTH - LABELS - 60) * values[baseline]
        parts.append(
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{top}" y2="{y}" stroke="{COLOURS["line"]}"'
            ' stroke-dasharray="4 3"/>'
        )
        y += GAP
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n{body}\n</svg>\n'
    )


def _bar(y: int, name: str, value: float, colour: str) -> list[str]:
    length = (WIDTH - LABELS - 60) * value
    return [
        _text(LABELS - 8, y + 13, name, 12, "end"),
        f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>',
        _text(LABELS + length + 6, y + 13, f"{value:.3f}", 11),
    ]


def _text(x: float, y: float, text: str, size: int, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{COLOURS["text"]}">'
        f"{escape(text)}</text>"
    )
