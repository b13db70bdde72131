"""The comparison of a model's inputs and outputs with its provenance. Pure."""

from collections.abc import Iterator, Sequence

from understudy.domain.errors import Fault
from understudy.domain.versions import DYNAMIC, TensorSpec


def signature_faults(
    side: str, registered: Sequence[TensorSpec], found: Sequence[TensorSpec]
) -> tuple[Fault, ...]:
    """Return the differences between the registered tensors and those of the model.

    Args:
        side: "inputs" or "outputs", for the faults' fields.
        registered: from the provenance.
        found: from the model; a dimension that the model leaves open may be registered as fixed.
    """
    return tuple(_faults(side, registered, found))


def _faults(
    side: str, registered: Sequence[TensorSpec], found: Sequence[TensorSpec]
) -> Iterator[Fault]:
    names = [spec.name for spec in found]
    wanted = [spec.name for spec in registered]
    if names != wanted:
        yield Fault(f"model {side}", str(names), f"{wanted}, as registered")
        return
    for there, here in zip(registered, found, strict=True):
        where = f"model {side} {here.name!r}"
        if here.datatype != there.datatype:
            yield Fault(f"{where} datatype", here.datatype, f"{there.datatype}, as registered")
        if not _fits(there.shape, here.shape):
            yield Fault(f"{where} shape", str(here.shape), f"{there.shape}, as registered")


def _fits(registered: tuple[int, ...], found: tuple[int, ...]) -> bool:
    return len(registered) == len(found) and all(
        here in (there, DYNAMIC) for there, here in zip(registered, found, strict=True)
    )
