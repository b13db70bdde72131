"""Assembly of packed records into tensors, against a value-by-value reference."""

from itertools import pairwise
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.builders import MIXED, NOW_MS, NOW_S, a_record, a_view, floats
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import (
    ORDINARY_STATUSES,
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureScalar,
    FeatureStatus,
    FeatureView,
    ViewKind,
)
from understudy.domain.versions import TensorSpec
from understudy.features.decisions.record_format import record_format
from understudy.features.serving.assembly import AssemblyPlan, compile_plan

USER = a_view("user", MIXED, ttl_s=1000.0)
SHOP = a_view(
    "shop",
    (
        Feature("amount", FeatureDtype.FLOAT64, default=2.0),
        Feature("visits", FeatureDtype.INT64, default=9, max_age_s=10.0),
        Feature("open", FeatureDtype.BOOL, default=True),
    ),
    entity="shop",
)
NUMBERS = [
    FeatureRef("shop", 1, "visits"),
    FeatureRef("user", 1, "amount"),
    FeatureRef("user", 1, "age"),
    FeatureRef("shop", 1, "amount"),
    FeatureRef("shop", 1, "open"),
    FeatureRef("user", 1, "balance"),
    FeatureRef("user", 1, "is_new"),
]
MATRIX = [TensorSpec("x", "FP32", (-1, len(NUMBERS)))]
VIEWS = {"user": USER, "shop": SHOP}

small = st.integers(-(2**20), 2**20)
values_of = {
    FeatureDtype.FLOAT32: st.floats(width=32, allow_nan=False, allow_infinity=False),
    FeatureDtype.FLOAT64: small.map(lambda number: number / 4),
    FeatureDtype.INT64: small,
    FeatureDtype.BOOL: st.booleans(),
    FeatureDtype.STRING: st.text(max_size=4),
}
ages_s = st.sampled_from([0, 5, 11, 59, 61, 999, 1001])
UNANSWERED = "unanswered"
Stored = tuple[dict[str, FeatureScalar | None], int] | str | None


def stored(view: FeatureView) -> st.SearchStrategy[Stored]:
    values = st.fixed_dictionaries(
        {each.name: st.none() | values_of[each.dtype] for each in view.features}
    )
    whole = st.fixed_dictionaries({each.name: values_of[each.dtype] for each in view.features})
    return st.none() | st.just(UNANSWERED) | st.tuples(values | whole, ages_s)


batches = st.integers(1, 5).flatmap(
    lambda rows: st.tuples(
        st.lists(stored(SHOP), min_size=rows, max_size=rows),
        st.lists(stored(USER), min_size=rows, max_size=rows),
        st.lists(
            st.none()
            | st.fixed_dictionaries({}, optional={"visits": small, "is_new": st.booleans()}),
            min_size=rows,
            max_size=rows,
        ),
        st.none() | st.lists(st.booleans(), min_size=rows, max_size=rows),
    )
)


def _packed(view: FeatureView, each: Stored) -> bytes | None:
    if each is None or isinstance(each, str):
        return None if each is None else b""
    values, age_s = each
    return a_record(view, values, event_time_ms=NOW_MS - age_s * 1000)


def _expected(
    ref: FeatureRef, each: Stored, request: dict[str, FeatureScalar], *, is_remembered: bool
) -> tuple[float, FeatureStatus]:
    view = VIEWS[ref.view]
    feature = next(one for one in view.features if one.name == ref.feature)
    if ref.feature in request:
        return float(request[ref.feature]), FeatureStatus.FROM_REQUEST
    value, age_s = None, 0
    if isinstance(each, tuple):
        value, age_s = each[0][ref.feature], each[1]
    is_expired = view.ttl_s is not None and age_s > view.ttl_s
    is_stale = feature.max_age_s is not None and age_s > feature.max_age_s
    if value is not None and not is_expired:
        if is_remembered:
            return float(value), FeatureStatus.LAST_KNOWN
        return float(value), FeatureStatus.STALE if is_stale else FeatureStatus.PRESENT
    if is_remembered or each == UNANSWERED:
        absent = (FeatureStatus.UNREAD, FeatureStatus.UNREAD_DEFAULTED)
    elif each is None or is_stale or is_expired:
        absent = (FeatureStatus.MISSING, FeatureStatus.DEFAULTED)
    else:
        absent = (FeatureStatus.NULL, FeatureStatus.NULL_DEFAULTED)
    if feature.default is None:
        return float("nan"), absent[0]
    return float(feature.default), absent[1]


