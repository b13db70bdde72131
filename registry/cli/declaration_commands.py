"""Commands that declare several parts of a deployment at once, and the one that pauses challengers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from registry.cli.arguments import parse_share
from registry.cli.declaration_file import differences, read_declaration
from registry.cli.make_change import ChangeOptions, make_change
from registry.cli.named_version import named_version
from registry.cli.options import (
    Actor,
    DryRun,
    Expect,
    Model,
    ModelOrVersion,
    Number,
    OnBehalfOf,
    Override,
    Reason,
    Registry,
    Wait,
)
from registry.decisions.combination import Clearable, Combination, combined
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient
from understudy.control.wire import deployment_from_wire
from understudy.domain.changes import Pause
from understudy.domain.deployments import Fallback
from understudy.domain.errors import ConflictError, Fault, InvalidInputError
from understudy.domain.placement import listed_names
from understudy.domain.versions import GREATEST_VERSION, VersionRef, checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen

app = typer.Typer()

_COLOURS = {"+": "green", "-": "red"}


@app.command()
def apply(
    *,
    file: Annotated[
        Path,
        typer.Option("--file", "-f", help="YAML, as `status MODEL --output yaml` prints it"),
    ],
    reason: Reason,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    override: Override = None,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Declare a deployment as a file has it; a part that the file leaves out is absent."""
    model, change = read_declaration(file)
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    make_change(model, change, how, show=print_differences)


@app.command("set")
def set_(
    model: Model,
    *,
    champion: Annotated[
        int | None, typer.Option(min=1, max=GREATEST_VERSION, help="version that becomes champion")
    ] = None,
    canary: Annotated[
        list[str] | None,
        typer.Option(help="VERSION=SHARE of live traffic, e.g. 7=10%; 0% ends it; repeatable"),
    ] = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(help="VERSION=SHARE of answered traffic; 0% ends it; repeatable"),
    ] = None,
    fallback_version: Annotated[
        int | None, typer.Option(min=1, max=GREATEST_VERSION, help="version that answers instead")
    ] = None,
    last_score_max_age_s: Annotated[
        float | None, typer.Option(help="maximum age of the entity's last score to answer with")
    ] = None,
    constant_score: Annotated[
        float | None, typer.Option(help="score to answer with if all else fails")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="decision threshold")] = None,
    labels: Annotated[
        str | None, typer.Option(help="that a host must have to run the model, e.g. gpu,zone=eu")
    ] = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option(help="part to clear before the others are set; repeatable"),
    ] = None,
    reason: Reason,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    override: Override = None,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Set several parts of a deployment in one revision; parts that are not named stay."""
    wanted = Combination(
        champion=champion,
        canaries_bp=_shares(canary or (), "--canary"),
        shadows_bp=_shares(shadow or (), "--shadow"),
        fallback=Fallback(fallback_version, last_score_max_age_s, constant_score),
        decision_threshold=threshold,
        host_labels=_labels(labels),
        clears=frozenset(clear or ()),
    )
    if wanted == Combination():
        raise InvalidInputError([Fault("options", "no part", "at least one part to set or clear")])
    name = checked_model_name(model)
    with RegistryClient(registry) as client:
        current = deployment_from_wire(client.get_deployment(name))
    # The declaration is made from this revision and may follow no other.
    if expect_revision not in {None, current.revision}:
        raise ConflictError(f"{name} is at revision {current.revision}, not {expect_revision}")
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    make_change(
        name, combined(current, wanted), how, show=print_differences, made_from=current.revision
    )


@app.command()
def pause(
    model: ModelOrVersion,
    version: Number = None,
    *,
    reason: Reason,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    on_behalf_of: OnBehalfOf = None,
    output: Output = Format.TABLE,
) -> None:
    """Take the live traffic from a challenger, or from all; they stay loaded. A rollback resumes."""
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, on_behalf_of=on_behalf_of
    )
    if version is None and "@" not in model:
        make_change(checked_model_name(model), Pause(), how)
    else:
        named = named_version(model, version, registry, output)
        make_change(named.ref.model, Pause(named.ref.number), how, named=named)


def print_differences(response: pb.ChangeDeploymentResponse, screen: Screen) -> None:
    """Print a change as the differences between the files that declare both revisions."""
    after = response.after
    before = response.before if response.HasField("before") else None
    if response.revision == response.from_revision:
        screen.say(f"{after.model}: revision {after.revision} is as declared; nothing to change")
        return
    current = "not deployed" if before is None else f"revision {before.revision}"
    verb = "" if response.applied else " would be"
    screen.say(f"{after.model}: {current} ->{verb} revision {after.revision} ({after.digest[:12]})")
    for line in differences(before, after):
        if not line.startswith(("---", "+++", "@@")):
            screen.say((line, _COLOURS.get(line[:1], "")))


def _labels(text: str | None) -> tuple[str, ...]:
    """Return the labels; () if none are to be set.

    Raises:
        InvalidInputError: the text is empty, which might be meant to clear them.
    """
    labels = listed_names((text or "").strip())
    if text is not None and not labels:
        accepted = "labels between commas; --clear labels for any host"
        raise InvalidInputError.of("--labels", read=text, accepted=accepted)
    return labels


def _shares(texts: Sequence[str], option: str) -> dict[int, int]:
    """Return the share in basis points by version.

    Raises:
        InvalidInputError: one is not VERSION=SHARE, or a version is named twice.
    """
    shares_bp: dict[int, int] = {}
    for text in texts:
        version, separator, share = text.partition("=")
        number = VersionRef.parse(f"any@{version}", option).number if separator else 0
        if not separator or number in shares_bp:
            accepted = "VERSION=SHARE, e.g. 7=10%, each version once"
            raise InvalidInputError.of(option, read=text, accepted=accepted)
        shares_bp[number] = parse_share(share, option)
    return shares_bp
