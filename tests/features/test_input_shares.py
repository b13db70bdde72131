"""Columns reach the inputs that were meant: by name, by declaration, or because no other fits."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.builders import NOW_S
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureScalar, FeatureView
from understudy.domain.logged_features import LoggedFeatures
from understudy.domain.versions import TensorSpec
from understudy.features.serving.assembly import AssemblyPlan, compile_plan

FLOAT, WHOLE, FLAG, TEXT = (
    FeatureDtype.FLOAT32,
    FeatureDtype.INT64,
    FeatureDtype.BOOL,
    FeatureDtype.STRING,
)
NETWORK = [TensorSpec("x_num", "FP32", (-1, 4)), TensorSpec("x_cat", "INT64", (-1, 2))]


def plan_of(
    dtypes: Sequence[FeatureDtype], inputs: Sequence[TensorSpec], declared: Sequence[str] = ()
) -> AssemblyPlan:
    features = tuple(Feature(f"f{place}", dtype) for place, dtype in enumerate(dtypes))
    view = FeatureView("v", 1, "row", features)
    refs = [FeatureRef("v", 1, feature.name) for feature in features]
    return compile_plan(refs, [view], inputs, declared)


def assembled(plan: AssemblyPlan, values: dict[str, FeatureScalar]) -> list[list[object]]:
    tensors = plan.assemble([[None]], [values], now_s=NOW_S).tensors
    return [tensor.ravel().tolist() for tensor in tensors]


def test_the_inputs_of_a_tabular_network_are_told_by_their_datatypes() -> None:
    values: dict[str, FeatureScalar] = {f"f{place}": place for place in range(6)}

    plan = plan_of([FLOAT, WHOLE, FLOAT, FLOAT, WHOLE, FLOAT], NETWORK)

    assert assembled(plan, values) == [[0.0, 2.0, 3.0, 5.0], [1, 4]]


def test_inputs_that_could_be_exchanged_need_a_declaration() -> None:
    inputs = [TensorSpec("one", "FP32", (-1, 2)), TensorSpec("other", "FP32", (-1, 2))]
    values: dict[str, FeatureScalar] = {f"f{place}": place for place in range(4)}

    with pytest.raises(InvalidInputError, match="input 'one' for each column that it reads"):
        plan_of([FLOAT] * 4, inputs)

    plan = plan_of([FLOAT] * 4, inputs, ("other", "one", "other", "one"))
    assert assembled(plan, values) == [[1.0, 3.0], [0.0, 2.0]]


def test_an_input_of_one_column_takes_no_feature_of_another_name() -> None:
    inputs = [TensorSpec("f0", "FP32", (-1, 1)), TensorSpec("f_1", "FP32", (-1, 1))]

    with pytest.raises(InvalidInputError, match="'f_1': read no feature of this name"):
        plan_of([FLOAT] * 2, inputs)

    assert assembled(plan_of([FLOAT] * 2, inputs, ("", "f_1")), {"f0": 1, "f1": 2}) == [[1], [2]]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (("x", "", "", "", "", ""), "features.columns\\[0\\].input: read x"),
        (("x_cat", "", "", "", "", ""), "1 columns; accepted: 2"),
        (("x_cat",) * 6, "0 columns; accepted: 4"),
        (("x_cat", "x_cat", "", "", "", ""), "INT64 for float32 of f0, f1"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    declared: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        plan_of([FLOAT] * 4 + [WHOLE] * 2, NETWORK, declared)


@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "FP16", "BOOL", "UINT64"])
def test_a_datatype_that_holds_every_value_is_served(datatype: str) -> None:
    plan = plan_of([FLAG, FLAG], [TensorSpec("x", datatype, (-1, 2))])

    assert assembled(plan, {"f0": True, "f1": False}) == [[1, 0]]


def test_a_number_beyond_half_precision_becomes_infinite_like_in_training() -> None:
    plan = plan_of([FLOAT, FeatureDtype.FLOAT64], [TensorSpec("x", "FP16", (-1, 2))])

    assert assembled(plan, {"f0": 1e5, "f1": -1e300}) == [[np.inf, -np.inf]]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[FeatureDtype], list[TensorSpec], list[str]]:
    """Draw columns, the inputs of a model, and declarations that may or may not fit."""
    inputs: list[TensorSpec] = []
    dtypes: list[FeatureDtype] = []
    meant: list[str] = []
    for number in range(draw(st.integers(1, 4))):
        dtype = draw(st.sampled_from([FLOAT, WHOLE, FLAG, TEXT]))
        fitting = {TEXT: ["BYTES"], FLOAT: ["FP32", "FP64"], WHOLE: ["INT64", "FP64"]}
        datatype = draw(st.sampled_from(fitting.get(dtype, ["BOOL", "UINT8", "FP32"])))
        width = draw(st.integers(1, 3))
        name = draw(st.sampled_from([f"f{len(dtypes)}", f"x{number}"]))
        flat = draw(st.booleans()) and width == 1
        inputs.append(TensorSpec(name, datatype, (-1,) if flat else (-1, width)))
        dtypes += [dtype] * width
        meant += [name] * width
    order = draw(st.permutations(range(len(inputs))))
    declares = draw(st.booleans())
    return dtypes, [inputs[place] for place in order], meant if declares else []


@given(layouts())
def test_every_column_is_read_back_from_the_place_where_it_was_put(
    layout: tuple[list[FeatureDtype], list[TensorSpec], list[str]],
) -> None:
    dtypes, inputs, declared = layout
    try:
        plan = plan_of(dtypes, inputs, declared)
    except InvalidInputError:
        assert not declared, "a true declaration is enough"
        return
    of_dtype = {TEXT: str, FLOAT: float, WHOLE: int, FLAG: bool}
    values = {f"f{place}": of_dtype[dtype](place) for place, dtype in enumerate(dtypes)}

    tensors = plan.assemble([[None, None]], [values, values], now_s=NOW_S).tensors

    for place, value in enumerate(values.values()):
        read = plan.reader.column(tensors, place)
        assert read.tolist() == [value.encode() if isinstance(value, str) else value] * 2
    listed = plan.reader.listed
    logged = LoggedFeatures(listed, tensors, np.zeros((2, 0), np.int64), 0)
    of_lists = [logged.values_of(place).tolist() for place in range(len(listed.lists))]
    found = {
        name: rows[1][place]
        for (_, names), rows in zip(listed.lists, of_lists, strict=True)
        for place, name in enumerate(names)
    }
    assert found == {
        name: value.encode() if isinstance(value, str) else value for name, value in values.items()
    }
    assert listed.names == tuple(values)


@given(layouts())
def test_a_division_without_declarations_has_no_rival(
    layout: tuple[list[FeatureDtype], list[TensorSpec], list[str]],
) -> None:
    """Exchanging the columns of any two wide inputs would not fit, or they are told by names."""
    dtypes, inputs, _ = layout
    try:
        plan_of(dtypes, inputs)
    except InvalidInputError:
        return
    features = {f"f{place}" for place in range(len(dtypes))}
    for one, other in permutations(inputs, 2):
        if one.shape[1:] in {(), (1,)}:
            assert one.name in features
        elif one.shape == other.shape:
            assert one.datatype != other.datatype


@given(layouts(), st.data())
def test_a_row_has_a_score_only_if_its_model_can_see_every_missing_value(
    layout: tuple[list[FeatureDtype], list[TensorSpec], list[str]], data: st.DataObject
) -> None:
    dtypes, inputs, declared = layout
    try:
        plan = plan_of(dtypes, inputs, declared)
    except InvalidInputError:
        return
    of_dtype = {TEXT: str, FLOAT: float, WHOLE: int, FLAG: bool}
    sent = {
        f"f{place}": of_dtype[dtype](1)
        for place, dtype in enumerate(dtypes)
        if data.draw(st.booleans())
    }

    assembled = plan.assemble([[None]], [sent], now_s=NOW_S)

    read = {
        name: plan.reader.column(assembled.tensors, at)[0] for at, name in enumerate(plan.names)
    }
    unseen = [
        name
        for name, value in read.items()
        if name not in sent and value != b"" and value == value  # noqa: PLR0124 - not NaN
    ]
    incomplete = plan.incomplete_rows(assembled.statuses)
    assert (incomplete is not None and incomplete.tolist() == [True]) == bool(unseen)
