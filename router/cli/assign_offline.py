"""Assignment without a router: keys in, arms out, by the routers' rule."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.json_format import Parse, ParseError

from router.decisions.assignment import ArmWeight, Assigner, split_of
from understudy.control.client import RegistryClient
from understudy.control.wire import deployment_from_wire
from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError
from understudy.registry.v1 import registry_pb2
from understudy.runtime.open_streams import MOST_ID_CHARACTERS


def read_deployment(file: Path) -> Deployment:
    """Return the revision in `file`, as printed by `understudy registry history --output json`.

    Raises:
        InvalidInputError: the file is not readable, contains no deployment, or one that does not
            match its digest.
    """
    try:
        message = Parse(file.read_text(encoding="utf-8"), registry_pb2.Deployment())
    except (OSError, UnicodeDecodeError, ParseError) as error:
        raise InvalidInputError.of(
            str(file),
            read=str(error),
            accepted="a revision as JSON, as `registry history` shows it",
        ) from error
    deployment = deployment_from_wire(message)
    if message.digest and message.digest != deployment.digest:
        raise InvalidInputError.of(
            f"{file.name}: digest",
            read=message.digest,
            accepted=f"{deployment.digest}, of its content",
        )
    return deployment


def fetch_deployment(registry: str, model: str, revision: int | None) -> Deployment:
    """Return a revision from the registry, by default the current one.

    Raises:
        UnavailableError: the registry does not answer.
        NotFoundError: the registry has no such revision.
    """
    with RegistryClient(registry) as client:
        return deployment_from_wire(client.get_deployment(model, revision))


def assigned_arms(
    deployment: Deployment, lines: Iterable[bytes]
) -> Iterator[tuple[str, ArmWeight]]:
    """Return the unit key of each line with the arm that it is assigned to.

    Raises:
        InvalidInputError: a key that no router would accept; with its line.
    """
    split = split_of(deployment)
    assigner = Assigner(split)
    for number, line in enumerate(lines, start=1):
        unit_key = _unit_key(line.rstrip(b"\r\n"), number)
        yield unit_key, split.arms[assigner.assign(unit_key)]


def _unit_key(line: bytes, number: int) -> str:
    try:
        unit_key = line.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError.of(f"line {number}", read=line, accepted="UTF-8") from error
    if not 1 <= len(unit_key) <= MOST_ID_CHARACTERS:
        raise InvalidInputError.of(
            f"line {number}",
            read=f"{len(unit_key)} characters",
            accepted=f"a unit key of 1 to {MOST_ID_CHARACTERS}",
        )
    return unit_key
