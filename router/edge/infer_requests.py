"""ModelInfer requests to a deployment: tensors are entities and features, rows are units.

    user    BYTES [N, 1]   an entity: the id of each unit
    amount  FP64  [N, 1]   a request-time feature: the value of each unit

The reader converts datatypes and shapes; admission decides on names and values, as for Score.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from router.admission.admit import Asked
from router.revision.request_names import RequestNames
from understudy.artifact.signature import DTYPE_OF
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureScalar
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.inference.request_parameters import timeout_s_of, wants_typed
from understudy.inference.tensor_reader import TensorReader, check_parameters
from understudy.oip import inference_pb2 as pb

MOST_ROWS = 1_000
MOST_VALUES = 20_000  # of all rows: read in one turn of the event loop
SCORE = "score"
DECISION = "decision"
SERVED_VERSION = "served_version"
SERVED_ARM = "served_arm"
DEGRADATION_LEVEL = "degradation_level"
REQUEST_ID = "request_id"
OUR_OUTPUTS = (SCORE, DECISION, SERVED_VERSION, SERVED_ARM, DEGRADATION_LEVEL, REQUEST_ID)
_TEXT = "BYTES"
# Triton's parameters for stateful models and its scheduler: ignoring them would change the answer.
_REFUSED_PARAMETERS = frozenset({"sequence_id", "sequence_start", "sequence_end", "priority"})
_KINDS = {str: "string_param", float: "double_param", bool: "bool_param"}


class InferAsked(NamedTuple):
    """A request, read: one unit per row, and the form of its answer. A tuple, like `Asked`."""

    rows: Sequence[Asked]
    outputs: tuple[str, ...]  # names of the tensors to answer with, in order
    remaining_s: float | None  # the request's own time limit
    wants_typed: bool


class InferReader:
    """Reads requests to one deployment; compiled once per revision."""

    def __init__(self, names: RequestNames) -> None:
        self._names = names
        self._readers: dict[tuple[str, str, int], TensorReader] = {}
        self._all_outputs = _outputs_of((SCORE, *names.output_names))
        self._known_outputs = frozenset({*OUR_OUTPUTS, *names.output_names})

    def read(self, request: pb.ModelInferRequest) -> InferAsked:
        """Return the units of `request`.

        Raises:
            InvalidInputError: naming tensor, field, the value read and the values accepted.
        """
        columns = self._columns(request)
        outputs, wanted = self._outputs(request) if request.outputs else self._all_outputs
        unit_key, threshold, include_digests = _options(request)
        entities: list[tuple[str, list[str]]] = []
        features: list[tuple[str, list[FeatureScalar]]] = []
        for name, column in columns.items():
            (entities if name in self._names.entity_types else features).append((name, column))
        ids = _request_ids(request.id, len(column) if columns else 1)
        rows = [
            Asked(
                request.model_name,
                request_id,
                unit_key,
                {name: column[row] for name, column in entities},
                {name: column[row] for name, column in features},
                threshold,
                wanted,
                include_digests,
            )
            for row, request_id in enumerate(ids)
        ]
        if not request.parameters:
            return InferAsked(rows, outputs, None, wants_typed=False)
        return InferAsked(rows, outputs, timeout_s_of(request), wants_typed(request))

    def _columns(self, request: pb.ModelInferRequest) -> dict[str, list[Any]]:
        """Return the values of each tensor, one per row."""
        tensors, raw = request.inputs, request.raw_input_contents
        if raw and len(raw) != len(tensors):
            raise InvalidInputError.of(
                "raw_input_contents",
                read=f"{len(raw)} entries",
                accepted=f"one per input in their order, {len(tensors)}; or none",
            )
        columns: dict[str, list[Any]] = {}
        rows: int | None = None
        for position, tensor in enumerate(tensors):
            name = tensor.name
            if name in columns:
                raise InvalidInputError.of("inputs", read=f"{name} twice", accepted="each once")
            _check_values(tensor, len(tensors))
            reader = self._reader_of(name, tensor.datatype, len(tensor.shape))
            column = reader.read(tensor, raw[position] if raw else None).ravel().tolist()
            if rows is not None and len(column) != rows:
                raise InvalidInputError.of(
                    f"input {name!r} shape",
                    read=list(tensor.shape),
                    accepted=f"{rows} rows, as the inputs before it have",
                )
            columns[name], rows = column, len(column)
        return columns

    def _reader_of(self, name: str, datatype: str, rank: int) -> TensorReader:
        key = (name, datatype, rank)
        reader = self._readers.get(key)
        if reader is None:
            reader = self._new_reader(name, datatype, rank)
            self._readers[key] = reader
        return reader

    def _new_reader(self, name: str, datatype: str, rank: int) -> TensorReader:
        is_entity = name in self._names.entity_types
        if not is_entity and name not in self._names.dtypes:
            known = ", ".join((*self._names.entity_types, *self._names.dtypes))
            raise InvalidInputError.of("inputs", read=name, accepted=f"each once of {known}")
        accepted = (_TEXT,) if is_entity else tuple(DTYPE_OF)
        if datatype not in accepted:
            raise InvalidInputError.of(
                f"input {name!r} datatype", read=datatype, accepted=f"one of {', '.join(accepted)}"
            )
        shape = (DYNAMIC,) if rank == 1 else (DYNAMIC, 1)
        return TensorReader(TensorSpec(name, datatype, shape), max_rows=MOST_ROWS)

    def _outputs(self, request: pb.ModelInferRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
        names: dict[str, None] = {}
        for output in request.outputs:
            if output.name in names or output.name not in self._known_outputs:
                accepted = ", ".join(sorted(self._known_outputs))
                raise InvalidInputError.of(
                    "outputs", read=output.name, accepted=f"each once of {accepted}"
                )
            if output.parameters:
                check_parameters(f"output {output.name!r}", output.parameters)
            names[output.name] = None
        return _outputs_of(names)


def _outputs_of(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tensors to answer with, and those among them that the model supplies."""
    outputs = tuple(dict.fromkeys(names))
    return outputs, tuple(name for name in outputs if name not in OUR_OUTPUTS)


