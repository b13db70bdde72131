"""Figures as SVG: lines, bars and dots over two axes. Pure; equal charts give equal bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import Literal

WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 46
_TICKS = 5

Point = tuple[float, float]
Kind = Literal["line", "bars", "dots", "area", "whiskers"]
Role = Literal["champion", "shadow", "neutral"]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one colour.

    Bars stand on 0 and are as wide as the distance of their points. An area has the points of its
    outline. Whiskers join each two points.
    """

    label: str
    points: Sequence[Point]
    kind: Kind = "line"
    role: Role = "neutral"

    @classmethod
    def band(cls, between: Sequence[tuple[float, float, float]], role: Role) -> "Series":
        """Return the area between a lower and an upper value at each place."""
        upper = [(x, high) for x, _, high in between]
        lower = [(x, low) for x, low, _ in reversed(between)]
        return cls("band", [*upper, *lower], kind="area", role=role)


@dataclass(frozen=True, slots=True)
class Mark:
    """A dashed line across the chart, at a value of one axis."""

    at: float
    label: str
    is_horizontal: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    x_range: tuple[float, float] | None = None  # None: that of points and marks
    y_range: tuple[float, float] | None = None


def svg_of(chart: Chart) -> str:
    """Return the chart as an <svg> element that scales to its container."""
    across = [x for series in chart.series for x, _ in series.points]
    up = [y for series in chart.series for _, y in series.points]
    for mark in chart.marks:
        (up if mark.is_horizontal else across).append(mark.at)
    scale = _Scale(_range(chart.x_range, across), _range(chart.y_range, up))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">',
        *_axes(chart, scale),
        *(element for series in chart.series for element in _drawn(series, scale)),
        *(element for mark in chart.marks for element in _marked(mark, scale)),
        "</svg>",
    ]
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    x_axis: tuple[float, float]
    y_axis: tuple[float, float]

    def x(self, value: float) -> float:
        low, high = self.x_axis
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_axis
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)


def _range(given: tuple[float, float] | None, values: Sequence[float]) -> tuple[float, float]:
    low, high = given or (min(values, default=0.0), max(values, default=1.0))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def ticks(low: float, high: float) -> list[float]:
    """Return three to eleven round numbers from `low` to `high`, which is larger."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough)
    first = -(-low // step)
    count = int((high - first * step) / step + 1e-9) + 1
    return [round((first + place) * step, 12) for place in range(count)]


def _axes(chart: Chart, scale: _Scale) -> Iterable[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for tick in ticks(*scale.x_axis):
        x = scale.x(tick)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>'
    for tick in ticks(*scale.y_axis):
        y = scale.y(tick)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{_LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{tick:g}</text>'
    yield _text((_LEFT + right) / 2, HEIGHT - 8, chart.x_label)
    middle = (_TOP + bottom) / 2
    turned = f'transform="rotate(-90 12 {middle:.1f})"'
    yield f'<text x="12" y="{middle:.1f}" text-anchor="middle" {turned}>{escape(chart.y_label)}</text>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _drawn(series: Series, scale: _Scale) -> Iterable[str]:
    places = [(scale.x(x), scale.y(y)) for x, y in series.points]
    if series.kind == "line":
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline class="line {series.role}" points="{path}"/>'
    elif series.kind == "area":
        outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polygon class="area {series.role}" points="{outline}"/>'
    elif series.kind == "whiskers":
        for (x, low), (_, high) in zip(places[::2], places[1::2], strict=True):
            yield (
                f'<line class="whisker {series.role}" x1="{x:.1f}" x2="{x:.1f}" '
                f'y1="{low:.1f}" y2="{high:.1f}"/>'
            )
    elif series.kind == "dots":
        for x, y in places:
            yield f'<circle class="dot {series.role}" cx="{x:.1f}" cy="{y:.1f}" r="1.6"/>'
    else:
        width = places[1][0] - places[0][0] if len(places) > 1 else 20.0
        floor_y = scale.y(max(0.0, scale.y_axis[0]))
        for x, y in places:
            yield (
                f'<rect class="bar {series.role}" x="{x - width / 2:.1f}" y="{y:.1f}" '
                f'width="{max(width - 1, 1):.1f}" height="{max(floor_y - y, 0):.1f}"/>'
            )


def _marked(mark: Mark, scale: _Scale) -> Iterable[str]:
    if mark.is_horizontal:
        y = scale.y(mark.at)
        ends = f'x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        place = f'x="{WIDTH - _RIGHT - 3}" y="{y - 3:.1f}" text-anchor="end"'
    else:
        x = scale.x(mark.at)
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"'
        place = f'x="{x + 3:.1f}" y="{_TOP + 10}"'
    yield f'<line class="mark" {ends}/>'
    yield f'<text class="tick" {place}>{escape(mark.label)}</text>'
