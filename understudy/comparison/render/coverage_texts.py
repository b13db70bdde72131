"""Coverage, inputs and noise of a comparison as rows of text."""

from understudy.comparison.evidence.rows import OutcomeCensus
from understudy.comparison.render.number_texts import interval_text, number_text, optional_text
from understudy.comparison.sections.coverage import Coverage
from understudy.comparison.sections.noise import Inputs, Noise
from understudy.statistics.loss import LossDependence

Facts = list[tuple[str, object]]


def coverage_facts(coverage: Coverage) -> Facts:
    """Return the rows by their fate, and the reasons against a conclusion."""
    share = "none was sent" if coverage.kept_share is None else f"{coverage.kept_share:.2%}"
    facts: Facts = [
        (
            "answered by the shadow",
            f"{coverage.kept} of {coverage.sent} rows that it was to score ({share})",
        ),
        ("lost by score", _loss_text(coverage.by_score)),
        ("lost by outcome", _loss_text(coverage.by_outcome)),
        ("effective units", f"{coverage.effective_units:.1f}"),
    ]
    facts += [("offered", _causes_text(coverage))] if coverage.causes else []
    facts += [("REFUSED", reason) for reason in coverage.refusals]
    facts += [("warning", reason) for reason in coverage.warnings]
    return facts


def _causes_text(coverage: Coverage) -> str:
    parts = [
        f"{each.rows} {each.status} (champion's mean score {optional_text(each.mean_score)})"
        for each in coverage.causes
    ]
    offered = sum(each.offered for each in coverage.periods)
    degraded = sum(each.degraded for each in coverage.periods)
    return f"{offered} rows, {degraded} of degraded answers: {', '.join(parts)}"


def noise_facts(inputs: Inputs, noise: Noise | None) -> Facts:
    """Return the identity of the inputs, and the differences of the champion from itself."""
    equal = number_text(inputs.equal)
    if inputs.equal.estimate is not None:
        absent = f"{inputs.absent} without an answer in the score log"
        equal += f" of {inputs.compared - inputs.absent} rows compared; {absent}"
    facts: Facts = [("same answer in both logs", equal)]
    if noise is None:
        none = "unknown: the log has no shadow of the champion's own version in this period"
        return [*facts, ("noise of batching and runtime", none)]
    distances = f"p50 {noise.median:.3g}, p99 {noise.p99:.3g}, largest {noise.largest:.3g}"
    facts += [
        ("noise of batching and runtime", f"{noise.rows} rows, |difference| {distances}"),
        ("noise, mean difference", number_text(noise.mean, sign="+")),
    ]
    if noise.flips is not None:
        facts.append(("noise, flips", number_text(noise.flips)))
    return facts


def outcomes_text(outcomes: OutcomeCensus, *, of: str) -> str:
    """Return the outcomes of rows, named `of`, with those that could not be used."""
    return (
        f"{outcomes.matched:,} {of} with, {outcomes.unmatched:,} without "
        f"({outcomes.immature} of them too young); "
        f"{outcomes.duplicates} repeated, {outcomes.conflicting} conflicting, "
        f"{outcomes.observed_before_answer} observed before the answer, "
        f"{outcomes.not_binary} not 0 or 1, {outcomes.of_candidates} of candidates, "
        f"{outcomes.of_several_units} of several units"
    )


def _loss_text(loss: LossDependence) -> str:
    chance = loss.chance
    found = interval_text(chance.estimate, chance.lower, chance.upper)
    if found is None:
        return chance.why
    return f"chance {found} that a lost row has the higher one; 0.5 if neutral"
