"""Options of an ONNX Runtime session, in a module that does not import ONNX Runtime."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Session options; the defaults apply to scorers, inspections and recording golden vectors."""

    intra_op_threads: int = 1
    inter_op_threads: int = 1
    spin: bool = False
    arena: bool = False
    memory_pattern: bool = False
