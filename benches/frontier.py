"""Draws accuracy against cost: docs/design/frontier.csv into docs/pictures/frontier.svg.

    python3 benches/frontier.py

One mark for every trained network (widths of both networks / poolings), so that the scatter between runs is seen; the line joins what no
cheaper network passes in the mean of its runs. A row of panels has runs of one recipe only.
"""

import collections
import csv
import math
import pathlib
import statistics

ROOT = pathlib.Path(__file__).parents[1]
WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 260, 56, 46, 90
ROW = TOP + HEIGHT + 60
ROWS = [
    ("fabric_04_tile", {"steps": "2000", "first_defect": "0.02", "tile_places": "uniform"}),
    ("magnetic_tile", {"steps": "2000", "first_defect": "0.02"}),
]
FIGURES = [("image_auroc", "image AUROC"), ("pixel_ap", "pixel AP")]
COLOURS = {"2": "#b35900", "4": "#1f4e79"}


def ticks(low, high, step):
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


def panel(rows, key, title, left, top):
    values = [float(row[key]) for row in rows]
    low = math.floor(20 * min(values)) / 20
    high = math.ceil(20 * max(values)) / 20
    lowest, highest = 100, 3200
    x = lambda mmac: left + WIDTH * math.log(mmac / lowest) / math.log(highest / lowest)
    y = lambda value: top + HEIGHT * (high - value) / (high - low)
    step = next((step for step in (0.01, 0.02, 0.05) if high - low < 6.5 * step), 0.1)
    out = [f'<text x="{left}" y="{top - 14}" class="title">{title}</text>']
    for value in ticks(low, high, step):
        out.append(f'<path d="M{left} {y(value):.1f}h{WIDTH}" class="grid"/>')
        out.append(f'<text x="{left - 8}" y="{y(value) + 4:.1f}" class="end">{value:.2f}</text>')
    for mmac in (100, 200, 400, 800, 1600, 3200):
        out.append(f'<text x="{x(mmac):.1f}" y="{top + HEIGHT + 20}" class="mid">{mmac}</text>')
    out.append(f'<text x="{left + WIDTH / 2}" y="{top + HEIGHT + 40}" class="mid">MMAC for a tile of 128x128 px</text>')
    networks = collections.defaultdict(list)
    for row, value in zip(rows, values):
        networks[row["widths"], row["poolings"], float(row["mmac"])].append(value)
    best, line = -1.0, []
    for (widths, poolings, mmac), found in sorted(networks.items(), key=lambda item: item[0][2]):
        for value in found:
            out.append(f'<circle cx="{x(mmac):.1f}" cy="{y(value):.1f}" r="4" fill="{COLOURS[poolings]}"/>')
        above = min(y(value) for value in found) - 9
        out.append(f'<text x="{x(mmac):.1f}" y="{above:.1f}" class="mid small">{widths}/{poolings}</text>')
        if statistics.mean(found) > best:
            best = statistics.mean(found)
            line.append(f"{x(mmac):.1f} {y(best):.1f}")
    out.append(f'<path d="M{"L".join(line)}" class="line"/>')
    return out


def main():
    rows = list(csv.DictReader(open(ROOT / "docs/design/frontier.csv")))
    rows = [row for row in rows if "half" not in row["widths"]]
    width = 2 * (LEFT + WIDTH) + GAP - LEFT + 40
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {len(ROWS) * ROW}" font-family="sans-serif" font-size="13">',
        "<style>.title{font-weight:bold}.end{text-anchor:end}.mid{text-anchor:middle}.small{font-size:11px}"
        ".grid{stroke:#ddd}.line{stroke:#888;fill:none;stroke-dasharray:4 3}</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for down, (name, recipe) in enumerate(ROWS):
        own = [row for row in rows if row["set"] == name and recipe.items() <= row.items()]
        for number, (key, title) in enumerate(FIGURES):
            svg += panel(own, key, f"{name}, {title}", LEFT + number * (WIDTH + GAP), TOP + down * ROW)
    svg.append("</svg>\n")
    (ROOT / "docs/pictures/frontier.svg").write_text("\n".join(svg))


main()
