"""The policy of a feature decides the form in which the log has its values: as they are, as a digest, not."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.builders import NOW_S, a_record, a_view
from tests.logs.builders import score_batch
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureScalar,
    FeatureView,
    LogPolicy,
    ViewKind,
    view_from_canonical_json,
)
from understudy.domain.logged_features import FeatureList, ListedFeatures, LoggedFeatures
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.features.history.audit import audit_features
from understudy.features.history.served_columns import ScoreLog
from understudy.features.loading.history_files import HistorySource
from understudy.features.serving.assembly import AssemblyPlan, compile_plan
from understudy.features.views import parse_views
from understudy.logs.writer import LogWriter

KEYED = LoggedIds(IdForm.KEYED, b"sixteen bytes...")
KINDS = {
    FeatureDtype.STRING: ("BYTES", FeatureList.TEXTS),
    FeatureDtype.FLOAT32: ("FP32", FeatureList.FLOATS),
    FeatureDtype.INT64: ("INT64", FeatureList.INT64S),
}
VALUES: dict[FeatureDtype, FeatureScalar] = {
    FeatureDtype.STRING: "secret",
    FeatureDtype.FLOAT32: 1.5,
    FeatureDtype.INT64: 77,
}


def plan_of(view: FeatureView) -> AssemblyPlan:
    """Return a plan with one input for each dtype of the view."""
    refs = [FeatureRef(view.name, view.version, each.name) for each in view.features]
    dtypes = [each.dtype for each in view.features]
    inputs = [
        TensorSpec(dtype.value, kind, (DYNAMIC, dtypes.count(dtype)))
        for dtype, (kind, _) in KINDS.items()
        if dtype in dtypes
    ]
    return compile_plan(refs, [view], inputs, [dtype.value for dtype in dtypes])


def write_row(root: Path, view: FeatureView, values: dict[str, FeatureScalar | None]) -> Path:
    plan = plan_of(view)
    assembled = plan.assemble([[a_record(view, values)]], None, now_s=NOW_S)
    features = LoggedFeatures(
        plan.reader.listed, assembled.tensors, assembled.event_times_ms, round(NOW_S * 1000)
    )
    with LogWriter(root, ids=KEYED) as writer:
        assert writer.offer(score_batch(1, width=0, features=features, entity_ids=["a"]))
    (path,) = root.rglob("*.parquet")
    return path


@given(
    st.lists(
        st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(LogPolicy)), min_size=1, max_size=6
    )
)
@settings(max_examples=20, deadline=None)
def test_each_value_is_logged_in_the_form_of_its_policy_and_in_no_other(
    drawn: list[tuple[FeatureDtype, LogPolicy]],
) -> None:
    features = [Feature(f"f{n}", dtype, log=policy) for n, (dtype, policy) in enumerate(drawn)]
    view = a_view("user", tuple(features))
    given_values = {each.name: VALUES[each.dtype] for each in features}
    with TemporaryDirectory() as folder:
        path = write_row(Path(folder), view, dict(given_values))
        (row,) = pq.read_table(path).to_pylist()
        listed = ListedFeatures.from_metadata(pq.read_schema(path).metadata)

    assert listed is not None
    assert listed.names == tuple(given_values)
    for place, each in enumerate(features):
        found = {
            column: row[column][names.index(each.name)]
            for column, names in listed.lists
            if each.name in names
        }
        value = given_values[each.name]
        match each.log:
            case LogPolicy.VALUE:
                assert found == {KINDS[each.dtype][1]: value}
            case LogPolicy.HASH:
                assert found == {FeatureList.DIGESTS: KEYED.hashed([str(value)])[0]}
                assert each.name in listed.hashed
            case LogPolicy.NONE:
                assert found == {}
                assert each.name in listed.unlogged
        assert row["statuses"] is None or row["statuses"][place] == 0


def test_no_byte_of_a_value_that_is_not_logged_is_in_the_file(tmp_path: Path) -> None:
    view = a_view(
        "user",
        (
            Feature("shown", FeatureDtype.STRING),
            Feature("hidden", FeatureDtype.STRING, log=LogPolicy.NONE),
            Feature("digest", FeatureDtype.STRING, log=LogPolicy.HASH),
        ),
    )

    path = write_row(tmp_path, view, {"shown": "open", "hidden": "sesame", "digest": "mustard"})

    texts = pq.read_table(path).to_pylist()[0].values()
    assert "sesame" not in str(list(texts))
    assert "mustard" not in str(list(texts))
    assert "open" in str(list(texts))


def test_a_computed_feature_takes_the_strictest_policy_of_its_inputs() -> None:
    view = a_view(
        "user",
        (
            Feature("income", FeatureDtype.FLOAT32, log=LogPolicy.NONE),
            Feature("age", FeatureDtype.FLOAT32, log=LogPolicy.HASH),
            Feature("visits", FeatureDtype.FLOAT32),
        ),
    )
    derived = FeatureView(
        "derived",
        1,
        "request",
        (
            Feature("double_income", FeatureDtype.FLOAT32, expression="2 * a + b"),
            Feature("older", FeatureDtype.FLOAT32, expression="b + c"),
            Feature("more", FeatureDtype.FLOAT32, expression="c + 1"),
            Feature("own", FeatureDtype.FLOAT32, expression="c + 2", log=LogPolicy.HASH),
        ),
        kind=ViewKind.COMPUTED,
        inputs=(("a", "user@1:income"), ("b", "user@1:age"), ("c", "user@1:visits")),
    )
    refs = [FeatureRef("derived", 1, each.name) for each in derived.features]

    plan = compile_plan(refs, [view, derived], [TensorSpec("x", "FP32", (DYNAMIC, 4))])

    assert plan.log_policies == (
        LogPolicy.NONE,
        LogPolicy.HASH,
        LogPolicy.VALUE,
        LogPolicy.HASH,
    )


def test_a_policy_is_read_from_the_file_kept_and_part_of_the_digest() -> None:
    text = """
        views:
          - name: user
            version: 1
            entity: user
            features: [{name: income, dtype: float32%s}]
    """

    (plain,) = parse_views(text % "", where="a test")
    (same,) = parse_views(text % ", log: value", where="a test")
    (hidden,) = parse_views(text % ", log: none", where="a test")

    assert plain.digest == same.digest != hidden.digest
    assert hidden.features[0].log is LogPolicy.NONE
    assert view_from_canonical_json(hidden.canonical_json) == hidden


def test_an_audit_names_the_features_that_it_cannot_check(tmp_path: Path) -> None:
    view = a_view(
        "user",
        (
            Feature("amount", FeatureDtype.FLOAT32),
            Feature("income", FeatureDtype.FLOAT32, log=LogPolicy.NONE),
            Feature("age", FeatureDtype.INT64, log=LogPolicy.HASH),
        ),
    )
    values: dict[str, FeatureScalar] = {"amount": 1.5, "income": 2.5, "age": 30}
    moment = datetime.fromtimestamp(NOW_S, tz=UTC).replace(tzinfo=None)
    history = tmp_path / "user.parquet"
    columns = {name: [value] for name, value in values.items()}
    pq.write_table(pa.table({"user": ["a"], "event_time": [moment], **columns}), history)
    write_row(tmp_path / "logs", view, dict(values))

    report = audit_features(
        ScoreLog(str(tmp_path / "logs" / "score" / "*" / "*" / "*.parquet")),
        [FeatureRef("user", 1, name) for name in values],
        [view],
        {"user@1": HistorySource(str(history), "user")},
        entity="user",
        keys=KEYED,
    )

    assert [(each.name, each.compared, each.unknown) for each in report.features] == [
        ("amount", 1, 0)
    ]
    income, age = report.left_out
    assert "income" in income
    assert "not logged" in income
    assert "age" in age
    assert "logged as a digest" in age
