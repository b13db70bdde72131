"""Checks of the artifact: the record's claims against the registry's findings."""

from collections.abc import Iterator

from understudy.artifact.replay import tolerance_faults
from understudy.artifact.signature_match import signature_faults
from understudy.domain.versions import GOLDEN_FILE, MODEL_FILE, ScoreOutput, TensorSpec
from understudy.gate.submission import Submission
from understudy.provenance.artifact_record import Artifact, Tensor
from understudy.provenance.findings import NOTHING, Finding, shown
from understudy.provenance.inspection import Inspection

_NO_SCORE = frozenset({"BYTES", "BOOL"})  # datatypes that cannot be a score


def artifact_findings(submission: Submission, declared: Artifact | None) -> Iterator[Finding]:
    """Yield the artifact's own faults, then the differences between it and the record."""
    paths = {file.path for file in submission.files}
    for required in (MODEL_FILE, GOLDEN_FILE):
        if required not in paths:
            yield Finding("artifact.files", f"{sorted(paths)}", f"also {required}")
    inspection = submission.inspection
    yield from inspection.problems
    if inspection.outputs:
        yield from _score_findings(submission.score_output, inspection.outputs)
        yield from _proof_findings(submission.score_output, inspection)
    if declared is not None:
        yield from _file_findings(submission, declared)
        if inspection.ir_version:
            yield from _fact_findings(inspection, declared)


def tensor_spec(tensor: Tensor) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.datatype, tensor.shape)


def _file_findings(submission: Submission, declared: Artifact) -> Iterator[Finding]:
    received = {file.path: file for file in submission.files}
    for index, claim in enumerate(declared.files):
        path = f"artifact.files[{index}]"
        file = received.get(claim.path)
        if file is None:
            yield Finding(f"{path}.path", claim.path, f"one of {sorted(received)}")
            continue
        if claim.sha256 != file.sha256:
            yield Finding(f"{path}.sha256", claim.sha256, f"{file.sha256}, as received")
        if claim.size_bytes != file.size_bytes:
            yield Finding(f"{path}.size_bytes", str(claim.size_bytes), str(file.size_bytes))
    for missing in sorted(received.keys() - {claim.path for claim in declared.files}):
        yield Finding("artifact.files", f"no entry for {missing}", "an entry for every file")


def _fact_findings(inspection: Inspection, declared: Artifact) -> Iterator[Finding]:
    claims = {
        "opsets": (declared.opsets, inspection.opsets),
        "ir_version": (declared.ir_version, inspection.ir_version),
        "producer": (declared.producer, inspection.producer),
    }
    if inspection.golden_rows:
        claims["golden.rows"] = (declared.golden.rows, inspection.golden_rows)
    for name, (claim, fact) in claims.items():
        if claim != fact:
            yield Finding(f"artifact.{name}", shown(claim), f"{shown(fact)}, as in the model")
    if inspection.inputs:
        yield from _signature_findings("inputs", declared.inputs, inspection.inputs)
        yield from _signature_findings("outputs", declared.outputs, inspection.outputs)
    yield from map(
        Finding.of, tolerance_faults(inspection.golden_differences, declared.golden.tolerance)
    )


def _signature_findings(
    side: str, declared: tuple[Tensor, ...], found: tuple[Tensor, ...]
) -> Iterator[Finding]:
    specs = ([tensor_spec(each) for each in tensors] for tensors in (declared, found))
    if signature_faults(side, *specs):
        claim, fact = shown(_written(declared)), shown(_written(found))
        yield Finding(f"artifact.{side}", claim, f"{fact}, as in the model")


def _written(tensors: tuple[Tensor, ...]) -> list[str]:
    return [f"{each.name} {each.datatype}{list(each.shape)}" for each in tensors]


def _proof_findings(score: ScoreOutput, inspection: Inspection) -> Iterator[Finding]:
    """Yield a finding if the golden vectors do not include the output of the score."""
    replayed = inspection.golden_differences
    given = {output.name for output in inspection.outputs}
    if replayed and score.output in given and score.output not in replayed:
        wanted = f"also out:{score.output}, the output of the score"
        yield Finding(GOLDEN_FILE, f"outputs {sorted(replayed)}", wanted)


def _score_findings(score: ScoreOutput, outputs: tuple[Tensor, ...]) -> Iterator[Finding]:
    by_name = {output.name: output for output in outputs}
    output = by_name.get(score.output)
    if output is None:
        yield Finding("score_output", score.output or NOTHING, f"one of {sorted(by_name)}")
        return
    if output.datatype in _NO_SCORE:
        yield Finding("score_output", f"{output.name} is {output.datatype}", "a numeric output")
    if len(output.shape) not in {1, 2}:
        yield Finding("score_output", f"{output.name} {list(output.shape)}", "shape [n] or [n, k]")
        return
    width = output.shape[1] if len(output.shape) == 2 else 1  # noqa: PLR2004 - rows and columns
    if not score.names_column and width > 1:
        read = f"no column of {output.name} {list(output.shape)}"
        accepted = f"a column from 0 to {width - 1}, such as {output.name}:{width - 1}"
        yield Finding("score_output", read, accepted)
    elif 0 <= width <= score.column:
        yield Finding("score_output", f"column {score.column}", f"a column from 0 to {width - 1}")
