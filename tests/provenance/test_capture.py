"""Captured facts are correct: hashes, commits, intervals."""

import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.artifact.models import doubling_artifact
from understudy.domain.canonical import canonical_json, digest_of_text
from understudy.domain.errors import InvalidInputError
from understudy.provenance.artifact_facts import artifact_facts
from understudy.provenance.capture import (
    CodeFacts,
    compare_with_champion,
    conversion_facts,
    start_run,
)
from understudy.provenance.code_facts import InstalledCode, code_source
from understudy.provenance.content import content_of
from understudy.provenance.environment_facts import environment_facts, installed
from understudy.provenance.estimator_facts import parameter_facts, seed_facts
from understudy.provenance.metrics import auc_interval, classifier_metrics, mean_interval
from understudy.provenance.producer import UNNAMED, names_of_package, names_producer
from understudy.runtime.distribution import SERVING

US = InstalledCode(SERVING, ("understudy.domain",))


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(directory), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("fit()\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "train")
    return tmp_path


def test_a_clean_checkout_is_named_by_its_commit(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://example.org/train.git")

    assert code_source(checkout, US) == {
        "kind": "git",
        "repository": "https://example.org/train.git",
        "commit": git(checkout, "rev-parse", "HEAD"),
        "dirty": False,
    }


def test_a_checkout_without_a_remote_is_named_by_its_path(checkout: Path) -> None:
    assert code_source(checkout)["repository"] == checkout.as_uri()


@pytest.mark.parametrize("name", ["train.py", "new.py"])
def test_a_dirty_checkout_is_recorded_as_dirty(checkout: Path, name: str) -> None:
    (checkout / name).write_text("other()\n")

    assert code_source(checkout)["dirty"] is True


def test_a_dirty_checkout_names_its_files(checkout: Path) -> None:
    (checkout / "train.py").write_text("fit_more()\n")
    (checkout / "new file.txt").write_text("x")
    git(checkout, "mv", "-f", "train.py", "training.py")

    assert sorted(code_source(checkout)["changed_files"]) == ["new file.txt", "training.py"]


def test_of_many_changed_files_the_first_are_named(checkout: Path) -> None:
    for number in range(30):
        (checkout / f"n{number:02}").write_text("x")

    files = code_source(checkout)["changed_files"]

    assert (files[0], files[-1], len(files)) == ("n00", "and 10 more", 21)


def test_outputs_of_the_run_do_not_make_its_checkout_dirty(checkout: Path) -> None:
    run = start_run("nightly", code=CodeFacts(checkout, "train"))

    (checkout / "model.onnx").write_bytes(b"written by the run")

    assert run.source is not None
    assert run.source["dirty"] is False
    assert code_source(checkout)["dirty"] is True


def test_a_dirty_checkout_is_named_by_the_installed_files(checkout: Path) -> None:
    (checkout / "train.py").write_text("other()\n")

    source = code_source(checkout, US)

    assert (source["kind"], source["name"]) == ("package", SERVING)
    assert source["files"] > 5


def test_outside_a_checkout_nothing_is_invented(tmp_path: Path) -> None:
    assert code_source(tmp_path) == {"why": f"no git checkout with a commit at {tmp_path}"}


def test_files_that_git_ignores_are_not_named_by_its_commit(checkout: Path) -> None:
    ignored = checkout / ".venv"
    ignored.mkdir()
    (ignored / "train.py").write_text("other()\n")
    (ignored / ".gitignore").write_text("*\n")

    assert "why" in code_source(ignored)
    assert code_source(checkout)["dirty"] is False


def test_the_package_digest_depends_on_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "sample_training_code"
    package.mkdir()
    (package / "__init__.py").write_text("a = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    installed = InstalledCode(SERVING, ("sample_training_code",))

    first = code_source(tmp_path, installed)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    same = code_source(tmp_path, installed)
    (package / "__init__.py").write_text("a = 2\n")
    other = code_source(tmp_path, installed)

    assert first == same
    assert first["files"] == 1
    assert other["sha256"] != first["sha256"]


def test_of_a_package_in_two_folders_the_files_that_are_imported_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, content in (("first", "a = 1\n"), ("second", "a = 2\n")):
        package = tmp_path / folder / "sample_namespace" / "part"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(content)
    installed = InstalledCode(SERVING, ("sample_namespace",))
    monkeypatch.syspath_prepend(tmp_path / "first")
    alone = code_source(tmp_path, installed)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "second")])
    invalidate_caches()

    both = code_source(tmp_path, installed)

    assert both == alone
    assert alone["files"] == 1


def test_a_package_that_is_not_installed_is_left_empty(tmp_path: Path) -> None:
    source = code_source(tmp_path, InstalledCode("no-such-distribution", ("understudy.domain",)))

    assert (source["version"], source["sha256"]) == ("", "")