def _check_values(tensor: pb.ModelInferRequest.InferInputTensor, tensors: int) -> None:
    """Refuse a request with too many values before any of them is read."""
    rows = tensor.shape[0] if tensor.shape else 0
    if rows * tensors > MOST_VALUES:
        raise InvalidInputError.of(
            f"input {tensor.name!r} shape",
            read=f"{rows} rows of {tensors} inputs",
            accepted=f"at most {MOST_VALUES} values: fewer rows in one request",
        )


def _request_ids(given: str, count: int) -> list[str | None]:
    """Return the request id of each row: outcomes are joined by it, so each row has its own."""
    if not given:
        return [None] * count
    return [given] if count == 1 else [f"{given}/{row}" for row in range(count)]


def _options(request: pb.ModelInferRequest) -> tuple[str | None, float | None, bool]:
    """Return unit key, decision threshold, and whether digests are wanted."""
    if not request.parameters:
        return None, None, False
    refused = sorted(_REFUSED_PARAMETERS.intersection(request.parameters))
    if refused:
        raise InvalidInputError.of(
            "parameters", read=refused, accepted="none for stateful models or Triton's scheduler"
        )
    return (
        _parameter(request, "unit_key", str),
        _parameter(request, "decision_threshold", float),
        _parameter(request, "include_digests", bool) or False,
    )


def _parameter(request: pb.ModelInferRequest, name: str, kind: type) -> Any:
    chosen = request.parameters.get(name)
    if chosen is None:
        return None
    sent = chosen.WhichOneof("parameter_choice")
    if sent != _KINDS[kind]:
        raise InvalidInputError.of(f"parameters[{name}]", read=sent, accepted=_KINDS[kind])
    return getattr(chosen, sent)
