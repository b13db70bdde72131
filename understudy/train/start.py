"""The start of a run: its code, its defaults, its feature set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from understudy.control.client import RegistryClient
from understudy.control.identity import default_actor
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.versions import checked_model_name
from understudy.features.decisions.feature_columns import FeatureColumn, columns_of
from understudy.features.views import load_views
from understudy.provenance.capture import CodeFacts, StartedRun
from understudy.provenance.capture import start_run as start_recording
from understudy.provenance.code_facts import InstalledCode
from understudy.runtime.transport.transport import Transport
from understudy.train.defaults import FILE, read_defaults
from understudy.train.elsewhere import Elsewhere
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
    access: Transport | None = None,
    owner: str | None = None,
    author: str | None = None,
    contact: str | None = None,
    approver: str | None = None,
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
        access: to the registry; None for that of commands: of the environment, or of a stack of
            this user.
        owner: team or person responsible for the model.
        author: the identity that registers; None for user@host.
        contact: where to ask.
        approver: the person who approved; not the author.
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
    code = CodeFacts(place.directory, place.entry_point, installed)
    started = start_recording("", run_id, code=code)
    return begin(
        model,
        started=started,
        code=code,
        directory=place.directory,
        features=features,
        views=views,
        seeds=seeds,
        registry=registry,
        access=access,
        people={"owner": owner, "author": author, "contact": contact, "approver": approver},
        lockfile=lockfile,
        notes=notes,
    )


def begin(
    model: str,
    *,
    started: StartedRun,
    code: CodeFacts,
    directory: Path | None,
    features: Sequence[str] = (),
    views: Path | None = None,
    seeds: Mapping[str, int] | None = None,
    registry: str | None = None,
    access: Transport | None = None,
    people: Mapping[str, str | None] | None = None,
    lockfile: Path | None = None,
    notes: tuple[str, ...] = (),
    elsewhere: Elsewhere | None = None,
) -> Run:
    """Return a run with the defaults of `directory`; see `start_run`.

    Args:
        model: as in `start_run`, as are the others that are not named here.
        started: a builder of "" stands for that of pyproject.toml, or the author.
        code: of the training.
        directory: the search for pyproject.toml begins here; None for that of the running program.
        features: as in `start_run`.
        views: as in `start_run`.
        seeds: as in `start_run`.
        registry: as in `start_run`.
        access: as in `start_run`.
        people: owner, author, contact, approver; None for the defaults.
        lockfile: as in `start_run`.
        notes: for the report.
        elsewhere: facts of a training that does not run here.
    """
    defaults = read_defaults(directory or find_place().directory)
    given = {name: each for name, each in (people or {}).items() if each}
    known = {"author": default_actor(), **defaults.people_of(model), **given}
    identity = known["author"]
    beginning = Beginning(
        model=checked_model_name(model),
        started=replace(started, builder=started.builder or defaults.builder or identity),
        code=code,
        columns=_columns(features or defaults.features_of(model), views or defaults.views),
        people=known,
        data=defaults.data_of(model),
        policy=defaults.policy_of(model),
        seeds=dict(seeds or {}),
        lockfile=lockfile or defaults.lockfile,
        notes=notes,
        elsewhere=elsewhere,
    )
    return Run(
        beginning, RegistryClient(registry or defaults.registry, actor=identity, access=access)
    )


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
