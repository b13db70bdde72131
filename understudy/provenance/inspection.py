"""The findings about an artifact that a process has loaded."""

from pydantic import BaseModel, ConfigDict

from understudy.provenance.artifact_record import Tensor
from understudy.provenance.findings import Finding


class Inspection(BaseModel):
    """The findings of a process that loaded the model. Fields that it did not reach are empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problems: tuple[Finding, ...] = ()
    opsets: dict[str, int] = {}
    ir_version: int = 0
    producer: str = ""  # as `written_producer`; "" if the model could not be read
    sends_missing_right: bool = False  # trees that disagree with scikit-learn on missing values
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    golden_rows: int = 0
    # Per input, the columns that are missing (NaN, or an empty text) in some golden row.
    golden_missing: tuple[tuple[int, ...], ...] = ()
    golden_differences: dict[str, float] = {}  # the largest absolute difference per golden output
    golden_answers: dict[str, tuple[float, float]] = {}  # least and greatest finite one, by output
    onnxruntime: str = ""
