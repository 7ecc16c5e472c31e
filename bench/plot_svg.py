"""Small plots as SVG: a few panels side by side, a line for each broker, linear or logarithmic axes, or bars over names.

Colours and greys are of a middle brightness, so that a plot reads on a light page and on a dark one. A point that is not to be
relied on is hollow. Used by bench/curves.py; standard library only.
"""
import math
from xml.sax.saxutils import escape

PANEL_WIDTH, PANEL_HEIGHT = 310, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 54, 44
COLOURS = ("#2b8ae2", "#e8590c", "#5c940d", "#9c36b5")
GREY, GRID = "#808080", "#808080"
LOG_FROM = 20  # largest over smallest, from which on an axis of figures is logarithmic


def short(value):
    """1200 is 1.2k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


class Axis:
    """From numbers to 0..1, and where its ticks are."""

    def __init__(self, values, log, from_zero=False):
        low, high = min(values), max(values)
        self.log = log
        if log:
            self.low, self.high = math.log10(low), math.log10(high)
            margin = 0 if from_zero is None else 0.08 * max(self.high - self.low, 0.3)
            self.low, self.high = self.low - margin, self.high + margin
            self.ticks = self._log_ticks()
        else:
            self.low, self.high = (0 if from_zero else low), high * (1.08 if from_zero else 1)
            if self.high <= self.low:
                self.high = self.low + 1
            self.ticks = self._even_ticks()

    def _log_ticks(self):
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        steps = (1,) if self.high - self.low > 1.5 else (1, 2, 5)
        return [step * 10.0**d for d in decades for step in steps if self.low <= math.log10(step * 10.0**d) <= self.high]

    def _even_ticks(self):
        rough = (self.high - self.low) / 4
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough * 0.999)
        first = math.ceil(self.low / step)
        return [step * i for i in range(first, first + 12) if step * i <= self.high * 1.0001]

    def at(self, value):
        value = math.log10(value) if self.log else value
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def text(x, y, said, anchor="middle", size=11, bold=False):
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{weight}>{escape(said)}</text>'


def panel(left, title, x_title, series, x_log, names=None):
    """One panel. series: (colour, [(x, y, is_hollow)]); with names x counts them and there are bars."""
    x0, x1 = left + LEFT, left + PANEL_WIDTH - RIGHT
    y0, y1 = TOP + PANEL_HEIGHT - BOTTOM, TOP
    points = [point for _, line in series for point in line]
    out = [text(x0 - 34, TOP - 10, title, "start", 12, True), text((x0 + x1) / 2, y0 + 34, x_title)]
    if not points:
        return out
    ys = [y for _, y, _ in points]
    log_y = not names and min(ys) > 0 and max(ys) / min(ys) >= LOG_FROM
    y_axis = Axis(ys, log_y, from_zero=not log_y)
    for tick in y_axis.ticks:
        y = y0 - y_axis.at(tick) * (y0 - y1)
        out.append(f'<path d="M{x0} {y:.1f}H{x1}" stroke="{GRID}" stroke-opacity=".3"/>')
        out.append(text(x0 - 6, y + 4, short(tick), "end"))
    if names:
        return out + bars(x0, x1, y0, y1, y_axis, series, names)
    x_axis = Axis([x for x, _, _ in points], x_log, from_zero=None)
    for tick in x_axis.ticks:
        x = x0 + x_axis.at(tick) * (x1 - x0)
        out.append(f'<path d="M{x:.1f} {y0}V{y1}" stroke="{GRID}" stroke-opacity=".15"/>')
        out.append(text(x, y0 + 16, short(tick)))
    out.append(f'<path d="M{x0} {y0}H{x1}" stroke="{GREY}"/>')
    for colour, line in series:
        seen = [(x0 + x_axis.at(x) * (x1 - x0), y0 - y_axis.at(y) * (y0 - y1), hollow) for x, y, hollow in sorted(line)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in seen)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>')
        if len(seen) <= 30:
            for x, y, hollow in seen:
                fill = "none" if hollow else colour
                out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>')
    return out


def bars(x0, x1, y0, y1, y_axis, series, names):
    out = []
    group = (x1 - x0) / len(names)
    width = group * 0.76 / max(len(series), 1)
    for i, name in enumerate(names):
        out.append(text(x0 + (i + 0.5) * group, y0 + 16, name))
    for turn, (colour, line) in enumerate(series):
        for x, y, hollow in line:
            left = x0 + (x + 0.12) * group + turn * width
            height = y_axis.at(y) * (y0 - y1)
            fill = "none" if hollow else colour
            out.append(f'<rect x="{left:.1f}" y="{y0 - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}" '
                       f'fill="{fill}" stroke="{colour}"/>')
    out.append(f'<path d="M{x0} {y0}H{x1}" stroke="{GREY}"/>')
    return out


def figure(panels, x_title, brokers, x_log=False, names=None):
    """The text of an SVG file. panels: (title, {broker: [(x, y, is_hollow)]}); a broker has the same colour in all."""
    width, height = PANEL_WIDTH * len(panels), TOP + PANEL_HEIGHT
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           f'font-family="system-ui, sans-serif" fill="{GREY}">']
    left = LEFT - 34
    for broker, colour in zip(brokers, COLOURS):
        out.append(f'<rect x="{left}" y="10" width="14" height="10" rx="2" fill="{colour}"/>')
        out.append(text(left + 20, 19, broker, "start", 12))
        left += 34 + 7 * len(broker)
    if any(hollow for _, lines in panels for line in lines.values() for _, _, hollow in line):
        out.append(text(left, 19, "hollow: VOID, or others disturbed it", "start"))
    for i, (title, lines) in enumerate(panels):
        series = [(colour, lines[broker]) for broker, colour in zip(brokers, COLOURS) if lines.get(broker)]
        out += panel(i * PANEL_WIDTH, title, x_title, series, x_log, names)
    return "\n".join(out) + "\n</svg>\n"
