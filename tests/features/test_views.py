"""Feature views from YAML: all faults at once, digests, and the views of a feature set."""

from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import (
    FeatureDtype,
    FeatureRef,
    KeyKind,
    ViewKind,
    view_from_canonical_json,
)
from understudy.domain.record_layouts import BinsLayout, TimeUnit
from understudy.features.views import find_view, load_views, parse_views, views_of

WHOLE = dedent("""
    views:
      - name: user
        version: 2
        entity: user
        ttl_s: 86400
        features:
          - {name: age, dtype: int64, default: 30, description: years, owner: risk}
          - {name: mean amount, dtype: float32, default: 0, max_age_s: 3600}
          - {name: country, dtype: string, default: "??"}
          - {name: is_new, dtype: bool, default: true}
      - name: merchant
        version: 1
        entity: merchant
        layout: bins
        key: integer
        namespace: archive
        bins: {set: merchants, event_time: ts, event_time_unit: us, names: {chargebacks_per_month: cb_month}}
        features:
          - {name: chargebacks_per_month, dtype: float64}
      - name: basket
        version: 1
        kind: request
        features:
          - {name: amount, dtype: float64}
      - name: derived
        version: 1
        kind: computed
        inputs: {amount: "basket@1:amount", mean: "user@2:mean amount"}
        features:
          - {name: ratio, dtype: float32, default: 1, expression: "amount / max(mean, 1)"}
""")


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "views.yaml"
    path.write_text(WHOLE)

    user, merchant, basket, derived = load_views(path)

    assert str(user) == "user@2"
    assert [each.dtype for each in user.features] == [
        FeatureDtype.INT64, FeatureDtype.FLOAT32, FeatureDtype.STRING, FeatureDtype.BOOL,
    ]  # fmt: skip
    assert isinstance(user.features[1].default, float)
    assert (merchant.key, merchant.namespace) == (KeyKind.INTEGER, "archive")
    assert view_from_canonical_json(merchant.canonical_json) == merchant
    assert isinstance(merchant.layout, BinsLayout)
    assert merchant.layout.event_time_unit is TimeUnit.US
    assert merchant.layout.names == (("chargebacks_per_month", "cb_month"),)
    assert basket.kind is ViewKind.REQUEST
    assert derived.features[0].expression == "amount / max(mean, 1)"


FAULTY = dedent("""
    views:
      - name: User
        version: 0
        entity: user
        colour: red
        features:
          - {name: age, dtype: int65}
          - {name: "", dtype: int64, max_age_s: -1}
""")


def test_faults_of_form_are_reported_all_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_views(FAULTY, where="views.yaml")

    assert {fault.field for fault in refused.value.faults} == {
        "views[0].name",
        "views[0].version",
        "views[0].colour",
        "views[0].features[0].dtype",
        "views[0].features[1].name",
        "views[0].features[1].max_age_s",
    }


CONTRADICTORY = dedent("""
    views:
      - name: user
        version: 1
        entity: user
        features:
          - {name: age, dtype: int64, default: 1.5}
          - {name: age, dtype: float32, default: .nan}
          - {name: x, dtype: float32, expression: "1"}
      - name: user
        version: 1
        entity: user
        bins: {set: s}
        features: [{name: a, dtype: bool, default: 1}]
      - name: merchant
        version: 1
        entity: merchant
        layout: bins
        bins: {event_time: t, names: {nope: n, b: t}}
        features:
          - {name: a_name_beyond_15, dtype: int64}
          - {name: b, dtype: int64}
      - name: orphan
        version: 1
        features: [{name: a, dtype: bool}]
      - name: basket
        version: 1
        kind: request
        entity: user
        ttl_s: 5
        key: text
        namespace: fast
        features: [{name: amount, dtype: float64, max_age_s: 3}]
      - name: derived
        version: 1
        kind: computed
        inputs: {a: "basket@1:nope", b: bad, now: "basket@1:amount", c: "derived@1:r"}
        features:
          - {name: r, dtype: float32, expression: "z + 1"}
          - {name: s, dtype: string, expression: "import os"}
          - {name: t, dtype: float32}
""")


def test_contradictions_are_reported_all_at_once() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_views(CONTRADICTORY, where="views.yaml")

    assert {fault.field for fault in refused.value.faults} == {
        "views[0].features[0].default",
        "views[0].features[1].name",
        "views[0].features[1].default",
        "views[0].features[2].expression",
        "views[1]",
        "views[1].bins",
        "views[1].features[0].default",
        "views[2].bins.names.nope",
        "views[2].bins.names.a_name_beyond_15",
        "views[2].bins.names.b",
        "views[3].entity",
        "views[4].entity",
        "views[4].ttl_s",
        "views[4].key",
        "views[4].namespace",
        "views[4].features[0].max_age_s",
        "views[5].inputs.a",
        "views[5].inputs.b",
        "views[5].inputs.now",
        "views[5].inputs.c",
        "views[5].features[0].expression",
        "views[5].features[1].dtype",
        "views[5].features[1].expression",
        "views[5].features[2].expression",
    }


def test_a_unit_without_a_bin_for_the_event_time_is_refused() -> None:
    text = WHOLE.replace("event_time: ts, ", "")

    with pytest.raises(InvalidInputError, match=r"bins\.event_time_unit: read us"):
        parse_views(text, where="views.yaml")


@pytest.mark.parametrize("text", ["", "views: []", "[1, 2]", "views: {a: 1}", "a: [", "\0"])
def test_a_file_without_valid_views_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_views(text, where="views.yaml")


def test_only_the_texts_do_not_change_the_digest() -> None:
    (user, *_) = parse_views(WHOLE, where="")
    first = user.features[0]

    described = replace(user, features=(replace(first, description="x"), *user.features[1:]))
    changed = replace(user, features=(replace(first, default=31), *user.features[1:]))

    in_integers, elsewhere = replace(user, key=KeyKind.INTEGER), replace(user, namespace="fast")

    assert len({user.digest, in_integers.digest, elsewhere.digest}) == 3
    assert described.digest == user.digest
    assert changed.digest != user.digest


def test_a_feature_set_needs_what_its_computed_features_read() -> None:
    views = parse_views(WHOLE, where="")

    needed = views_of([FeatureRef("derived", 1, "ratio")], views)

    assert [str(view) for view in needed] == ["derived@1", "basket@1", "user@2"]
    with pytest.raises(NotFoundError, match="shop@1"):
        views_of([FeatureRef("shop", 1, "x")], views)


def test_a_view_is_found_by_its_name_if_that_is_unambiguous() -> None:
    views = parse_views(WHOLE, where="")

    assert find_view(views, "user") is views[0]
    assert find_view(views, "user@2") is views[0]
    with pytest.raises(NotFoundError):
        find_view(views, "user@1")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        load_views(tmp_path / "none.yaml")
