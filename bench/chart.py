"""Horizontal bars of ratios on a log scale, as SVG."""
import html
import math

LABELS, PLOT, MARGIN = 210, 620, 60  # widths
BAR, GAP, HEAD = 13, 14, 96  # heights
FARTHEST = 7  # powers of two; what lies beyond is cut off, with its figure
# Okabe and Ito's, which the colour-blind can tell apart, too; an engine keeps its own in all charts.
COLOURS = {"johnny": "#0072b2", "lmdb": "#000000", "lmdb-writemap": "#56b4e9", "lmdb-nordahead": "#999999", "rocksdb": "#d55e00",
           "leveldb": "#e69f00", "sqlite": "#009e73"}
OTHER = "#cc79a7"
STYLE = ("text{font:12px sans-serif;fill:#222}.title{font-size:16px;font-weight:bold}.small{font-size:11px;fill:#555}"
         ".work{text-anchor:end}.tick{text-anchor:middle;font-size:11px;fill:#555}")


def _power(number):
    return str(2 ** number) if number >= 0 else f"1/{2 ** -number}"


def bars(title, subtitle, series, groups):
    """`groups`: label to {name of series: ratio}. Returns the text of the file."""
    logs = [math.log2(value) for values in groups.values() for value in values.values()]
    low = max(-FARTHEST, min(-1, math.floor(min(logs))))
    high = min(FARTHEST, max(1, math.ceil(max(logs))))
    height = HEAD + sum(len(values) * BAR + GAP for values in groups.values()) + 30
    width = LABELS + PLOT + MARGIN

    def x(log):
        return LABELS + PLOT * (min(max(log, low), high) - low) / (high - low)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
           f"<style>{STYLE}</style>", f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text class="title" x="12" y="24">{html.escape(title)}</text>',
           f'<text class="small" x="12" y="42">{html.escape(subtitle)}</text>']
    at = 12
    for name in series:
        out.append(f'<rect x="{at}" y="54" width="12" height="12" fill="{COLOURS.get(name, OTHER)}"/>'
                   f'<text x="{at + 17}" y="64">{html.escape(name)}</text>')
        at += 34 + 7 * len(name)
    bottom = height - 24
    for power in range(low, high + 1):
        stroke = "#222" if power == 0 else "#ddd"
        out.append(f'<line x1="{x(power):.1f}" x2="{x(power):.1f}" y1="{HEAD - 8}" y2="{bottom}" stroke="{stroke}"/>'
                   f'<text class="tick" x="{x(power):.1f}" y="{bottom + 15}">{_power(power)}</text>')
    y = HEAD
    for label, values in groups.items():
        middle = y + len(values) * BAR / 2 + 4
        out.append(f'<text class="work" x="{LABELS - 10}" y="{middle:.1f}">{html.escape(label)}</text>')
        for name in series:
            if name not in values:
                continue
            log = math.log2(values[name])
            left, right = sorted((x(0), x(log)))
            out.append(f'<rect x="{left:.1f}" y="{y}" width="{max(right - left, 1):.1f}" height="{BAR - 2}" '
                       f'fill="{COLOURS.get(name, OTHER)}"/>')
            # At the bar's end; a bar to the left that reaches the labels has it on the other side.
            inside = log < 0 and left - LABELS < 34
            place, anchor = (right + 4, "start") if log >= 0 or inside else (left - 4, "end")
            out.append(f'<text class="small" x="{place:.1f}" y="{y + 10}" text-anchor="{anchor}">{values[name]:.2f}</text>')
            y += BAR
        y += GAP
    out.append("</svg>\n")
    return "\n".join(out)
