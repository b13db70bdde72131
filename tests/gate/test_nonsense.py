"""A field that is filled with a value of its form that says nothing is refused by its name."""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gate.test_gate import WAIVER, fields_of, judged
from tests.registry.samples import ACTOR, trained
from understudy.gate.bounds import largest_tolerance
from understudy.provenance.meaning import (
    is_no_sentence,
    is_same_person,
    is_typed_digest,
    says_nothing,
)

HEX = "0123456789abcdef"
TEXTS = (" ", "x", "todo, tbd")
DIGESTS = ("1" * 64, "ab" * 32, HEX * 4, sha256(b"").hexdigest())
NUMBERS = (1e300, -1e300)
GIT = {
    "kind": "git",
    "repository": "https://example.org/risk.git",
    "commit": sha256(b"a commit").hexdigest()[:40],
    "dirty": False,
}
# Values for which every value of the type has a meaning.
FREE = {
    "artifact.joins_rows": "a yes or no",
    "code.source.dirty": "a yes or no",
    "code.command_line": "arguments may be blank; not all of them",
    "parameters.values": "the estimator's own; covered by a digest over all",
    "features.columns[].default": "as in the view, which the gate compares",
}


def rich_record() -> dict[str, Any]:
    """Return a record that passes, with every alternative that a single record can have."""
    record = deepcopy(trained().record)
    record["code"]["source"] = dict(GIT)
    record["environment"]["image_digest"] = f"sha256:{sha256(b'an image').hexdigest()}"
    record["policy"]["licence"] = dict(WAIVER)
    other = deepcopy(record["data"]["training"])
    record["data"]["others"] = [{**other, "content": "snapshot:8124"}]
    record["parent"]["conversion"]["columns_with_missing"] = ["patient@1:f0"]
    return record


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        steps = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in steps:
            yield from leaves(inner, (*path, step))
    else:
        yield path, value


def dotted(path: tuple[Any, ...]) -> str:
    text = str(path[0])
    for step in path[1:]:
        text += "[]" if isinstance(step, int) else f".{step}"
    return text


def nonsense_for(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        digest = value.rpartition(":")[2]
        if len(digest) in {40, 64} and not {*digest} - {*HEX}:
            kind = value.removesuffix(digest)
            return (*TEXTS, *(f"{kind}{each[: len(digest)]}" for each in DIGESTS[:3]))
        return TEXTS
    return () if isinstance(value, bool) or value is None else NUMBERS


def test_the_record_with_every_alternative_passes() -> None:
    assert judged(rich_record()).findings == ()


def test_no_field_accepts_a_value_that_says_nothing() -> None:
    record = rich_record()
    accepted, seen = [], set()
    for path, value in leaves(record):
        name = dotted(path)
        if name in seen or any(
            name == free or name.startswith((f"{free}.", f"{free}[")) for free in FREE
        ):
            continue
        seen.add(name)
        for nonsense in nonsense_for(value):
            changed = deepcopy(record)
            place: Any = changed
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = nonsense
            group = name.partition(".")[0]
            if not any(field.startswith(group) for field in fields_of(judged(changed))):
                accepted.append((name, nonsense))

    assert accepted == []


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("artifact", "golden", "tolerance"), 0.5, "artifact.golden.tolerance"),
        (("parent", "conversion", "tolerance"), 1.0, "parent.conversion.tolerance"),
        (("policy", "revalidate_by"), "9999-12-31", "policy.revalidate_by"),
        (("policy", "licence", "expires_on"), "9999-12-31", "policy.licence.expires_on"),
        (("policy", "licence", "approved_by"), f"A. <{ACTOR}>", "policy.licence.approved_by"),
        (("people", "approver"), "Ada+ci@LAB", "people.approver"),
        (("run", "started_at"), "1999-01-01T00:00:00Z", "run.ended_at"),
        (
            ("data", "training", "window", "from"),
            "0001-01-01T00:00:00Z",
            "data.training.window.from",
        ),
        (("evaluation", "metrics", 0, "n"), 1, "evaluation.metrics[0].n"),
        (
            ("evaluation", "metrics", 0, "interval"),
            {"low": 0.0, "high": 1.0, "level": 0.95, "method": "bootstrap"},
            "evaluation.metrics[0].interval",
        ),
        (
            ("evaluation", "metrics", 0, "interval", "level"),
            0.51,
            "evaluation.metrics[0].interval.level",
        ),
        (("evaluation", "threshold"), None, "evaluation.threshold"),
        (("policy", "decision_threshold"), None, "policy.decision_threshold"),
        (("code", "command_line"), ["", " "], "code.command_line"),
        (("parameters", "values"), {"C": None}, "parameters.values"),
        (("seeds", "values"), {"": 7}, "seeds.values"),
        (("environment", "packages", "numpy"), "newest", "environment.packages.numpy"),
    ],
)
def test_a_value_without_meaning_is_named(path: tuple[Any, ...], value: Any, field: str) -> None:
    record = rich_record()
    place: Any = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert field in fields_of(judged(record))


@pytest.mark.parametrize("metric", ["mean_absolute_error", "ndcg@10", "log_loss", "accuracy"])
def test_models_without_a_threshold_invent_none(metric: str) -> None:
    record = rich_record()
    one = {**record["evaluation"]["metrics"][0], "name": metric}
    record["evaluation"] |= {"metrics": [one], "threshold": None}
    record["policy"]["decision_threshold"] = None

    assert judged(record).findings == ()


def test_a_run_may_have_a_number_and_a_waiver_a_date_ahead() -> None:
    record = rich_record()
    record["run"]["id"] = "7"
    later = datetime.now(UTC).date() + timedelta(days=700)
    record["policy"]["licence"]["expires_on"] = later.isoformat()

    assert judged(record).findings == ()


@given(st.binary(min_size=1, max_size=40))
def test_a_computed_digest_is_never_taken_for_a_typed_one(content: bytes) -> None:
    digest = sha256(content).hexdigest()

    assert not is_typed_digest(digest)
    assert not is_typed_digest(digest[:40])


@given(st.text(HEX, min_size=1, max_size=20))
def test_a_digest_that_repeats_itself_was_typed(part: str) -> None:
    assert is_typed_digest((part * 64)[:64])
    assert is_typed_digest((part * 40)[:40])


@given(st.sampled_from("aé9字"), st.integers(0, 30), st.sampled_from(["", " ", "-", "."]))
def test_one_letter_says_nothing_however_often_it_is_written(
    letter: str, times: int, between: str
) -> None:
    text = between.join(letter * times)

    assert says_nothing(text)
    assert is_no_sentence(text)


@pytest.mark.parametrize(
    "same", ["ADA@lab", " ada@lab ", "Ada <ada@lab>", "ada+ci@lab", "\uff41da@lab"]
)
def test_one_person_has_many_spellings(same: str) -> None:
    assert is_same_person(same, "ada@lab")
    assert not is_same_person(same, "grace@lab")


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_tolerance_never_spans_the_golden_answers(one: float, other: float) -> None:
    low, high = sorted((one, other))
    most = largest_tolerance(low, high)

    assert isfinite(most)
    assert most >= 0
    assert low == high or most < high - low


@pytest.mark.parametrize("text", ["", " ", "x", "zzzz", "TODO", "<tbd>", "not applicable", "?"])
def test_placeholders_and_single_letters_say_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize("text", ["no GPU", "r2", "all", "risk team", "Größe", "顧客"])
def test_short_texts_with_a_meaning_say_something(text: str) -> None:
    assert not says_nothing(text)
