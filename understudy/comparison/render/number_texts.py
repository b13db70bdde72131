"""Numbers with their intervals, as texts."""

from understudy.statistics.distributions import DistributionShift
from understudy.statistics.measures import Number, PairedMeasure

Row = tuple[str, str, str, str]  # name, answered, shadow, difference


def number_text(number: Number, sign: str = "") -> str:
    """Return the estimate with its interval, or with the reason for which it has none."""
    found = interval_text(number.estimate, number.lower, number.upper, sign=sign)
    if found is not None:
        return found
    if number.estimate is None:
        return number.why
    return f"{number.estimate:{sign}.6f} (no interval: {number.why})"


def interval_text(
    estimate: float | None, lower: float | None, upper: float | None, sign: str = ""
) -> str | None:
    """Return "estimate [lower, upper]"; None if one of them is unknown."""
    if estimate is None or lower is None or upper is None:
        return None
    return f"{estimate:{sign}.6f} [{lower:{sign}.6f}, {upper:{sign}.6f}]"


def optional_text(value: float | None, otherwise: str = "undefined") -> str:
    return otherwise if value is None else f"{value:.6f}"


def threshold_text(threshold: float, *, acts: bool) -> str:
    return f"{threshold:g}, " + ("which acts" if acts else "asked for")


def distances_text(shift: DistributionShift) -> str:
    """Return both distances of distributions, each beside its value by chance."""
    return (
        f"KS {shift.ks_distance:.4f}, PSI {shift.psi:.4f} (independent samples of one "
        f"distribution: up to {shift.ks_by_chance:.4f} and {shift.psi_by_chance:.4f})"
    )


def measure_row(name: str, measure: PairedMeasure) -> Row:
    return (
        name,
        number_text(measure.champion),
        number_text(measure.shadow),
        number_text(measure.difference, sign="+"),
    )