@given(batches)
def test_each_value_comes_from_its_record_request_or_default(
    batch: tuple[
        list[Stored], list[Stored], list[dict[str, FeatureScalar] | None], list[bool] | None
    ],
) -> None:
    shops, users, requests, remembered_users = batch
    plan = compile_plan(NUMBERS, [USER, SHOP], MATRIX)
    assert plan.views == (SHOP, USER)

    assembled = plan.assemble(
        [[_packed(SHOP, each) for each in shops], [_packed(USER, each) for each in users]],
        requests,
        now_s=NOW_S,
        last_known=[None, None if remembered_users is None else np.array(remembered_users)],
    )

    matrix = assembled.tensors[0]
    statuses = assembled.statuses
    expected_statuses = []
    for row, request in enumerate(requests):
        for column, ref in enumerate(NUMBERS):
            each = shops[row] if ref.view == "shop" else users[row]
            is_remembered = (
                ref.view == "user" and remembered_users is not None and remembered_users[row]
            )
            value, status = _expected(ref, each, request or {}, is_remembered=is_remembered)
            found = float(matrix[row, column])
            assert isnan(found) if isnan(value) else found == np.float32(value)
            expected_statuses.append(status)
    if statuses is None:
        assert set(expected_statuses) == {FeatureStatus.PRESENT}
    else:
        assert statuses.reshape(-1).tolist() == expected_statuses
        assert statuses.any()


def _plan_of(view: FeatureView, width: int) -> AssemblyPlan:
    refs = [FeatureRef(view.name, view.version, each.name) for each in view.features]
    return compile_plan(refs, [view], [TensorSpec("x", "FP32", (-1, width))])


def test_when_every_value_is_present_no_statuses_are_built() -> None:
    view = a_view("wide", floats(70, max_age_s=60.0))
    records = [a_record(view, {f"f{n}": float(n + row) for n in range(70)}) for row in range(3)]

    assembled = _plan_of(view, 70).assemble([records], None, now_s=NOW_S + 60, last_known=[None])

    assert assembled.statuses is None
    assert assembled.tensors[0].flags.c_contiguous
    assert assembled.tensors[0].tolist() == [[n + row for n in range(70)] for row in range(3)]


def test_a_record_of_another_definition_is_missing_and_counted() -> None:
    view = a_view("wide", floats(3))
    other = a_view("wide", (*floats(2), Feature("f2", FeatureDtype.FLOAT32, default=1.0)))
    good = a_record(view, {"f0": 1.0, "f1": 2.0, "f2": 3.0})
    bad = a_record(other, {"f0": 7.0, "f1": 7.0, "f2": 7.0})
    assert len(good) == len(bad)

    assembled = _plan_of(view, 3).assemble([[good, bad, good]], None, now_s=NOW_S)

    assert assembled.wrong_digests == 1
    assert assembled.statuses is not None
    assert assembled.statuses.tolist() == [[0] * 3, [FeatureStatus.MISSING] * 3, [0] * 3]
    assert np.isnan(assembled.tensors[0][1]).all()


@pytest.mark.parametrize("cut", [1, 8, 15])
def test_bytes_lost_in_one_record_and_gained_in_another_do_not_shift_values(cut: int) -> None:
    view = a_view("wide", floats(4))
    records = [a_record(view, {f"f{n}": float(row) for n in range(4)}) for row in range(3)]
    torn = [records[0][:-cut], records[1] + b"\0" * cut, records[2]]

    assembled = _plan_of(view, 4).assemble([torn], None, now_s=NOW_S)

    assert assembled.wrong_digests == 2
    assert np.isnan(assembled.tensors[0][:2]).all()
    assert assembled.tensors[0][2].tolist() == [2.0] * 4


def test_named_inputs_get_a_column_each_and_strings_are_bytes() -> None:
    refs = [FeatureRef("user", 1, name) for name in ("city", "age", "amount", "country")]
    inputs = [
        TensorSpec("amount", "FP32", (-1, 1)),
        TensorSpec("country", "BYTES", (-1, 1)),
        TensorSpec("age", "INT64", (-1, 1)),
        TensorSpec("city", "BYTES", (-1,)),
    ]
    plan = compile_plan(refs, [USER], inputs)
    records = [a_record(USER), a_record(USER, {"age": 3}), None]

    amount, country, age, city = plan.assemble([records], None, now_s=NOW_S).tensors

    assert amount.tolist() == [[1.5], [0.5], [0.5]]
    assert country.tolist() == [[b"LI"], [b"??"], [b"??"]]
    assert age.tolist() == [[41], [3], [0]]
    assert age.dtype == np.int64
    assert city.tolist() == ["Zürich".encode(), b"", b""]


