"""Commands that create a deployment's next revision."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.arguments import parse_policy, parse_share
from registry.cli.declaration_file import read_rules
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
from understudy.control.client import DEFAULT_REGISTRY
from understudy.control.margins_file import margins_of_file
from understudy.domain.changes import (
    DeployChampion,
    Promote,
    RemoveCanary,
    RemoveShadow,
    SetCanary,
    SetFallback,
    SetHostLabels,
    SetRules,
    SetShadow,
    SetThreshold,
    Undeploy,
)
from understudy.domain.deployments import Fallback
from understudy.domain.errors import InvalidInputError
from understudy.domain.placement import listed_names
from understudy.domain.versions import GREATEST_VERSION, checked_model_name
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer()
Threshold = Annotated[
    str | None,
    typer.Option(
        help="keep, record or a number; the first champion brings that of its record, a later "
        "one with another record needs a choice"
    ),
]


@app.command()
def deploy(
    model: ModelOrVersion,
    version: Number = None,
    *,
    threshold: Threshold = None,
    fallback_score: Annotated[
        str | None,
        typer.Option(help="keep, record or a number, as --threshold; later that of the deployment"),
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
    """Make a version the champion; the first one brings threshold and fallback score of its record."""
    named = named_version(model, version, registry, output)
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    ref = named.ref
    change = DeployChampion(
        ref.number,
        parse_policy(threshold, "--threshold"),
        parse_policy(fallback_score, "--fallback-score"),
    )
    make_change(ref.model, change, how, named=named)


@app.command()
def shadow(
    model: ModelOrVersion,
    version: Number = None,
    *,
    sample: Annotated[
        str, typer.Option(help="share of answered traffic, e.g. 100%; 0% ends it")
    ] = "100%",
    refuse_defaults: Annotated[
        bool,
        typer.Option("--refuse-defaults", help="do not judge it on rows that would need defaults"),
    ] = False,
    margins: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="YAML: differences that do not matter [those it has]"),
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
    """Let a version rehearse on mirrored traffic, unseen by callers."""
    named = named_version(model, version, registry, output)
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    ref = named.ref
    share_bp, number = parse_share(sample, "--sample"), ref.number
    judged_by = None if margins is None else margins_of_file(margins)
    if judged_by is not None and not share_bp:
        raise InvalidInputError.of("--margins", read=margins, accepted="none for a share of 0%")
    change = (
        SetShadow(number, share_bp, refuse_defaults, judged_by)
        if share_bp
        else RemoveShadow(number)
    )
    make_change(ref.model, change, how, named=named)


@app.command()
def canary(
    model: ModelOrVersion,
    version: Number = None,
    *,
    weight: Annotated[
        str, typer.Option(help="share of live traffic, e.g. 10% or 250bp; 0% ends it")
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
    """Give a challenger a share of live traffic."""
    named = named_version(model, version, registry, output)
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    ref = named.ref
    share_bp, number = parse_share(weight, "--weight"), ref.number
    change = SetCanary(number, share_bp) if share_bp else RemoveCanary(number)
    make_change(ref.model, change, how, named=named)


@app.command()
def promote(
    model: ModelOrVersion,
    version: Number = None,
    *,
    threshold: Threshold = None,
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
    """Make a challenger the champion; without a version, the only one."""
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    choice = parse_policy(threshold, "--threshold")
    if version is None and "@" not in model:
        make_change(checked_model_name(model), Promote(None, choice), how)
    else:
        named = named_version(model, version, registry, output)
        make_change(named.ref.model, Promote(named.ref.number, choice), how, named=named)


@app.command()
def undeploy(
    model: Model,
    *,
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
    """End a deployment: callers get NOT_FOUND, its scorers end. A rollback begins it again."""
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    make_change(checked_model_name(model), Undeploy(), how)


@app.command()
def fallback(
    model: Model,
    *,
    version: Annotated[
        int | None, typer.Option(min=1, max=GREATEST_VERSION, help="version that answers instead")
    ] = None,
    last_score_max_age_s: Annotated[
        float | None,
        typer.Option(help="maximum age of the entity's last score to answer with [never]"),
    ] = None,
    constant_score: Annotated[
        float | None, typer.Option(help="score to answer with if all else fails")
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
    """Set the answers for a model that fails; replaces the whole ladder, no option clears it."""
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    ladder = Fallback(
        version=version,
        last_score_max_age_s=last_score_max_age_s,
        constant_score=constant_score,
    )
    make_change(checked_model_name(model), SetFallback(ladder), how)


@app.command()
def threshold(
    model: Model,
    *,
    value: Annotated[float | None, typer.Option(help="decision threshold [none]")] = None,
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
    """Set the score from which callers decide, or take it away."""
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    make_change(checked_model_name(model), SetThreshold(value), how)


@app.command()
def place(
    model: Model,
    *,
    labels: Annotated[
        str | None, typer.Option(help="that a host must have, e.g. gpu,zone=eu; of all versions")
    ] = None,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="any host may run it")] = False,
    reason: Reason,
    dry_run: DryRun = False,
    expect_revision: Expect = None,
    override: Override = None,
    wait: Wait = True,
    registry: Registry = DEFAULT_REGISTRY,
    actor: Actor = None,
    output: Output = Format.TABLE,
) -> None:
    """Set the labels of the hosts that may run a model."""
    how = ChangeOptions(reason, dry_run, expect_revision, wait, registry, actor, output, override)
    asked = listed_names(labels or "")
    if bool(asked) is anywhere:
        raise InvalidInputError.of(
            "--labels", read=labels, accepted="labels between commas, or --anywhere"
        )
    make_change(checked_model_name(model), SetHostLabels(asked), how)


@app.command()
def rules(
    model: Model,
    *,
    file: Annotated[Path, typer.Option(help="YAML: a list of rules; an empty list clears them")],
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
    """Replace the rules that decide before the model."""
    how = ChangeOptions(
        reason, dry_run, expect_revision, wait, registry, actor, output, override, on_behalf_of
    )
    make_change(checked_model_name(model), SetRules(read_rules(file)), how)
