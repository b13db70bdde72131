"""One training, recorded as it happens: start, code, data, model, metrics, policy; then the gate."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from understudy.control.client import RegistryClient
from understudy.control.uploads import NewVersion
from understudy.domain.errors import InvalidInputError, RefusedError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ScoreOutput, VersionRef
from understudy.gate.judge import Candidate
from understudy.provenance.capture import EvaluationFacts, compare_with_champion
from understudy.provenance.findings import Finding
from understudy.train.champion import (
    champion_columns,
    champion_of,
    measure_champion,
    open_champion,
)
from understudy.train.check_report import CheckReport
from understudy.train.convert_model import Wishes, convert_model
from understudy.train.evaluation import Truth, given_answers, measure, measure_answers
from understudy.train.judging import judge_offline
from understudy.train.original import original_of
from understudy.train.policy import completed_policy
from understudy.train.steps import Beginning, Evaluated, Modelled, needed, write_record
from understudy.train.training_data import Described, TrainingData, Window, read_training_data

AS_DEPLOYED = "as deployed"  # the champion of the registry's deployment, if there is one
GIVEN_SCORES = "the champion's value is of scores that were given, not computed from its artifact"


class Run:
    """A training. Close it, or use it in a `with` block: its files are temporary.

    The calls build on one another: `data`, `model`, `evaluate`, `policy`, then `check` or `register`.
    Every method raises InvalidInputError for input that does not fit, with all faults; and
    RefusedError if an earlier call is missing.
    """

    def __init__(self, beginning: Beginning, registry: RegistryClient) -> None:
        self._beginning = beginning
        self._registry = registry
        self._files = TemporaryDirectory(prefix="understudy-run-")
        self._data: TrainingData | None = None
        self._modelled: Modelled | None = None
        self._evaluated: Evaluated | None = None
        self._policy: Mapping[str, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the files of the run, and end its connection to the registry."""
        self._registry.close()
        self._files.cleanup()

    @property
    def artifact_dir(self) -> Path:
        """The folder of model.onnx and golden.npz."""
        return Path(self._files.name) / "artifact"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in the order of the model's columns."""
        return tuple(column.feature.name for column in self._beginning.columns)

    def data(
        self,
        training: Sequence[Any],
        evaluation: Sequence[Any],
        *,
        window: Window,
        labels_matured_at: datetime,
        split: str,
        uri: str = "",
        label: str = "",
        seed: int | None = None,
        evaluation_window: Window | None = None,
        description: str | None = None,
    ) -> None:
        """Record the data; their contents are hashed.

        Args:
            training: rows and labels that the model is fitted on. Rows are a data frame of pandas
                with a column per feature, or an array with a column per feature, in their order.
                Values follow the rules of loading: what a store cannot hold is refused.
            evaluation: rows and labels for parity, golden vectors and metrics.
            window: bounds that contain every event of the training data: from inclusive, to
                exclusive, with their zone.
            labels_matured_at: labels known at this time were used.
            split: temporal, random, stratified, grouped or predefined.
            uri: location of the data; "" for that of pyproject.toml.
            label: the meaning of the label; "" for that of pyproject.toml.
            seed: of a random or stratified split.
            evaluation_window: bounds of the evaluation data; None for the same.
            description: how rows were separated; None for a sentence with the numbers.
        """
        described = Described(
            uri=uri or self._beginning.data.get("uri", ""),
            label=label or self._beginning.data.get("label", ""),
            labels_matured_at=labels_matured_at,
            window=window,
            evaluation_window=evaluation_window,
            split=split,
            seed=seed,
            description=description,
        )
        features = [column.feature for column in self._beginning.columns]
        self._data = read_training_data(training, evaluation, features, described)

    def model(
        self,
        model: Any,
        *,
        kind: str | None = None,
        predict: Any = None,
        score: str | None = None,
        score_class: int | None = None,
        tolerance: float = 1e-4,
        inputs: Mapping[str, Sequence[str]] | None = None,
        parameters: Mapping[str, Any] | None = None,
        joins_rows: bool = True,
    ) -> None:
        """Convert the model by its library's own converter, and prove that both answer alike.

        Compared are the evaluation rows and copies of some of them in which, column by column, a
        value is missing (where the feature has no default), a text is new or a number is large.

        Args:
            model: of scikit-learn, LightGBM, XGBoost, CatBoost or PyTorch; or an ONNX file.
            kind: binary, multiclass, regression or ranking, where the model does not tell.
            predict: from rows to scores of shape (n,), by the original; needed for an ONNX file.
            score: OUTPUT or OUTPUT:COLUMN, where several outputs might be the score.
            score_class: column of the score's class, for several classes.
            tolerance: largest difference, absolute up to an answer of 1, above it relative.
            inputs: names of features by input, for a model with several inputs.
            parameters: further hyper-parameters, e.g. of the training of a network.
            joins_rows: False if an answer may depend on the other rows of a run.
        """
        data = needed(self._data, "data")
        original = original_of(model, kind)
        self.artifact_dir.mkdir(exist_ok=True)
        wishes = Wishes(
            predict=predict,
            score=None if score is None else ScoreOutput.parse(score),
            score_class=score_class,
            tolerance=tolerance,
            inputs=inputs,
            joins_rows=joins_rows,
        )
        converted = convert_model(
            original, self._beginning.columns, data.rows, wishes, self.artifact_dir
        )
        self._modelled = Modelled(original, converted, parameters or {}, tolerance, joins_rows)
        self._evaluated = None  # it was of another model

    def evaluate(
        self,
        *,
        threshold: float | None = None,
        queries: Any = None,
        at: int = 10,
        seed: int = 0,
        champion: str | None = AS_DEPLOYED,
        champion_rows: Any = None,
        champion_scores: Any = None,
    ) -> list[dict[str, Any]]:
        """Measure the converted model on the evaluation data, and the champion on the same rows.

        Args:
            threshold: of the decision, for a binary model.
            queries: the query of each evaluation row, for a ranking.
            at: number of ranks that count, for a ranking.
            seed: of the bootstrap.
            champion: AS_DEPLOYED asks the registry for the champion and scores it here; None
                records that there is none, which the registry refuses if there is.
            champion_rows: a data frame with the features that only the champion reads.
            champion_scores: the champion's answers to the evaluation rows, shape (n,), of a
                multi-class model (n, classes), where it cannot be opened; the report says so.

        Returns:
            The metrics of the record.

        Raises:
            UnavailableError: the registry does not answer.
        """
        data = needed(self._data, "data")
        modelled = needed(self._modelled, "model")
        truth = Truth(
            labels=data.labels,
            classes=modelled.original.classes,
            queries=queries,
            threshold=threshold,
            at=at,
            seed=seed,
            dataset=data.evaluation["content"],
        )
        kind, converted = modelled.original.kind, modelled.converted
        metrics = measure(converted.served, converted.score, data.rows.columns, kind, truth)
        found = None
        if champion is not None:
            found = champion_of(self._registry, self._beginning.model)
        if found is None and champion_scores is not None:
            raise InvalidInputError.of(
                "champion_scores",
                read="scores without a champion",
                accepted="None: the deployment has no champion, or it was not asked for",
            )
        comparison = None
        if found is not None:
            values = self._measured_champion(found, champion_rows, champion_scores, truth)
            comparison = compare_with_champion(str(found.ref), metrics[0], values[0]["value"])
        notes = (GIVEN_SCORES,) if champion_scores is not None else ()
        facts = EvaluationFacts(metrics, threshold, comparison)
        self._evaluated = Evaluated(facts, None if found is None else found.ref, notes)
        return metrics

    def _measured_champion(
        self, spec: VersionSpec, further: Any, scores: Any, truth: Truth
    ) -> list[dict[str, Any]]:
        kind = needed(self._modelled, "model").original.kind
        if scores is not None:
            return measure_answers(given_answers(scores, kind, truth), kind, truth)
        champion = open_champion(self._registry, spec, Path(self._files.name) / "champion")
        refs = tuple(column.ref for column in self._beginning.columns)
        rows = needed(self._data, "data").rows
        columns = champion_columns(champion, refs, rows, further)
        return measure_champion(champion, columns, kind, truth)

    def policy(self, **values: Any) -> None:
        """Declare intended_use, decision_threshold, fallback_score, revalidate_by, licence.

        Those with a default in pyproject.toml may be left out, and so may the decision threshold of
        a regressor or ranker; see `waiver` for other parts that do not apply.
        """
        today = self._beginning.started.started_at.date()
        self._policy = completed_policy(self._beginning.policy, values, today)

    def record(self) -> dict[str, Any]:
        """Return the provenance record, as JSON values; it ends the run."""
        data, modelled = needed(self._data, "data"), needed(self._modelled, "model")
        evaluated, begun = needed(self._evaluated, "evaluate"), self._beginning
        return write_record(
            begun,
            data=data,
            modelled=modelled,
            facts=evaluated.facts,
            policy=needed(self._policy, "policy"),
            artifact_dir=self.artifact_dir,
        )

    def check(self) -> CheckReport:
        """Return every reason of the gate against the version; nothing is registered.

        The gate is the registry's own code and runs here, in a child process for the model.
        """
        modelled = needed(self._modelled, "model")
        candidate = Candidate(
            model=self._beginning.model,
            artifact_dir=self.artifact_dir,
            record_json=json.dumps(self.record()),
            views=self._beginning.views,
            score_output=modelled.converted.score,
        )
        evaluated = needed(self._evaluated, "evaluate")
        report = judge_offline(
            candidate, author=self._beginning.people["author"], champion=evaluated.champion
        )
        notes = (*self._beginning.notes, *modelled.converted.agreement.notes, *evaluated.notes)
        return CheckReport(report.findings, notes)

    def register(self, *, reason: str) -> VersionRef:
        """Register the version; return its number.

        Args:
            reason: goes to the audit log.

        Raises:
            RefusedError: the registry's gate refuses the version; all findings are in the text.
            UnavailableError: the registry does not answer.
        """
        version = NewVersion(
            model=self._beginning.model,
            artifact_dir=self.artifact_dir,
            provenance_json=json.dumps(self.record()),
            views=self._beginning.views,
            score_output=needed(self._modelled, "model").converted.score,
            reason=reason,
        )
        answer = self._registry.register(version)
        if not answer.HasField("version"):
            found = tuple(Finding(f.field, f.read, f.wanted) for f in answer.report.findings)
            raise RefusedError(str(CheckReport(found, self._beginning.notes)))
        return VersionRef(answer.version.ref.model, answer.version.ref.number)