def test_an_input_of_several_columns_takes_the_rest_in_order() -> None:
    refs = [FeatureRef("user", 1, name) for name in ("age", "country", "amount")]
    inputs = [TensorSpec("numbers", "FP64", (-1, 2)), TensorSpec("country", "BYTES", (-1, 1))]
    plan = compile_plan(refs, [USER], inputs)

    numbers, words = plan.assemble([[a_record(USER)]], None, now_s=NOW_S).tensors

    assert numbers.tolist() == [[41.0, 1.5]]
    assert words.tolist() == [[b"LI"]]


def test_values_from_memory_have_their_own_status() -> None:
    plan = compile_plan(NUMBERS, [USER, SHOP], MATRIX)
    record = a_record(SHOP, {"amount": 1.0, "visits": 1, "open": False})

    assembled = plan.assemble(
        [[record, record], [a_record(USER), None]],
        None,
        now_s=NOW_S,
        last_known=[np.array([True, False]), None],
    )

    assert assembled.statuses is not None
    visits, amount = assembled.statuses[:, 0], assembled.statuses[:, 1]
    assert visits.tolist() == [FeatureStatus.LAST_KNOWN, FeatureStatus.PRESENT]
    assert amount.tolist() == [FeatureStatus.PRESENT, FeatureStatus.DEFAULTED]


def test_a_request_is_checked_for_names_types_and_numbers() -> None:
    plan = compile_plan(NUMBERS, [USER, SHOP], MATRIX)

    faults = plan.check_request_features(
        {
            "visits": 1.5,
            "is_new": 1,
            "user:amount": float("nan"),
            "shop:amount": float("inf"),
            "balance": 10**400,
            "age": True,
            "colour": 1,
            "amount": 1.0,
        }
    )

    assert [fault.field for fault in faults] == [
        f"features.{name}"
        for name in ("visits", "is_new", "user:amount", "shop:amount", "balance", "age")
    ] + ["features.colour", "features.amount"]
    good: dict[str, FeatureScalar] = {"visits": 1, "is_new": False, "user:amount": 1, "balance": 2}
    assert plan.check_request_features(good) == ()


def test_names_are_as_short_as_they_can_be() -> None:
    plan = compile_plan(NUMBERS, [USER, SHOP], MATRIX)

    assert plan.names == (
        "visits", "user:amount", "age", "shop:amount", "open", "balance", "is_new",
    )  # fmt: skip
    assert plan.width == 7


