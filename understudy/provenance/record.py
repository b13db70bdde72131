"""The provenance record, schema 1. Every field's description states the accepted values."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

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
    Size,
    Text,
    Utc,
    WaivableFloat,
    WaivableSeeds,
    WaivableText,
)

SCHEMA_VERSION = 1
FROM_SCRATCH = "from scratch"  # the parent of a model that was trained anew


_RECEIVED = "the received bytes"
_FILE = "the model's file"
_LOADED = "the loaded model"
_VIEWS = "the feature views"
_REVISIONS = "the champions in the registry's revisions"
CHECKED = "checked"  # in a field's schema: the fact with which the gate compares the field


def _d(description: str, *, checked: str | None = None, **rules: Any) -> Any:
    extra: dict[str, Any] = {} if checked is None else {"json_schema_extra": {CHECKED: checked}}
    return Field(description=description, **rules, **extra)


class FileFact(Part):
    path: Name = _d("the file's path below the artifact, e.g. model.onnx", checked=_RECEIVED)
    sha256: Sha256 = _d("sha256 of the file's bytes", checked=_RECEIVED)
    size_bytes: int = _d("size of the file in bytes", ge=0, checked=_RECEIVED)


class Tensor(Part):
    name: Name = _d("the tensor's name in the model", checked=_LOADED)
    datatype: Name = _d("Open Inference Protocol datatype, e.g. FP32", checked=_LOADED)
    # Not `checked`: a dimension that the model leaves open may be recorded as fixed.
    shape: tuple[Size, ...] = _d("sizes; -1 where any size is accepted")


class Golden(Part):
    rows: Count = _d("number of golden vectors in golden.npz, at least 1", checked="golden.npz")
    tolerance: NotNegative = _d(
        "largest absolute difference allowed in a replay, e.g. 1e-5",
        checked="a replay of the golden vectors",
    )


class Artifact(Part):
    files: tuple[FileFact, ...] = _d("every file of the artifact", min_length=1)
    opsets: dict[str, int] = _d(
        "opset version by operator domain ('' is ai.onnx)", min_length=1, checked=_FILE
    )
    ir_version: Count = _d("the model's ONNX IR version", checked=_FILE)
    producer: Name = _d(
        "the program that wrote the model: name and version as in its file, e.g. 'skl2onnx 1.20.0', "
        "or 'not named in the file'",
        checked=_FILE,
    )
    inputs: tuple[Tensor, ...] = _d("the model's inputs, in order", min_length=1)
    outputs: tuple[Tensor, ...] = _d("the model's outputs, in order", min_length=1)
    golden: Golden = _d("golden vectors: rows and tolerance")
    joins_rows: bool = _d(
        "false if an answer may depend on other rows of its run: each row then runs alone",
        default=True,
        checked="runs of the golden rows alone, together and in other orders",
    )


class GitSource(Part):
    """Code identified by a commit of a clean checkout."""

    kind: Literal["git"] = _d("git")
    repository: Location = _d("URL of the repository")
    commit: Commit = _d("the commit that was checked out: 40 or 64 hex digits")
    dirty: Literal[False] = _d(
        "false: no uncommitted changes at the start of the training. Commit, then train again"
    )
    changed_files: Annotated[tuple[Text, ...], Field(max_length=0)] = _d(
        "empty: files with uncommitted changes at the start of the training", default=()
    )


class PackageSource(Part):
    """Code identified by the installed files: a digest over the files that ran."""

    kind: Literal["package"] = _d("package")
    name: Text = _d("name of the installed distribution")
    version: Identifier = _d("version of the installed distribution")
    sha256: Sha256 = _d("sha256 over path and sha256 of each of its source files")
    files: Count = _d("number of files that the digest covers, at least 1")


def _source_kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"{TAG}{kind}" if kind in {"git", "package"} else None


CodeSource = Annotated[
    Annotated[GitSource, Tag(f"{TAG}git")] | Annotated[PackageSource, Tag(f"{TAG}package")],
    Discriminator(_source_kind),
]


class Code(Part):
    source: CodeSource = _d(
        "{kind: git, repository, commit, dirty: false} or {kind: package, name, version, sha256, files}"
    )
    entry_point: Text = _d("the module or script that ran, e.g. training.fraud")
    command_line: tuple[str, ...] = _d("the command line, one string per argument", min_length=1)


class Window(Part):
    """Bounds of the event times: from inclusive, to exclusive."""

    from_: Utc = _d("no event is earlier; UTC", alias="from")
    to: Utc = _d("every event is earlier; UTC, after `from`, not in the future")


class Label(Part):
    definition: Sentence = _d("the meaning of the label, in a sentence")
    matured_at: Utc = _d("labels known at this time were used, later ones were not; UTC")


class Dataset(Part):
    name: Text = _d("a name for people")
    uri: Location = _d("location of the data")
    content: Content = _d("'sha256:<64 hex digits>' or 'snapshot:<id>'")
    rows: Count = _d("number of rows, at least 1")
    window: Window = _d("event-time window {from, to}: bounds that contain every event")
    label: Label = _d("label definition and maturity cut-off")


class Split(Part):
    method: Literal["temporal", "random", "stratified", "grouped", "predefined"] = _d(
        "temporal, random, stratified, grouped or predefined"
    )
    seed: int | None = _d("the seed of a random or stratified split; null for the others")
    description: Sentence = _d("how training and evaluation rows were separated")


class Data(Part):
    training: Dataset = _d("the data the model was fitted on")
    evaluation: Dataset = _d("the data the metrics were computed on")
    others: tuple[Dataset, ...] = _d("further data, e.g. for calibration; may be empty", default=())
    split: Split = _d("split method and seed")


class FeatureColumn(Part):
    ref: Name = _d("view@version:feature", checked=_VIEWS)
    dtype: Literal["float32", "float64", "int64", "bool", "string"] = _d(
        "as in the feature view", checked=_VIEWS
    )
    default: float | int | bool | str | None = _d(
        "as in the feature view; null for none", checked=_VIEWS
    )
    max_age_s: float | None = _d("as in the feature view; null for never stale", checked=_VIEWS)
    input: Name | None = _d(
        "name of the model's input that reads it; null if names or datatypes leave no other",
        default=None,
    )


class Transform(Part):
    where: Literal["in_model", "before_loading"] = _d(
        "in_model: inside model.onnx; before_loading: done before features are loaded"
    )
    digest: Sha256 = _d(
        "in_model: sha256 of model.onnx; otherwise of the transforming code", checked=_RECEIVED
    )


class Features(Part):
    columns: tuple[FeatureColumn, ...] = _d("ordered as the model's input columns", min_length=1)
    digest: Sha256 = _d(
        "sha256 of the canonical JSON of `columns`", checked="features.columns, hashed anew"
    )
    view_digests: dict[str, str] = _d(
        "digest by view@version, for each view", min_length=1, checked=_VIEWS
    )
    transform: Transform = _d("where raw values become inputs, and a digest of it")


class Parameters(Part):
    values: dict[str, Any] = _d("resolved hyper-parameters, defaults included", min_length=1)
    sha256: Sha256 = _d(
        "sha256 of the canonical JSON of `values`", checked="parameters.values, hashed anew"
    )


class Converter(Part):
    name: Name = _d(
        "the program that wrote the ONNX file, as artifact.producer names it", checked=_FILE
    )
    version: Name = _d("version of that program, as in artifact.producer", checked=_FILE)


class Environment(Part):
    lockfile_sha256: Sha256 | None = _d("sha256 of the lockfile; or give image_digest")
    image_digest: ImageDigest | None = _d(
        "'sha256:<64 hex>' of the container image; or give lockfile_sha256", default=None
    )
    python: Release = _d("Python version")
    os: Text = _d("operating system and release")
    cpu: Text = _d("processor, e.g. 'x86_64, 8 cores'")
    gpu: Text = _d("accelerator; 'no GPU' if there is none")
    onnxruntime: Release = _d("version of ONNX Runtime")
    converter: Converter = _d("converter {name, version}")
    packages: dict[Name, Release] = _d(
        "version by package, of all packages involved: those of the estimator and the converter too",
        min_length=1,
    )


class Run(Part):
    id: Identifier = _d("an id by which the run can be found, e.g. a job id")
    builder: Text = _d("orchestrator or builder identity")
    started_at: Utc = _d("start, UTC")
    ended_at: Utc = _d("end, UTC, after the start and not in the future")


class Interval(Part):
    low: Finite = _d("lower end")
    high: Finite = _d("upper end")
    level: Level = _d("coverage, 0.8 to 0.999, e.g. 0.95")
    method: Text = _d("e.g. 'DeLong' or 'bootstrap, 2000 resamples, seed 7'")


class Metric(Part):
    name: Text = _d("e.g. auc")
    value: Finite = _d("a finite number")
    interval: Interval = _d("{low, high, level, method}, around the value")
    n: Count = _d("number of rows that it was computed on, at least 1")
    dataset: Content = _d("content of the evaluation data, as under data.evaluation")
    slice: Text = _d("'all', or a part of the data")


class FirstVersion(Part):
    first_version: Literal[True] = _d(
        "true: there was no champion to compare with", checked=_REVISIONS
    )


class ChampionComparison(Part):
    champion: Name = _d("the champion of the time, e.g. fraud@3; it must exist", checked=_REVISIONS)
    metric: Name = _d("name of one of the metrics")
    champion_value: Finite = _d("the champion's value on the same data")
    difference: Finite = _d("this version's value minus the champion's")
    dataset: Content = _d("content of the evaluation data, as under data.evaluation")


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
    metrics: tuple[Metric, ...] = _d("at least one metric", min_length=1)
    threshold: Finite | None = _d(
        "the threshold that threshold-dependent metrics used; null if none of them has one"
    )
    comparison: Comparison = _d("with the champion of the time, or {first_version: true}")


class Conversion(Part):
    rows: Count = _d("rows on which original and ONNX were compared, at least 1")
    max_abs_difference: NotNegative = _d(
        "largest difference from the original: absolute up to an answer of 1, above it relative"
    )
    tolerance: NotNegative = _d("largest difference accepted")
    columns_with_missing: tuple[Text, ...] = _d(
        "view@version:feature of each column that was missing in some of these rows", default=()
    )


class Parent(Part):
    version: Name = _d(
        "'from scratch', or the parent version, e.g. fraud@3", checked="the registered versions"
    )
    conversion: Conversion = _d("{rows, max_abs_difference, tolerance}")


class People(Part):
    owner: Text = _d("team or person responsible for the model")
    author: Text = _d("the identity that registers; taken from the caller")
    contact: Text = _d("where to ask, e.g. an address or a channel")
    approver: Text = _d("the person who approved; not the author")


class Policy(Part):
    intended_use: Sentence = _d("what the score may and may not be used for")
    decision_threshold: WaivableFloat | None = _d(
        "threshold of the decision, or a waiver; null if evaluation.threshold is null, as for "
        "regressors and rankers"
    )
    fallback_score: WaivableFloat = _d("score if the model cannot answer, or a waiver")
    revalidate_by: date = _d("a date in the future, at most 5 years ahead, YYYY-MM-DD")
    licence: WaivableText = _d("licence of model and data, or a waiver")


class Seeds(Part):
    values: WaivableSeeds = _d(
        "seed by name, at least one; or a waiver with the reason why the training has none"
    )


class Provenance(Part):
    """The provenance of a version. Groups are checked separately, then together."""

    schema_version: Literal[1] = _d("1")
    artifact: Artifact = _d("files, signature and golden vectors")
    code: Code = _d("the code that trained the model")
    data: Data = _d("the data for training and evaluation")
    features: Features = _d("the ordered inputs")
    parameters: Parameters = _d("hyper-parameters")
    seeds: Seeds = _d("seeds of every random generator")
    environment: Environment = _d("the training environment")
    run: Run = _d("the training run")
    evaluation: Evaluation = _d("metrics")
    parent: Parent = _d("the origin of the model")
    people: People = _d("the people responsible for the model")
    policy: Policy = _d("the permitted uses")
