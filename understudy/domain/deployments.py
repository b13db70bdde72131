"""The deployment of a model name: champion, challengers, shadows, fallbacks, in revisions."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum, StrEnum
from math import isfinite
from typing import Any

from understudy.domain.canonical import digest_of
from understudy.domain.errors import Fault, InvalidInputError, repeats
from understudy.domain.features import FeatureDtype
from understudy.domain.margins import Costs, Margin, Margins, Measure, idle_margins
from understudy.domain.placement import label_faults
from understudy.domain.request_contract import RequestContract
from understudy.domain.versions import checked_model_name

FULL_SHARE_BP = 10_000  # basis points in the whole


class Arm(StrEnum):
    """The part a version plays in a deployment."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    SHADOW = "shadow"


class DegradationLevel(IntEnum):
    """The levels of the ladder; each needs fewer parts of the system than the one before."""

    FULL = 0
    FEATURES = 1  # the model, with defaulted, stale or last-known features
    FALLBACK = 2  # the fallback version, or the entity's last score
    CONSTANT = 3  # the declared constant


class DegradationReason(StrEnum):
    """The reason for an answer that is not at level FULL, in responses, logs and metrics."""

    FEATURES_STALE = "features_stale"
    FEATURES_DEFAULTED = "features_defaulted"
    FEATURES_LAST_KNOWN = "features_last_known"
    FEATURES_MISSING = "features_missing"
    FEATURE_STORE_UNAVAILABLE = "feature_store_unavailable"
    FEATURE_STORE_ANSWERED_IN_PART = "feature_store_answered_in_part"
    SCORER_UNAVAILABLE = "scorer_unavailable"
    SCORER_FAILED = "scorer_failed"
    DEADLINE_NEAR = "deadline_near"
    SCORE_NOT_FINITE = "score_not_finite"
    DRILL = "drill"
    FALLBACK_VERSION = "fallback_version"
    LAST_SCORE = "last_score"
    CONSTANT_SCORE = "constant_score"


class RuleOperator(StrEnum):
    GREATER = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="
    EQUAL = "=="
    UNEQUAL = "!="


@dataclass(frozen=True, slots=True)
class Challenger:
    version: int
    weight_bp: int  # 0: paused, that is, loaded without live traffic


@dataclass(frozen=True, slots=True)
class Shadow:
    version: int
    sample_bp: int
    refuses_defaults: bool = False  # rows for which it would read a default are not mirrored
    margins: Margins | None = None  # by which it will be judged; None: not written down