@pytest.mark.parametrize(
    ("refs", "inputs", "message"),
    [
        (["user@1:nope", "user@2:age"], MATRIX, "feature_set\\[1\\]"),
        (["user@1:age", "user@1:age"], MATRIX, "twice"),
        (
            ["user@1:city"],
            [TensorSpec("x", "FP32", (-1, 1))],
            "FP32 for string of city; accepted: BYTES",
        ),
        (["user@1:amount"], [TensorSpec("x", "INT64", (-1, 1))], "INT64 for float32 of amount"),
        (["user@1:age"], [TensorSpec("x", "INT32", (-1, 1))], "INT32 for int64 of age"),
        (["user@1:age"], [TensorSpec("x", "UINT8", (-1, 1))], "UINT8 for int64 of age"),
        (["user@1:age"], [TensorSpec("x", "FP32", (-1, 2))], "1 columns; accepted: 2"),
        (["user@1:age"], [TensorSpec("x", "FP16", (-1, 1))], "FP16 for int64 of age"),
        (["user@1:age"], [TensorSpec("x", "FP32", (-1, 1, 1))], "'x' shape"),
        (["user@1:age"], [TensorSpec("x", "FP32", ())], "'x' shape"),
        (["user@1:age"], [TensorSpec("x", "FP32", (4, 1))], "open number of rows"),
        (["user@1:age", "user@1:amount"], [TensorSpec("x", "FP32", (-1,))], "2 columns"),
        (
            ["user@1:age"],
            [TensorSpec("x", "FP32", (-1, 1)), TensorSpec("y", "FP32", (-1, 1))],
            "'y': read no feature of this name",
        ),
    ],
)
def test_an_impossible_plan_is_refused(
    refs: list[str], inputs: list[TensorSpec], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        compile_plan([FeatureRef.parse(text) for text in refs], [USER], inputs)


def test_request_time_features_have_their_default_unless_the_request_supplies_them() -> None:
    view = FeatureView(
        "ask",
        1,
        "request",
        (Feature("km", FeatureDtype.FLOAT32), Feature("fast", FeatureDtype.BOOL, default=True)),
        kind=ViewKind.REQUEST,
    )
    plan = _plan_of(view, 2)
    assert plan.views == ()

    assembled = plan.assemble([], [{"km": 3.0}, None], now_s=NOW_S)

    assert assembled.statuses is not None
    assert assembled.statuses.tolist() == [[1, 3], [5, 3]]
    assert assembled.tensors[0][0].tolist() == [3.0, 1.0]
    assert len(plan.assemble([], None, now_s=NOW_S, rows=4).tensors[0]) == 4


def test_computed_features_read_stored_and_request_values() -> None:
    view = FeatureView(
        "derived",
        1,
        "request",
        (
            Feature("ratio", FeatureDtype.FLOAT32, default=-1.0, expression="a / b"),
            Feature("age_h", FeatureDtype.FLOAT64, expression="hours(now - a)"),
            Feature("constant", FeatureDtype.INT64, expression="7.9"),
        ),
        kind=ViewKind.COMPUTED,
        inputs=(("a", "user@1:age"), ("b", "shop@1:visits"), ("same", "user@1:age")),
    )
    refs = [FeatureRef("derived", 1, each.name) for each in view.features]
    plan = compile_plan(refs, [view, USER, SHOP], [TensorSpec("x", "FP32", (-1, 3))])
    shops = [a_record(SHOP, {"visits": visits}) for visits in (2, 0, 2)]

    assert plan.views == (USER, SHOP)
    assert plan.check_request_features({"age": 4}) == ()
    assembled = plan.assemble(
        [[a_record(USER), a_record(USER), None], shops], [None, None, {"age": 5}], now_s=NOW_S
    )

    assert assembled.tensors[0][:, 0].tolist() == [20.5, -1.0, 2.5]
    assert assembled.tensors[0][:, 2].tolist() == [7.0, 7.0, 7.0]
    assert assembled.statuses is not None
    assert assembled.statuses[:, 0].tolist() == [0, FeatureStatus.NULL_DEFAULTED, 0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([a_record(USER), a_record(USER, {"age": None}), None, b""]),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_computed_value_is_as_good_as_its_inputs(rows: list[tuple[bytes | None, bool]]) -> None:
    view = FeatureView(
        "derived",
        1,
        "request",
        (
            Feature("plain", FeatureDtype.FLOAT32, expression="a"),
            Feature("mended", FeatureDtype.FLOAT32, expression="coalesce(a, 0)"),
        ),
        kind=ViewKind.COMPUTED,
        inputs=(("a", "user@1:age"),),
    )
    refs = [FeatureRef("derived", 1, "plain"), FeatureRef("derived", 1, "mended")]
    refs.append(FeatureRef("user", 1, "age"))
    plan = compile_plan(refs, [view, USER], [TensorSpec("x", "FP32", (-1, 3))])
    remembered = np.array([is_remembered for _, is_remembered in rows])

    found = plan.assemble(
        [[record for record, _ in rows]], None, now_s=NOW_S, last_known=[remembered]
    )

    statuses = np.zeros((len(rows), 3)) if found.statuses is None else found.statuses
    for plain, mended, age in statuses.tolist():
        assert plain == age
        is_ordinary = age in ORDINARY_STATUSES
        assert (mended in ORDINARY_STATUSES) == is_ordinary
        if age in {FeatureStatus.UNREAD, FeatureStatus.MISSING}:
            is_unread = age == FeatureStatus.UNREAD
            assert mended == (
                FeatureStatus.UNREAD_DEFAULTED if is_unread else FeatureStatus.DEFAULTED
            )


def test_records_differ_when_definitions_differ() -> None:
    views = [
        a_view("v", floats(2)),
        a_view("v", floats(2), version=2),
        a_view("v", floats(2), entity="shop"),
        a_view("v", floats(2, max_age_s=1.0)),
        a_view("v", floats(2), ttl_s=1.0),
    ]
    digests = sorted(record_format(view).digest for view in views)

    assert all(left != right for left, right in pairwise(digests))
