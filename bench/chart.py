#!/usr/bin/env python3
"""Draws docs/reports/performance.svg from docs/reports/performance.json: packets/s over flows, lookups/s over rules.

    bench/chart.py
"""
import json
import math
from pathlib import Path

REPORTS = Path(__file__).resolve().parent.parent / "docs" / "reports"
COLOURS = ["#0b6e4f", "#c8553d", "#3d5a98", "#8a6d3b", "#777777"]
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 430, 300, 52, 40, 60


def panel(left, chart):
    """One chart: x and y are logarithmic and linear; `lines` maps a name to its points."""
    xs = [math.log10(x) for line in chart["lines"].values() for x, _ in line]
    top = 1.08 * max(y for line in chart["lines"].values() for _, y in line)
    low, high = min(xs) - 0.2, max(xs) + 0.2
    inner_width, inner_height = WIDTH - LEFT - 16, HEIGHT - TOP - BOTTOM

    def place(x, y):
        return (left + LEFT + (math.log10(x) - low) / (high - low) * inner_width, TOP + inner_height * (1 - y / top))

    out = [f'<text x="{left + LEFT}" y="20" font-weight="bold">{chart["title"]}</text>']
    step = 10 ** math.floor(math.log10(top)) / (1 if top / 10 ** math.floor(math.log10(top)) > 4 else 2)
    y = 0.0
    while y <= top:
        at = place(10 ** low, y)[1]
        out.append(f'<line x1="{left + LEFT}" x2="{left + WIDTH - 16}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left + LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>')
        y += step
    for x, label in chart["ticks"]:
        at = place(x, 0)
        out.append(f'<text x="{at[0]:.1f}" y="{at[1] + 16:.1f}" text-anchor="middle">{label}</text>')
    for number, (name, line) in enumerate(chart["lines"].items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="4 3"' if name == "target" else ""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        for point in line:
            x, y = place(*point)
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        x, y = left + LEFT + (number % 3) * 125, HEIGHT - 24 + 14 * (number // 3)
        out.append(f'<rect x="{x}" y="{y - 8}" width="10" height="10" fill="{colour}"/><text x="{x + 14}" y="{y + 1}">{name}</text>')
    return out


def main():
    charts = json.loads((REPORTS / "performance.json").read_text())
    width = WIDTH * len(charts)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" '
           'font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="white"/>']
    for number, chart in enumerate(charts):
        out += panel(number * WIDTH, chart)
    (REPORTS / "performance.svg").write_text("\n".join([*out, "</svg>"]) + "\n")


if __name__ == "__main__":
    main()