@dataclass(frozen=True, slots=True)
class Fallback:
    """The answers used if the model fails, in the order in which they are tried; None for unused."""

    version: int | None = None
    last_score_max_age_s: float | None = None  # the entity's last score, while younger than this
    constant_score: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that decides before the model: `feature operator value` gives `action` and `score`."""

    name: str
    feature: str
    operator: RuleOperator
    value: float
    action: str
    score: float
    request_dtype: FeatureDtype | None = None  # of a feature that the rule itself declares


@dataclass(frozen=True, slots=True)
class Deployment:
    """One revision, replaced as a whole and never edited.

    The champion's own version may also be a challenger or a shadow: that is an A/A test.
    The digest excludes the number and the request contract, which no rollout changes: so a rollback
    has the digest of the revision that it restores.

    Raises:
        InvalidInputError: on construction, if the revision contradicts itself; all faults reported.
    """

    model: str
    revision: int
    champion: int
    salt: str
    challengers: tuple[Challenger, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    fallback: Fallback = field(default_factory=Fallback)
    decision_threshold: float | None = None
    rules: tuple[Rule, ...] = ()
    host_labels: tuple[str, ...] = ()  # that a host must have to run the model; (): any host
    standby: tuple[int, ...] = ()  # kept warm for a rollback, without traffic
    contract: RequestContract = field(default_factory=RequestContract)
    blocked: tuple[int, ...] = ()  # of the model, declared or not; they take no part

    def __post_init__(self) -> None:
        checked_model_name(self.model)
        if faults := list(_faults(self)):
            raise InvalidInputError(faults)

    @property
    def digest(self) -> str:
        """A digest of the content; a rollback has that of the revision it restores."""
        return digest_of("deployment/4", content_of(self))

    def numbered(self, revision: int) -> "Deployment":
        return replace(self, revision=revision)


def content_of(deployment: Deployment) -> dict[str, Any]:
    """Return the content of a revision as JSON values, without number, standby, contract and blocks."""
    return {
        "model": deployment.model,
        "champion": deployment.champion,
        "challengers": [asdict(challenger) for challenger in deployment.challengers],
        "shadows": [asdict(shadow) for shadow in deployment.shadows],
        "fallback": asdict(deployment.fallback),
        "salt": deployment.salt,
        "decision_threshold": deployment.decision_threshold,
        "rules": [asdict(rule) for rule in deployment.rules],
        "host_labels": list(deployment.host_labels),
    }


def deployment_from_content(
    content: dict[str, Any], revision: int, contract: RequestContract
) -> Deployment:
    """Return the revision that `content_of` wrote; canonical JSON writes 1.0 as 1.

    Raises:
        InvalidInputError: the content contradicts itself.
    """
    return Deployment(
        model=content["model"],
        revision=revision,
        champion=content["champion"],
        challengers=tuple(Challenger(**each) for each in content["challengers"]),
        shadows=tuple(_shadow_from(**each) for each in content["shadows"]),
        fallback=_fallback_from(**content["fallback"]),
        salt=content["salt"],
        decision_threshold=_float_or_none(content["decision_threshold"]),
        rules=tuple(_rule_from(**each) for each in content["rules"]),
        host_labels=tuple(content["host_labels"]),
        contract=contract,
    )


def _shadow_from(*, margins: dict[str, Any] | None, **others: Any) -> Shadow:
    return Shadow(margins=None if margins is None else _margins_from(**margins), **others)


def _margins_from(
    *, primary: str, each: list[dict[str, Any]], costs: dict[str, float] | None
) -> Margins:
    return Margins(
        Measure(primary),
        tuple(Margin(Measure(margin["measure"]), float(margin["size"])) for margin in each),
        None if costs is None else Costs(**{name: float(cost) for name, cost in costs.items()}),
    )


def _fallback_from(
    *, version: int | None, last_score_max_age_s: float | None, constant_score: float | None
) -> Fallback:
    return Fallback(
        version=version,
        last_score_max_age_s=_float_or_none(last_score_max_age_s),
        constant_score=_float_or_none(constant_score),
    )


def _rule_from(
    *, value: float, operator: str, score: float, request_dtype: str | None, **texts: str
) -> Rule:
    return Rule(
        value=float(value),
        operator=RuleOperator(operator),
        score=float(score),
        request_dtype=None if request_dtype is None else FeatureDtype(request_dtype),
        **texts,
    )


def _float_or_none(value: float | None) -> float | None:
    return None if value is None else float(value)


def answering_versions(deployment: Deployment) -> tuple[int, ...]:
    """Return the version numbers whose scores callers may receive."""
    answering = {deployment.champion, *(c.version for c in deployment.challengers)}
    if deployment.fallback.version is not None:
        answering.add(deployment.fallback.version)
    return tuple(sorted(answering))


def versions_in_use(deployment: Deployment) -> tuple[int, ...]:
    """Return the version numbers that take live or shadow traffic, or serve as a fallback."""
    shadows = (shadow.version for shadow in deployment.shadows)
    return tuple(sorted({*answering_versions(deployment), *shadows}))


def versions_to_run(deployment: Deployment) -> tuple[int, ...]:
    """Return the version numbers that need a scorer: those in use or on standby, and not blocked."""
    needed = {*versions_in_use(deployment), *deployment.standby}
    return tuple(sorted(needed.difference(deployment.blocked)))


def _faults(deployment: Deployment) -> Iterator[Fault]:
    if deployment.champion < 1:
        yield Fault("champion", str(deployment.champion), "a version number from 1")
    if not deployment.salt:
        yield Fault("salt", "''", "a string that is not empty")
    yield from _weight_faults(deployment)
    yield from _shadow_faults(deployment)
    yield from _fallback_faults(deployment.fallback)
    threshold = deployment.decision_threshold
    if threshold is not None and not isfinite(threshold):
        yield Fault("decision_threshold", str(threshold), "a finite number")
    yield from _rule_faults(deployment.rules)
    yield from repeats("rules", (rule.name for rule in deployment.rules))
    yield from label_faults("host_labels", deployment.host_labels)


def _weight_faults(deployment: Deployment) -> Iterator[Fault]:
    for index, challenger in enumerate(deployment.challengers):
        path = f"challengers[{index}]"
        if not 0 <= challenger.weight_bp <= FULL_SHARE_BP:
            yield Fault(f"{path}.weight_bp", str(challenger.weight_bp), "0 to 10000 basis points")
    yield from repeats("challengers", (c.version for c in deployment.challengers))
    total_bp = sum(challenger.weight_bp for challenger in deployment.challengers)
    if total_bp > FULL_SHARE_BP:
        yield Fault("challengers", f"{total_bp} basis points together", "at most 10000")


def _shadow_faults(deployment: Deployment) -> Iterator[Fault]:
    for index, shadow in enumerate(deployment.shadows):
        path = f"shadows[{index}]"
        if not 1 <= shadow.sample_bp <= FULL_SHARE_BP:
            yield Fault(f"{path}.sample_bp", str(shadow.sample_bp), "1 to 10000 basis points")
        if shadow.margins is not None:
            idle = idle_margins(
                shadow.margins,
                has_threshold=deployment.decision_threshold is not None,
                has_costs=shadow.margins.costs is not None,
            )
            yield from (
                Fault(f"{path}.{fault.field}", fault.read, fault.accepted) for fault in idle
            )
    yield from repeats("shadows", (s.version for s in deployment.shadows))


def _fallback_faults(fallback: Fallback) -> Iterator[Fault]:
    constant = fallback.constant_score
    if constant is not None and not isfinite(constant):
        yield Fault("fallback.constant_score", str(constant), "a finite number")
    max_age_s = fallback.last_score_max_age_s
    if max_age_s is not None and not (isfinite(max_age_s) and max_age_s > 0):
        yield Fault("fallback.last_score_max_age_s", str(max_age_s), "seconds above 0")


def _rule_faults(rules: Iterable[Rule]) -> Iterator[Fault]:
    for index, rule in enumerate(rules):
        for name, number in (("value", rule.value), ("score", rule.score)):
            if not isfinite(number):
                yield Fault(f"rules[{index}].{name}", str(number), "a finite number")
