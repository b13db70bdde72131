"""Translation of a shadow's margins to the registry's messages and back."""

from understudy.control.wire_enums import MEASURE_OF, MEASURES
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.margins import Costs, Margin, Margins
from understudy.registry.v1 import registry_pb2 as pb


def margins_from_wire(message: pb.SetShadow | pb.Shadow) -> Margins | None:
    """Return the margins of a message; None if it has none.

    Raises:
        InvalidInputError: a measure is not known, or the margins contradict each other.
    """
    if not message.HasField("margins"):
        return None
    given = message.margins
    unknown = [
        Fault(path, str(number), "a known measure")
        for path, number in (
            ("margins.primary", given.primary),
            *(
                (f"margins.margins[{at}].measure", each.measure)
                for at, each in enumerate(given.margins)
            ),
        )
        if number not in MEASURE_OF
    ]
    if unknown:
        raise InvalidInputError(unknown)
    costs = None
    if given.HasField("costs"):
        costs = Costs(given.costs.false_positive, given.costs.false_negative)
    each = tuple(Margin(MEASURE_OF[margin.measure], margin.size) for margin in given.margins)
    return Margins(MEASURE_OF[given.primary], each, costs)


def margins_to_wire(margins: Margins | None) -> pb.Margins | None:
    """Return the message; None for no margins."""
    if margins is None:
        return None
    costs = margins.costs
    return pb.Margins(
        primary=MEASURES[margins.primary],
        margins=[
            pb.Margin(measure=MEASURES[each.measure], size=each.size) for each in margins.each
        ],
        costs=None
        if costs is None
        else pb.DecisionCosts(
            false_positive=costs.false_positive, false_negative=costs.false_negative
        ),
    )
