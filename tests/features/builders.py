"""Valid feature views and records; a test states only what matters to it."""

from collections.abc import Sequence

from understudy.domain.features import Feature, FeatureDtype, FeatureScalar, FeatureView
from understudy.domain.record_layouts import RecordLayout
from understudy.features.decisions.ingestion_times import with_ingestion_time
from understudy.features.decisions.record_format import pack_record, record_format

NOW_S = 1_764_000_000.0
NOW_MS = round(NOW_S * 1000)

MIXED = (
    Feature("age", FeatureDtype.INT64),
    Feature("amount", FeatureDtype.FLOAT32, default=0.5, max_age_s=60.0),
    Feature("balance", FeatureDtype.FLOAT64),
    Feature("is_new", FeatureDtype.BOOL),
    Feature("country", FeatureDtype.STRING, default="??"),
    Feature("city", FeatureDtype.STRING),
)
IN_FAMILIES = (
    Feature("spent", FeatureDtype.FLOAT64, max_age_s=60.0, family="hourly"),
    Feature("country", FeatureDtype.STRING, default="??", family="profile"),
    Feature("city", FeatureDtype.STRING, max_age_s=3600.0, family="profile"),
)
MIXED_VALUES: dict[str, FeatureScalar | None] = {
    "age": 41,
    "amount": 1.5,
    "balance": -2.25,
    "is_new": True,
    "country": "LI",
    "city": "Zürich",
}


def a_view(
    name: str = "user",
    features: Sequence[Feature] = MIXED,
    *,
    version: int = 1,
    entity: str = "user",
    ttl_s: float | None = None,
    layout: RecordLayout | None = None,
) -> FeatureView:
    return FeatureView(name, version, entity, tuple(features), ttl_s=ttl_s, layout=layout)


def floats(count: int, *, max_age_s: float | None = None) -> tuple[Feature, ...]:
    return tuple(
        Feature(f"f{number}", FeatureDtype.FLOAT32, max_age_s=max_age_s) for number in range(count)
    )


def a_record(
    view: FeatureView,
    values: dict[str, FeatureScalar | None] | None = None,
    *,
    event_time_ms: int = NOW_MS,
    created_time_ms: int = 0,
    ingestion_time_ms: int = 0,
    is_lossy: bool = False,
) -> bytes:
    given = MIXED_VALUES if values is None else values
    form = record_format(view)
    record = pack_record(
        form,
        given,
        event_time_ms=event_time_ms,
        created_time_ms=created_time_ms,
        is_lossy=is_lossy,
    )
    return with_ingestion_time(form, record, ingestion_time_ms)
