"""A model's inputs and outputs, compared with the registered ones."""

from understudy.artifact.signature_match import signature_faults
from understudy.domain.versions import DYNAMIC, TensorSpec


def spec(
    name: str = "X", datatype: str = "FP32", shape: tuple[int, ...] = (DYNAMIC, 3)
) -> TensorSpec:
    return TensorSpec(name, datatype, shape)


def test_a_model_may_leave_open_a_dimension_that_is_registered_as_fixed_but_not_the_reverse() -> (
    None
):
    fixed = spec(shape=(1, 3))

    assert signature_faults("inputs", [fixed], [spec()]) == ()
    (fault,) = signature_faults("inputs", [spec()], [fixed])
    assert fault.field == "model inputs 'X' shape"


def test_each_difference_of_a_signature_is_named() -> None:
    faults = signature_faults("outputs", [spec()], [spec(datatype="FP64", shape=(DYNAMIC,))])

    assert [fault.field for fault in faults] == [
        "model outputs 'X' datatype",
        "model outputs 'X' shape",
    ]
    (named,) = signature_faults("outputs", [spec()], [spec(name="Z")])
    assert named.read == "['Z']"
