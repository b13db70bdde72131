"""The file that declares a deployment: read for `registry apply`, written by `registry status`."""

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from registry.cli.arguments import parse_share
from understudy.control.wire import deployment_from_wire
from understudy.domain.changes import Apply
from understudy.domain.deployments import (
    Challenger,
    Deployment,
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
)
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import FeatureDtype
from understudy.domain.margins import margins_text, read_margins
from understudy.domain.versions import GREATEST_VERSION, checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.strict_yaml import read_yaml
from understudy.runtime.validation import faults_of

_CONTEXT_LINES = 2  # around each difference


def _share_bp(text: object) -> int:
    try:
        return parse_share(text if isinstance(text, str) else repr(text), "share")
    except InvalidInputError as error:
        raise ValueError(error.faults[0].accepted) from error


_Share = Annotated[int, BeforeValidator(_share_bp)]
_Number = Annotated[int, Field(ge=1, le=GREATEST_VERSION)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Text(BaseModel):
    """A part of the file. Strict, so that `true` is no number and `7` no name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _ChallengerText(_Text):
    version: _Number
    weight: _Share


class _ShadowText(_Text):
    version: _Number
    sample: _Share
    refuses_defaults: bool = False
    margins: dict[str, Any] | None = None  # read by `read_margins`


class _FallbackText(_Text):
    version: _Number | None = None
    last_score_max_age_s: _Finite | None = None
    constant_score: _Finite | None = None


class _RuleText(_Text):
    """One rule: `{name, feature, operator, value, action, score, request_dtype}`."""

    name: str
    feature: str
    operator: Annotated[RuleOperator, Field(strict=False)]
    value: _Finite
    action: str
    score: _Finite
    request_dtype: Annotated[FeatureDtype, Field(strict=False)] | None = None

    @property
    def rule(self) -> Rule:
        return Rule(**dict(self))


class _DeclarationText(_Text):
    model: str
    champion: _Number
    # Lists of YAML are no tuples, which strictness would insist on.
    challengers: Annotated[tuple[_ChallengerText, ...], Field(strict=False)] = ()
    shadows: Annotated[tuple[_ShadowText, ...], Field(strict=False)] = ()
    fallback: _FallbackText = _FallbackText()
    decision_threshold: _Finite | None = None
    rules: Annotated[tuple[_RuleText, ...], Field(strict=False)] = ()
    host_labels: Annotated[tuple[str, ...], Field(strict=False)] = ()


def read_declaration(file: Path, option: str = "--file") -> tuple[str, Apply]:
    """Return the model's name and its declared parts.

    Raises:
        InvalidInputError: the file cannot be read, or has faults; all of them reported.
    """
    try:
        text = _DeclarationText.model_validate(read_yaml(file, option))
    except ValidationError as error:
        raise InvalidInputError(faults_of(error, root=file.name)) from error
    return checked_model_name(text.model), Apply(
        champion=text.champion,
        challengers=tuple(Challenger(c.version, c.weight) for c in text.challengers),
        shadows=tuple(_shadow(at, each) for at, each in enumerate(text.shadows)),
        fallback=Fallback(**dict(text.fallback)),
        decision_threshold=text.decision_threshold,
        rules=tuple(each.rule for each in text.rules),
        host_labels=text.host_labels,
    )


def _shadow(at: int, text: _ShadowText) -> Shadow:
    try:
        margins = None if text.margins is None else read_margins(text.margins)
    except InvalidInputError as error:
        path = f"shadows[{at}].margins"
        faults = [Fault(f"{path}.{f.field}", f.read, f.accepted) for f in error.faults]
        raise InvalidInputError(faults) from error
    return Shadow(text.version, text.sample, text.refuses_defaults, margins)


def read_rules(file: Path, option: str = "--file") -> tuple[Rule, ...]:
    """Return the rules of a file that has nothing else.

    Raises:
        InvalidInputError: the file cannot be read, or has faults; all of them reported.
    """
    try:
        texts = TypeAdapter(tuple[_RuleText, ...]).validate_python(read_yaml(file, option))
    except ValidationError as error:
        raise InvalidInputError(faults_of(error, root="rules")) from error
    return tuple(each.rule for each in texts)


def declaration_text(deployment: Deployment) -> str:
    """Return the file that declares what is declared now; absent parts are named."""
    header = (
        f"# {deployment.model} as declared in revision {deployment.revision}; "
        "`understudy registry apply --file FILE` declares it again\n"
    )
    return header + yaml.safe_dump(_content_of(deployment), sort_keys=False)


def differences(before: pb.Deployment | None, after: pb.Deployment) -> Iterator[str]:
    """Yield the lines in which two revisions differ, as a unified diff; none if they are equal."""
    earlier = [] if before is None else _lines_of(before)
    yield from unified_diff(earlier, _lines_of(after), n=_CONTEXT_LINES, lineterm="")


def _lines_of(message: pb.Deployment) -> list[str]:
    content = _content_of(deployment_from_wire(message))
    return yaml.safe_dump(content, sort_keys=False).splitlines()


def _content_of(deployment: Deployment) -> dict[str, Any]:
    fallback = deployment.fallback
    return {
        "model": deployment.model,
        "champion": deployment.champion,
        "challengers": [
            {"version": each.version, "weight": _shown(each.weight_bp)}
            for each in deployment.challengers
        ],
        "shadows": [
            {
                "version": each.version,
                "sample": _shown(each.sample_bp),
                "refuses_defaults": each.refuses_defaults,
                "margins": None if each.margins is None else margins_text(each.margins),
            }
            for each in deployment.shadows
        ],
        "fallback": {
            "version": fallback.version,
            "last_score_max_age_s": fallback.last_score_max_age_s,
            "constant_score": fallback.constant_score,
        },
        "decision_threshold": deployment.decision_threshold,
        "rules": [_rule_content(each) for each in deployment.rules],
        "host_labels": list(deployment.host_labels),
    }


def _rule_content(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "feature": rule.feature,
        "operator": rule.operator.value,
        "value": rule.value,
        "action": rule.action,
        "score": rule.score,
        "request_dtype": None if rule.request_dtype is None else rule.request_dtype.value,
    }


def _shown(share_bp: int) -> str:
    return f"{share_bp / 100:g}%"
