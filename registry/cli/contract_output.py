"""Output of request contracts and of their changes."""

from collections.abc import Sequence

from registry.decisions.refused_requests import Counted
from understudy.control.wire import version_from_wire
from understudy.control.wire_enums import shown_name
from understudy.features.decisions.request_needs import request_needs
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen
from understudy.scoring.v1 import scoring_pb2

_MOST_NAMES = 8


def print_contract(deployment: pb.Deployment, output: Format) -> None:
    if output is Format.JSON:
        print_json(message_value(deployment.contract))
        return
    screen = Screen()
    screen.say(f"{deployment.model}: request contract of revision {deployment.revision}")
    screen.table(("part", "names"), contract_rows(deployment.contract, most_names=None))


def print_contract_change(
    response: pb.ChangeDeploymentResponse, screen: Screen, counted: Counted | None
) -> None:
    """Print both contracts and the logged requests that the new one refuses, for people."""
    before, after = response.before, response.after
    verb = "" if response.applied else " would be"
    screen.say(f"{after.model}: revision {before.revision} ->{verb} revision {after.revision}")
    both = zip(contract_rows(before.contract), contract_rows(after.contract), strict=True)
    rows = [(part, old, new) for (part, old), (_, new) in both]
    screen.table(("part", "before", "after"), rows)
    not_counted = "logged requests not counted: --logs DIR counts those that would be refused"
    screen.say(not_counted if counted is None else str(counted))
    if before.contract.unit_entity != after.contract.unit_entity:
        screen.say("the unit key is another one: units change their arms and last scores")


def print_contracts(deployments: Sequence[pb.Deployment], screen: Screen) -> None:
    """Print a row per deployment: the parts of the requests that it accepts."""
    named = [dict(contract_rows(each.contract)) for each in deployments]
    screen.table(
        ("model", *named[0]) if named else ("model",),
        [(each.model, *rows.values()) for each, rows in zip(deployments, named, strict=True)],
        title="requests",
    )


def needs_rows(version: pb.Version) -> list[tuple[str, str]]:
    """Return the parts of a request that a version can use, for a table."""
    spec = version_from_wire(version)
    needs = request_needs(
        spec.feature_set, spec.feature_views, [each.name for each in spec.outputs]
    )
    return [
        ("entities", _listed(needs.entities)),
        ("only in requests", _listed(sorted(needs.request_only))),
    ]


def contract_rows(
    contract: scoring_pb2.RequestContract, *, most_names: int | None = _MOST_NAMES
) -> list[tuple[str, str]]:
    """Return the parts of a contract with their names, up to `most_names` features, for a table."""
    features = [f"{each.name} {_dtype(each.dtype)}" for each in contract.features[:most_names]]
    if more := len(contract.features) - len(features):
        features.append(f"{more} more")
    unit_key = contract.unit_entity if contract.HasField("unit_entity") else "the request id"
    return [
        ("requires", _listed(contract.required_entities)),
        ("accepts entities", _listed(contract.entities)),
        ("unit key", unit_key),
        ("accepts features", _listed(features)),
        ("outputs", _listed(contract.outputs)),
    ]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _dtype(dtype: scoring_pb2.FeatureDtype.ValueType) -> str:
    return shown_name(scoring_pb2.FeatureDtype.Name(dtype), "FEATURE_DTYPE")
