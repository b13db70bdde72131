"""The requests that the clients send, from plain values."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Required, TypedDict, Unpack

from google.protobuf.timestamp_pb2 import Timestamp

from understudy.client.request_ids import new_request_id
from understudy.client.request_values import (
    Features,
    check_ids,
    feature_values,
    id_text,
    id_texts,
    label_number,
    optional_id,
)
from understudy.scoring.v1 import scoring_pb2 as pb


class ScoreOptions(TypedDict, total=False):
    """Optional parts of a request, besides model and entities."""

    features: Features  # request-time features by name; they override stored ones
    request_id: str  # joins answer, logs and outcome; by default a new UUIDv7
    unit_key: str  # the key that sticks to an arm; by default the first entity id
    decision_threshold: float  # overrides the deployment's
    outputs: Sequence[str]  # names of model outputs to return besides the score
    include_digests: bool  # digests of artifact, provenance and deployment


class BatchOptions(TypedDict, total=False):
    """Optional parts of a batch request, besides model and candidates."""

    candidate_entity: Required[str]  # the entity type of the candidates
    entities: Mapping[str, str]  # shared by all candidates
    features: Features  # shared by all candidates; a candidate's own features override them
    request_id: str
    unit_key: str
    top_k: int  # number of best candidates to keep, at least 1; by default all
    sort: bool  # by score, descending
    decision_threshold: float  # of all candidates; overrides the deployment's
    outputs: Sequence[str]  # names of model outputs to return for each candidate
    include_digests: bool  # digests of artifact, provenance and deployment


def score_request(
    model: str, entities: Mapping[str, str], **options: Unpack[ScoreOptions]
) -> pb.ScoreRequest:
    """Return the request for one score.

    Args:
        model: name of the deployment, e.g. "fraud".
        entities: entity type to entity id, e.g. {"user": "u1"}.
        **options: see `ScoreOptions`.

    Raises:
        TypeError: an id is not a string, or a feature is not a number, boolean or string.
        ValueError: an integer needs more than 64 bits, or a text is not Unicode.
    """
    return pb.ScoreRequest(
        model=model,
        entities=id_texts(entities, "entities"),
        features=feature_values(options.get("features", {})),
        request_id=_request_id(options.get("request_id")),
        unit_key=optional_id(options.get("unit_key"), "unit_key"),
        decision_threshold=options.get("decision_threshold"),
        outputs=options.get("outputs", ()),
        include_digests=options.get("include_digests", False),
    )


def batch_request(
    model: str,
    candidates: Mapping[str, Features] | Sequence[str],
    **options: Unpack[BatchOptions],
) -> pb.ScoreBatchRequest:
    """Return the request for the scores of candidates.

    Args:
        model: name of the deployment.
        candidates: entity ids, or a mapping from entity id to the candidate's own features.
        **options: see `BatchOptions`.

    Raises:
        The errors of `score_request`.
    """
    own: Mapping[str, Features] = (
        candidates if isinstance(candidates, Mapping) else {name: {} for name in candidates}
    )
    return pb.ScoreBatchRequest(
        model=model,
        entities=id_texts(options.get("entities", {}), "entities"),
        features=feature_values(options.get("features", {})),
        request_id=_request_id(options.get("request_id")),
        unit_key=optional_id(options.get("unit_key"), "unit_key"),
        candidate_entity=options["candidate_entity"],
        candidates=[
            pb.Candidate(
                id=id_text(name, "candidates"),
                features=feature_values(values, f"candidates[{name!r}]"),
            )
            for name, values in own.items()
        ],
        top_k=options.get("top_k"),
        sort=options.get("sort", False),
        decision_threshold=options.get("decision_threshold"),
        outputs=options.get("outputs", ()),
        include_digests=options.get("include_digests", False),
    )


def outcomes_request(
    model: str, labels: Mapping[str, float], *, observed_at: datetime | None = None
) -> pb.RecordOutcomesRequest:
    """Return the request that reports outcomes; see `ScoringClient.record_outcomes`.

    Raises:
        TypeError: a request id is not a string, or a label is not a number.
        ValueError: a request has no label, or one that is too large.
    """
    check_ids(labels, "request id in labels")
    when = Timestamp()
    when.FromDatetime(observed_at or datetime.now(UTC))  # without a zone: in UTC
    outcomes = [
        pb.Outcome(
            model=model,
            request_id=request_id,
            label=label_number(label, f"labels[{request_id!r}]"),
            observed_at=when,
        )
        for request_id, label in labels.items()
    ]
    return pb.RecordOutcomesRequest(outcomes=outcomes)


def _request_id(given: str | None) -> str:
    """Return an id for the call, generated here so that it stays the same if the call is repeated."""
    return new_request_id() if given is None else id_text(given, "request_id")