def test_equal_values_have_equal_content() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)

    assert content_of(array) == content_of(np.asfortranarray(array))
    assert content_of(array) == content_of(array.astype(">f4"))
    head = b"\0<f4\0(2, 3)\0"  # empty name, dtype, shape
    written = struct.pack("<Q", len(head)) + head + struct.pack("<6f", 0, 1, 2, 3, 4, 5)
    assert content_of(array) == f"sha256:{sha256(written).hexdigest()}"


@pytest.mark.parametrize(
    "other",
    [
        np.arange(6, dtype=np.float64).reshape(2, 3),
        np.arange(6, dtype=np.float32),
        np.arange(1, 7, dtype=np.float32).reshape(2, 3),
        np.array(["a", "b"]),
        np.array(["a", None], dtype=object),
        pa.table({"x": [1.0, 2.0]}),
    ],
)
def test_different_values_have_different_content(other: Any) -> None:
    assert content_of(other) != content_of(np.arange(6, dtype=np.float32).reshape(2, 3))


def test_content_covers_every_array_and_column_name() -> None:
    a, b = np.zeros(2), np.ones(2)

    assert content_of(a, b) != content_of(b, a)
    assert content_of(pa.table({"x": a})) != content_of(pa.table({"y": a}))
    assert content_of(np.array(["ab", "c"], object)) != content_of(np.array(["a", "bc"], object))


def test_parameters_are_resolved_and_digested() -> None:
    facts = parameter_facts(make_pipeline(StandardScaler(), LogisticRegression(C=2.5)))

    assert facts["values"]["logisticregression__C"] == 2.5
    assert facts["values"]["logisticregression__max_iter"] == 100, "defaults too"
    assert facts["values"]["standardscaler"] == "sklearn.preprocessing._data.StandardScaler"
    assert facts["sha256"] == digest_of_text(canonical_json(facts["values"]))


def test_only_integers_are_seeds() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(random_state=np.int64(5)))

    assert seed_facts(model, {"split": 3}) == {
        "values": {"logisticregression__random_state": 5, "split": 3}
    }
    assert seed_facts(LogisticRegression()) == {"values": {}}


def test_the_environment_describes_this_process(tmp_path: Path) -> None:
    facts = environment_facts(tmp_path / "missing.lock")

    assert facts["lockfile_sha256"] is None
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(facts["packages"]) >= {"numpy", "onnxruntime", "pytest"}
    assert "lightgbm" not in facts["packages"], "it has not been imported"
    assert facts["converter"] == {"name": UNNAMED, "version": UNNAMED}


@pytest.mark.parametrize(
    ("producer", "written", "converter", "package"),
    [
        ("skl2onnx", "1.20.0", "1.20.0", ("skl2onnx", "1.20.0")),
        ("OnnxMLTools", "1.16.0", "1.16.0", ("onnxmltools", "1.16.0")),
        ("pytorch", "2.9.0", "2.9.0", ("torch", "2.9.0")),
        ("CatBoost", "Git info:\n Branch: tags/v1.2.10\n Rev 9", "1.2.10", ("catboost", "1.2.10")),
    ],
)
def test_the_converter_is_the_one_that_the_file_names(
    producer: str, written: str, converter: str, package: tuple[str, str]
) -> None:
    facts = environment_facts(None, producer=producer, producer_version=written)

    assert facts["converter"] == {"name": producer, "version": converter}
    assert package in facts["packages"].items()


def test_a_text_without_a_version_gives_that_of_the_installed_package() -> None:
    def version(producer: str) -> object:
        facts = environment_facts(None, producer=producer, producer_version="Git info: b1")
        return facts["converter"]["version"]

    assert version("absent") == ""
    assert version("onnx") == installed("onnx")


@pytest.mark.parametrize(
    ("name", "version", "producer", "is_named"),
    [
        ("skl2onnx", "1.20.0", "skl2onnx 1.20.0", True),
        ("skl2onnx", "1.20.0", "OnnxMLTools 1.16.0", False),
        ("onnxmltools", "1.16.0", "OnnxMLTools 1.16.0", True),
        ("OnnxMLTools", "1.1", "OnnxMLTools 1.16.0", False),
        ("torch", "2.9.0", "pytorch 2.9.0", True),
        ("CatBoost", "1.2.10", "CatBoost Git info: Branch: tags/v1.2.10", True),
        ("CatBoost", "1.2.1", "CatBoost Git info: Branch: tags/v1.2.10", False),
        ("anything", "1", UNNAMED, True),
        ("mine", UNNAMED, "mine", True),
        ("mine", UNNAMED, "mine 2", False),
    ],
)
def test_a_converter_is_compared_with_the_producer_in_the_file(
    name: str, version: str, producer: str, is_named: bool
) -> None:
    assert names_producer(name, version, producer) == is_named


