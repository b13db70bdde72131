"""The provenance record, schema 1. Every field's description states the accepted values."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from understudy.provenance.artifact_record import OF_FILE, Artifact, Features
from understudy.provenance.fields import (
    TAG,
    Commit,
    Content,
    Count,
    Finite,
    Identifier,
    ImageDigest,
    Level,
    Location,
    Name,
    NotNegative,
    Part,
    Release,
    Sentence,
    Sha256,
    Text,
    Utc,
    WaivableFloat,
    WaivableSeeds,
    WaivableText,
    described,
)

SCHEMA_VERSION = 1
FROM_SCRATCH = "from scratch"  # the parent of a model that was trained anew

_REVISIONS = "the champions in the registry's revisions"


class GitSource(Part):
    """Code identified by a commit of a clean checkout."""

    kind: Literal["git"] = described("git")
    repository: Location = described("URL of the repository")
    commit: Commit = described("the commit that was checked out: 40 or 64 hex digits")
    dirty: Literal[False] = described(
        "false: no uncommitted changes at the start of the training. Commit, then train again"
    )
    changed_files: Annotated[tuple[Text, ...], Field(max_length=0)] = described(
        "empty: files with uncommitted changes at the start of the training", default=()
    )


class PackageSource(Part):
    """Code identified by the installed files: a digest over the files that ran."""

    kind: Literal["package"] = described("package")
    name: Text = described("name of the installed distribution")
    version: Identifier = described("version of the installed distribution")
    sha256: Sha256 = described("sha256 over path and sha256 of each of its source files")
    files: Count = described("number of files that the digest covers, at least 1")


def _source_kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"{TAG}{kind}" if kind in {"git", "package"} else None


CodeSource = Annotated[
    Annotated[GitSource, Tag(f"{TAG}git")] | Annotated[PackageSource, Tag(f"{TAG}package")],
    Discriminator(_source_kind),
]


class Code(Part):
    source: CodeSource = described(
        "{kind: git, repository, commit, dirty: false} or {kind: package, name, version, sha256, files}"
    )
    entry_point: Text = described("the module or script that ran, e.g. training.fraud")
    command_line: tuple[str, ...] = described(
        "the command line, one string per argument", min_length=1
    )


class Window(Part):
    """Bounds of the event times: from inclusive, to exclusive."""

    from_: Utc = described("no event is earlier; UTC", alias="from")
    to: Utc = described("every event is earlier; UTC, after `from`, not in the future")


class Label(Part):
    definition: Sentence = described("the meaning of the label, in a sentence")
    matured_at: Utc = described("labels known at this time were used, later ones were not; UTC")


class Dataset(Part):
    name: Text = described("a name for people")
    uri: Location = described("location of the data")
    content: Content = described("'sha256:<64 hex digits>' or 'snapshot:<id>'")
    rows: Count = described("number of rows, at least 1")
    window: Window = described("event-time window {from, to}: bounds that contain every event")
    label: Label = described("label definition and maturity cut-off")


class Split(Part):
    method: Literal["temporal", "random", "stratified", "grouped", "predefined"] = described(
        "temporal, random, stratified, grouped or predefined"
    )
    seed: int | None = described("the seed of a random or stratified split; null for the others")
    description: Sentence = described("how training and evaluation rows were separated")


class Data(Part):
    training: Dataset = described("the data the model was fitted on")
    evaluation: Dataset = described("the data the metrics were computed on")
    others: tuple[Dataset, ...] = described(
        "further data, e.g. for calibration; may be empty", default=()
    )
    split: Split = described("split method and seed")


class Parameters(Part):
    values: dict[str, Any] = described("resolved hyper-parameters, defaults included", min_length=1)
    sha256: Sha256 = described(
        "sha256 of the canonical JSON of `values`", checked="parameters.values, hashed anew"
    )


class Converter(Part):
    name: Name = described(
        "the program that wrote the ONNX file, as artifact.producer names it", checked=OF_FILE
    )
    version: Name = described("version of that program, as in artifact.producer", checked=OF_FILE)


class Environment(Part):
    lockfile_sha256: Sha256 | None = described("sha256 of the lockfile; or give image_digest")
    image_digest: ImageDigest | None = described(
        "'sha256:<64 hex>' of the container image; or give lockfile_sha256", default=None
    )
    python: Release = described("Python version")
    os: Text = described("operating system and release")
    cpu: Text = described("processor, e.g. 'x86_64, 8 cores'")
    gpu: Text = described("accelerator; 'no GPU' if there is none")
    onnxruntime: Release = described("version of ONNX Runtime")
    converter: Converter = described("converter {name, version}")
    packages: dict[Name, Release] = described(
        "version by package, of all packages involved: those of the estimator and the converter too",
        min_length=1,
    )


class Run(Part):
    id: Identifier = described("an id by which the run can be found, e.g. a job id")
    builder: Text = described("orchestrator or builder identity")
    started_at: Utc = described("start, UTC")
    ended_at: Utc = described("end, UTC, after the start and not in the future")


class Interval(Part):
    low: Finite = described("lower end")
    high: Finite = described("upper end")
    level: Level = described("coverage, 0.8 to 0.999, e.g. 0.95")
    method: Text = described("e.g. 'DeLong' or 'bootstrap, 2000 resamples, seed 7'")


class Metric(Part):
    name: Text = described("e.g. auc")
    value: Finite = described("a finite number")
    interval: Interval = described("{low, high, level, method}, around the value")
    n: Count = described("number of rows that it was computed on, at least 1")
    dataset: Content = described("content of the evaluation data, as under data.evaluation")
    slice: Text = described("'all', or a part of the data")


class FirstVersion(Part):
    first_version: Literal[True] = described(
        "true: there was no champion to compare with", checked=_REVISIONS
    )


class ChampionComparison(Part):
    champion: Name = described(
        "the champion of the time, e.g. fraud@3; it must exist", checked=_REVISIONS
    )
    metric: Name = described("name of one of the metrics")
    champion_value: Finite = described("the champion's value on the same data")
    difference: Finite = described("this version's value minus the champion's")
    dataset: Content = described("content of the evaluation data, as under data.evaluation")


def _comparison_kind(value: Any) -> str:
    first = isinstance(value, FirstVersion) or (
        isinstance(value, dict) and "first_version" in value
    )
    return f"{TAG}first" if first else f"{TAG}champion"


Comparison = Annotated[
    Annotated[FirstVersion, Tag(f"{TAG}first")]
    | Annotated[ChampionComparison, Tag(f"{TAG}champion")],
    Discriminator(_comparison_kind),
]


class Evaluation(Part):
    metrics: tuple[Metric, ...] = described("at least one metric", min_length=1)
    threshold: Finite | None = described(
        "the threshold that threshold-dependent metrics used; null if none of them has one"
    )
    comparison: Comparison = described("with the champion of the time, or {first_version: true}")


class Conversion(Part):
    rows: Count = described("rows on which original and ONNX were compared, at least 1")
    max_abs_difference: NotNegative = described(
        "largest difference from the original: absolute up to an answer of 1, above it relative"
    )
    tolerance: NotNegative = described("largest difference accepted")
    columns_with_missing: tuple[Text, ...] = described(
        "view@version:feature of each column that was missing in some of these rows, and is in some "
        "golden row",
        default=(),
        checked="replayed golden rows in which each is missing",
    )


class Parent(Part):
    version: Name = described(
        "'from scratch', or the parent version, e.g. fraud@3", checked="the registered versions"
    )
    conversion: Conversion = described("{rows, max_abs_difference, tolerance}")


class People(Part):
    owner: Text = described("team or person responsible for the model")
    author: Text = described("the identity that registers; taken from the caller")
    contact: Text = described("where to ask, e.g. an address or a channel")
    approver: Text = described("the person who approved; not the author")


class Policy(Part):
    intended_use: Sentence = described("what the score may and may not be used for")
    decision_threshold: WaivableFloat | None = described(
        "threshold of the decision, or a waiver; null if evaluation.threshold is null, as for "
        "regressors and rankers"
    )
    fallback_score: WaivableFloat = described("score if the model cannot answer, or a waiver")
    revalidate_by: date = described("a date in the future, at most 5 years ahead, YYYY-MM-DD")
    licence: WaivableText = described("licence of model and data, or a waiver")


class Seeds(Part):
    values: WaivableSeeds = described(
        "seed by name, at least one; or a waiver with the reason why the training has none"
    )


class Provenance(Part):
    """The provenance of a version. Groups are checked separately, then together."""

    schema_version: Literal[1] = described("1")
    artifact: Artifact = described("files, signature and golden vectors")
    code: Code = described("the code that trained the model")
    data: Data = described("the data for training and evaluation")
    features: Features = described("the ordered inputs")
    parameters: Parameters = described("hyper-parameters")
    seeds: Seeds = described("seeds of every random generator")
    environment: Environment = described("the training environment")
    run: Run = described("the training run")
    evaluation: Evaluation = described("metrics")
    parent: Parent = described("the origin of the model")
    people: People = described("the people responsible for the model")
    policy: Policy = described("the permitted uses")
