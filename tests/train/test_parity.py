"""The proof of a conversion finds each kind of row on which both models differ."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.train.repository import FEATURES, rows_of
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.features.decisions.feature_columns import columns_of
from understudy.train.convert_model import Converted, Wishes, convert_model
from understudy.train.decisions.agreement import Compared, judge
from understudy.train.decisions.probes import ProbeKind, probes_of
from understudy.train.original import original_of
from understudy.train.rows import read_rows

NUMBERS = tuple(Feature(name, FeatureDtype.FLOAT32) for name in FEATURES)
MIXED = (
    Feature("amount", FeatureDtype.FLOAT32, default=0.0),
    Feature("plan-of-user", FeatureDtype.STRING),
)


def converted(
    folder: Path, model: Any, x: Any, features: tuple[Feature, ...] = NUMBERS, **wishes: Any
) -> Converted:
    view = FeatureView("user", 1, "user", features)
    columns = columns_of([FeatureRef("user", 1, each.name) for each in features], [view])
    rows = read_rows(x, features, "evaluation")
    return convert_model(original_of(model, None), columns, rows, Wishes(**wishes), folder)


def mixed_rows(count: int = 200) -> tuple[Any, Any]:
    random = np.random.default_rng(5)
    amounts = random.normal(size=count).astype(np.float32)
    plans = random.choice(["01", "gold", "silver"], count)
    x = np.array([amounts.astype(object), plans.astype(object)], dtype=object).T
    return x, ((amounts > 0) ^ (plans == "gold")).astype(np.int64)


def pipeline(**options: Any) -> Any:
    encoder = ColumnTransformer(
        [("numbers", "passthrough", [0]), ("texts", OneHotEncoder(**options), [1])]
    )
    return make_pipeline(encoder, LogisticRegression(random_state=1))


def test_a_forest_with_missing_values_is_mended_and_proven(tmp_path: Path) -> None:
    x, y = rows_of(1)
    x[::7, 1] = np.nan

    made = converted(tmp_path, RandomForestClassifier(20, random_state=1).fit(x, y), x)

    assert made.agreement.places_with_missing == (0, 1, 2)
    assert made.agreement.largest_difference < 1e-6
    with np.load(tmp_path / "golden.npz") as golden:
        assert np.isnan(golden["in:features"][-3:]).diagonal().all()


def test_missing_values_that_the_original_refuses_and_the_model_does_not_answer_are_a_note(
    tmp_path: Path,
) -> None:
    x, y = rows_of(1)

    made = converted(tmp_path, LogisticRegression().fit(x, y), x)

    assert made.agreement.places_with_missing == ()
    assert [note.partition(":")[0] for note in made.agreement.notes] == [
        f"missing {name}" for name in FEATURES
    ]


def test_texts_are_read_by_name_and_unseen_ones_agree(tmp_path: Path) -> None:
    x, y = mixed_rows()

    made = converted(tmp_path, pipeline(handle_unknown="ignore").fit(x, y), x, MIXED)

    assert made.served.inputs[1].datatype == "BYTES"
    assert made.agreement.faults == ()
    with np.load(tmp_path / "golden.npz") as golden:
        assert len([name for name in golden.files if name.startswith("in:")]) == len(MIXED)


def test_a_renamed_input_is_declared(tmp_path: Path) -> None:
    x, y = mixed_rows()

    made = converted(tmp_path, pipeline(handle_unknown="ignore").fit(x, y), x, MIXED)

    (_, renamed) = (spec.name for spec in made.served.inputs)
    assert made.column_inputs.get("user@1:plan-of-user", renamed) == renamed


def test_unseen_texts_that_only_the_converted_model_answers_are_a_fault(tmp_path: Path) -> None:
    x, y = mixed_rows()
    model = pipeline(handle_unknown="ignore").fit(x, y)

    def strict(rows: Any) -> Any:
        if not set(rows[:, 1]) <= {"", "01", "gold", "silver"}:
            raise ValueError("an unknown plan")
        return model.predict_proba(rows)[:, 1]

    with pytest.raises(InvalidInputError, match=r"unseen text plan-of-user.*an unknown plan"):
        converted(tmp_path, model, x, MIXED, predict=strict)


def test_a_predict_function_of_another_model_is_a_fault(tmp_path: Path) -> None:
    x, y = rows_of(1)
    other = LogisticRegression().fit(-x, y)

    with pytest.raises(InvalidInputError, match="rows as given"):
        converted(
            tmp_path,
            LogisticRegression().fit(x, y),
            x,
            predict=lambda rows: other.predict_proba(rows)[:, 1],
        )


def test_a_file_without_its_original_is_refused(tmp_path: Path) -> None:
    x, y = rows_of(1)
    converted(tmp_path, LogisticRegression().fit(x, y), x)
    content = (tmp_path / "model.onnx").read_bytes()
    columns = columns_of(
        [FeatureRef("user", 1, each.name) for each in NUMBERS],
        [FeatureView("user", 1, "user", NUMBERS)],
    )

    with pytest.raises(InvalidInputError, match="predict"):
        convert_model(
            original_of(content, "binary"),
            columns,
            read_rows(x, NUMBERS, "evaluation"),
            Wishes(),
            tmp_path,
        )


@given(
    width=st.integers(1, 6),
    odd=st.data(),
    shift=st.floats(0.01, 10),
)
def test_a_model_that_differs_for_one_column_and_kind_is_found_there(
    width: int, odd: st.DataObject, shift: float
) -> None:
    features = tuple(Feature(f"f{at}", FeatureDtype.FLOAT32) for at in range(width))
    columns = tuple(np.linspace(-1, 1, 20) for _ in features)
    place = odd.draw(st.integers(0, width - 1))
    kind = odd.draw(st.sampled_from([ProbeKind.MISSING, ProbeKind.LARGE]))
    probes = [*probes_of(columns, features, rows=4)]
    answers = np.full(4, 0.5)
    compared = [
        Compared(
            each,
            answers,
            answers + (shift if (each.place, each.kind) == (place, kind) else 0.0),
        )
        for each in probes
    ]

    agreement = judge(compared, features, tolerance=1e-3)

    assert [fault.field for fault in agreement.faults] == [f"model: {kind.value} f{place}"]
    assert (place in agreement.places_with_missing) is (kind is not ProbeKind.MISSING)