def scored(random: np.random.Generator, n: int = 60) -> tuple[Any, Any]:
    labels = np.tile([0, 1], n // 2)
    return labels, np.round(random.normal(size=n) + labels, 1)  # rounded: with ties


def brute_force_auc(labels: Any, scores: Any) -> tuple[float, float]:
    """DeLong, DeLong and Clarke-Pearson (1988), equations 2 to 6, pair by pair."""
    x, y = scores[labels == 1], scores[labels == 0]
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    auc = wins.mean()
    s10 = ((wins.mean(axis=1) - auc) ** 2).sum() / (len(x) - 1)
    s01 = ((wins.mean(axis=0) - auc) ** 2).sum() / (len(y) - 1)
    return float(auc), float(s10 / len(x) + s01 / len(y))


@pytest.mark.parametrize("seed", range(5))
def test_the_auc_and_its_variance_match_brute_force(seed: int) -> None:
    labels, scores = scored(np.random.default_rng(seed))
    auc, variance = brute_force_auc(labels, scores)

    value, low, high = auc_interval(labels, scores)

    assert value == pytest.approx(roc_auc_score(labels, scores)) == pytest.approx(auc)
    assert low == pytest.approx(auc - 1.959964 * variance**0.5)
    assert high == pytest.approx(min(1.0, auc + 1.959964 * variance**0.5))


def test_the_auc_interval_covers_the_truth_at_about_its_level() -> None:
    random = np.random.default_rng(1)
    truth = 0.7602499389  # of normal scores whose means are one apart: Phi(1 / sqrt 2)
    covered = 0
    for _ in range(500):
        labels = np.tile([0, 1], 60)
        _, low, high = auc_interval(labels, random.normal(size=120) + labels)
        covered += low <= truth <= high

    assert 0.92 <= covered / 500 <= 0.975


def test_the_bootstrap_interval_covers_the_mean_at_about_its_level() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        _, low, high = mean_interval(random.exponential(size=100), level=0.95, seed=seed)
        covered += low <= 1.0 <= high

    assert 0.90 <= covered / 200 <= 0.975


def test_metrics_are_repeatable_and_within_their_intervals() -> None:
    labels, scores = scored(np.random.default_rng(3))
    probability = 1 / (1 + np.exp(-scores))

    first = classifier_metrics(labels, probability, dataset="d", threshold=0.5, seed=1)
    second = classifier_metrics(labels, probability, dataset="d", threshold=0.5, seed=1)

    assert first == second
    assert [metric["name"] for metric in first] == ["auc", "brier", "accuracy"]
    for metric in first:
        assert metric["interval"]["low"] <= metric["value"] <= metric["interval"]["high"]


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0, 1], [0.5]), ([1, 1], [0.1, 0.2]), ([0, 2], [0.1, 0.2]), ([0, 1], [0.1, np.nan])],
)
def test_metrics_of_invalid_arrays_are_refused(labels: list[int], scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"labels must|1-D arrays|finite"):
        auc_interval(np.array(labels), np.array(scores))


def test_of_an_artifact_that_cannot_be_opened_the_reason_is_told(tmp_path: Path) -> None:
    doubling_artifact(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")

    with pytest.raises(InvalidInputError, match=r"model\.onnx: .* accepted: an ONNX model"):
        artifact_facts(tmp_path, 1e-5)


def test_of_an_artifact_without_golden_vectors_the_other_facts_are_told(tmp_path: Path) -> None:
    doubling_artifact(tmp_path)
    (tmp_path / "golden.npz").unlink()

    facts = artifact_facts(tmp_path, 1e-5)

    assert facts["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 3]}]
    assert facts["golden"] == {"rows": 0, "tolerance": 1e-5}


def test_conversion_is_the_largest_difference() -> None:
    facts = conversion_facts(np.array([0.5, 0.25]), np.array([0.5, 0.375]), tolerance=1e-3)

    assert facts == {"rows": 2, "max_abs_difference": 0.125, "tolerance": 1e-3}


def test_a_comparison_is_on_the_metrics_data() -> None:
    metric = {"name": "auc", "value": 0.75, "dataset": "sha256:1"}

    assert compare_with_champion("fraud@1", metric, 0.5) == {
        "champion": "fraud@1",
        "metric": "auc",
        "champion_value": 0.5,
        "difference": 0.25,
        "dataset": "sha256:1",
    }


def test_times_are_utc() -> None:
    from understudy.provenance.capture import dataset_facts  # noqa: PLC0415 - only here

    start = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=1)
    facts = dataset_facts(
        "d",
        uri="u",
        arrays=[np.zeros(1)],
        rows=1,
        window=(start, start),
        label="l",
        labels_matured_at=start,
    )

    assert facts["window"]["from"] == "2025-01-01T01:00:00+00:00"


def test_a_library_counts_under_the_name_of_each_of_its_packages() -> None:
    assert names_of_package("xgboost") == {"xgboost", "xgboost-cpu"}
    assert names_of_package("lightgbm") == {"lightgbm"}
