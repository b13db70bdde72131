"""The start of a run: its code, its defaults, its feature set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from understudy.control.client import RegistryClient
from understudy.control.identity import default_actor
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.versions import checked_model_name
from understudy.features.decisions.feature_columns import FeatureColumn, columns_of
from understudy.features.views import load_views
from understudy.provenance.capture import CodeFacts
from understudy.provenance.capture import start_run as start_recording
from understudy.provenance.code_facts import InstalledCode
from understudy.train.defaults import FILE, read_defaults
from understudy.train.place import Place, find_place
from understudy.train.run import Run
from understudy.train.steps import Beginning


def start_run(
    model: str,
    *,
    features: Sequence[str] = (),
    seeds: Mapping[str, int] | None = None,
    views: Path | None = None,
    lockfile: Path | None = None,
    registry: str | None = None,
    author: str | None = None,
    directory: Path | None = None,
    entry_point: str | None = None,
    installed: InstalledCode | None = None,
    run_id: str | None = None,
) -> Run:
    """Record the start of a training, before the model is fitted.

    The state of the code is that of now: files that the training itself writes do not count. All
    arguments but the model's name may have a default in pyproject.toml, `[tool.understudy]`.

    Args:
        model: name of the model.
        features: `view@version:feature`, in the order of the model's columns; empty for those
            of pyproject.toml, or all features of the file of views if it has a single view.
        seeds: seeds that the model does not tell, e.g. of the split.
        views: file of the feature views, YAML.
        lockfile: of the training environment.
        registry: HOST:PORT.
        author: the identity that registers; None for user@host.
        directory: of the training code; None for that of the script or notebook.
        entry_point: module or script; None for the running one.
        installed: the distribution to identify the code by, where there is no clean checkout.
        run_id: an id by which the run can be found; None for a new one.

    Raises:
        InvalidInputError: a default is unknown, or there are no views, or a feature is in none.
    """
    found = find_place()
    notes = found.notes if entry_point is None else ()
    place = Place(directory or found.directory, entry_point or found.entry_point, notes)
    defaults = read_defaults(place.directory)
    people = defaults.people_of(model)
    identity = author or people.get("author") or default_actor()
    code = CodeFacts(place.directory, place.entry_point, installed)
    columns = _columns(features or defaults.features_of(model), views or defaults.views)
    beginning = Beginning(
        model=checked_model_name(model),
        started=start_recording(defaults.builder or identity, run_id, code=code),
        code=code,
        columns=columns,
        people={**people, "author": identity},
        data=defaults.data_of(model),
        policy=defaults.policy_of(model),
        seeds=dict(seeds or {}),
        lockfile=lockfile or defaults.lockfile,
        notes=place.notes,
    )
    target = registry or defaults.registry
    return Run(beginning, RegistryClient(target, actor=identity))


def _columns(features: Sequence[str], file: Path | None) -> tuple[FeatureColumn, ...]:
    if file is None:
        raise InvalidInputError.of(
            "views", read="None", accepted=f"a file, as an argument or in {FILE}: tool.understudy"
        )
    views = load_views(file)
    refs = [FeatureRef.parse(text, "features") for text in features]
    return columns_of(refs or _all_features(views), views)


def _all_features(views: Sequence[FeatureView]) -> list[FeatureRef]:
    if len(views) != 1:
        raise InvalidInputError.of(
            "features",
            read=f"none, and {len(views)} views",
            accepted="view@version:feature for each column, as an argument or in pyproject.toml",
        )
    (view,) = views
    return [FeatureRef(view.name, view.version, feature.name) for feature in view.features]
