"""A model that is ready: the meaning of a request to it, and the bytes of the answer."""

import time
from dataclasses import dataclass

from scorer.server.batcher import Arrays, Batcher
from scorer.server.request_reader import ReadRequest, RequestReader
from scorer.server.response_writer import ResponseWriter
from understudy.artifact.signature import Signature
from understudy.inference.request_parameters import check_no_sequence, timeout_s_of, wants_typed
from understudy.oip import inference_pb2 as pb


class ServedModel:
    """A signature with the reader, batcher and writer of its messages."""

    def __init__(
        self, signature: Signature, artifact_digest: str, reader: RequestReader, batcher: Batcher
    ) -> None:
        self.signature = signature
        self.artifact_digest = artifact_digest  # of the bytes that were loaded
        self.batcher = batcher
        self.writer = ResponseWriter(signature)
        self._reader = reader

    def read(self, request: pb.ModelInferRequest, remaining_s: float | None) -> "ModelRequest":
        """Read `request`; `remaining_s` is the time to its call's deadline, None without one.

        Raises:
            InvalidInputError: naming the field, the value read and the values accepted.
        """
        is_typed = False
        if request.parameters:
            check_no_sequence(request)
            remaining_s = _least(remaining_s, timeout_s_of(request))
            is_typed = wants_typed(request)
        deadline_s = None if remaining_s is None else time.monotonic() + remaining_s
        return ModelRequest(self, request.id, self._reader.read(request), deadline_s, is_typed)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request, read. Its answer is the bytes of a ModelInferResponse."""

    model: ServedModel
    request_id: str
    request: ReadRequest
    deadline_s: float | None  # monotonic
    wants_typed: bool

    def answer_at_once(self) -> bytes | None:
        """Return the answer if it need not wait; otherwise None, and `answer` must be used.

        Raises:
            The errors of `answer`.
        """
        arrays = self.model.batcher.run_at_once(self.request, deadline_s=self.deadline_s)
        return None if arrays is None else self._written(arrays)

    async def answer(self) -> bytes:
        """Return the answer.

        Raises:
            DeadlinePassedError: the deadline passed before the run.
            OverloadedError: the queue is full.
            InvalidInputError: the model cannot compute these values.
        """
        batcher = self.model.batcher
        return self._written(await batcher.run(self.request, deadline_s=self.deadline_s))

    def _written(self, arrays: Arrays) -> bytes:
        writer = self.model.writer
        write = writer.write_typed if self.wants_typed else writer.write
        return write(self.request_id, self.request.outputs, arrays)


def _least(one_s: float | None, other_s: float | None) -> float | None:
    return min((each for each in (one_s, other_s) if each is not None), default=None)
