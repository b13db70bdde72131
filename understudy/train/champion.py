"""The champion of the time: fetched from the registry, so that its value on new data is computed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.artifact.artifact import check_digests
from understudy.control.client import RegistryClient
from understudy.control.wire import version_from_wire
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import Feature, FeatureRef
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import MODEL_FILE, VersionRef
from understudy.features.decisions.feature_columns import columns_of
from understudy.train.decisions.kinds import ModelKind
from understudy.train.evaluation import Truth, measure
from understudy.train.rows import Columns, Rows, read_rows
from understudy.train.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class Champion:
    """A registered version, opened as a scorer opens it."""

    spec: VersionSpec
    model: ServedModel
    features: tuple[Feature, ...]

    @property
    def ref(self) -> VersionRef:
        return self.spec.ref


def champion_of(client: RegistryClient, model: str) -> VersionSpec | None:
    """Return the champion of `model`, or None if the model is not deployed.

    Raises:
        UnavailableError: the registry does not answer.
    """
    try:
        deployment = client.get_deployment(model)
    except NotFoundError:
        return None
    return version_from_wire(client.get_version(model, deployment.champion))


def open_champion(client: RegistryClient, spec: VersionSpec, folder: Path) -> Champion:
    """Fetch the artifact of a version and open it.

    Args:
        client: of the registry.
        spec: of the version.
        folder: receives the files of the artifact; each must have its registered digest.

    Raises:
        UnavailableError: the registry does not answer.
        CorruptedError: a file is not the registered one.
        InvalidInputError: the model cannot be opened here.
    """
    for file in spec.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as target:
            target.writelines(client.fetch_file(file.sha256))
    check_digests(folder, spec.files)
    columns = columns_of(spec.feature_set, spec.feature_views)
    features = tuple(column.feature for column in columns)
    with _said_of(spec.ref):
        opened = ServedModel(
            folder / MODEL_FILE,
            spec.feature_set,
            features,
            column_inputs=spec.column_inputs,
            joins_rows=spec.joins_rows,
        )
    return Champion(spec, opened, features)


def measure_champion(
    champion: Champion, columns: Columns, kind: ModelKind, truth: Truth
) -> list[dict[str, Any]]:
    """Return the metrics of a champion on rows as `champion_columns` returns them.

    Raises:
        InvalidInputError: the model cannot compute the rows.
    """
    with _said_of(champion.ref):
        return measure(champion.model, champion.spec.score_output, columns, kind, truth)


@contextmanager
def _said_of(champion: VersionRef) -> Iterator[None]:
    """Name the champion in an error, and the way of an author whose libraries cannot run it."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError.of(
            "champion",
            read=f"{champion}, which cannot run here: {error}",
            accepted="champion_scores, its answers to the evaluation rows, or libraries that run it",
        ) from error


def champion_columns(
    champion: Champion, refs: tuple[FeatureRef, ...], rows: Rows, further: Any
) -> Columns:
    """Return the evaluation rows as the champion reads them.

    Args:
        champion: whose feature set may differ from that of the new model.
        refs: the new model's feature set.
        rows: the evaluation rows of the new model.
        further: a data frame with columns for the champion's other features, or None.

    Raises:
        InvalidInputError: there are no values for some of the champion's features.
    """
    known: Mapping[FeatureRef, Any] = dict(zip(refs, rows.columns, strict=True))
    wanted = champion.spec.feature_set
    pairs = zip(wanted, champion.features, strict=True)
    absent = [(ref, each) for ref, each in pairs if ref not in known]
    if not absent:
        return tuple(known[ref] for ref in wanted)
    if further is None:
        raise InvalidInputError.of(
            "champion_rows",
            read="None",
            accepted=f"a data frame with the features that only {champion.ref} reads: "
            f"{', '.join(str(ref) for ref, _ in absent)}",
        )
    read = read_rows(further, [each for _, each in absent], "champion_rows")
    if len(read) != len(rows):
        raise InvalidInputError.of(
            "champion_rows", read=f"{len(read)} rows", accepted=f"the {len(rows)} evaluation rows"
        )
    others = dict(zip((ref for ref, _ in absent), read.columns, strict=True))
    columns: tuple[np.ndarray[Any, Any], ...] = tuple({**known, **others}[ref] for ref in wanted)
    return columns
