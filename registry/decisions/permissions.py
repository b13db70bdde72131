"""The one table of calls and roles. A call that is not in it is refused to all."""

from collections.abc import Mapping
from types import MappingProxyType

from understudy.domain.errors import PermissionRefusedError
from understudy.domain.identities import Identity, Role, require_role

_READERS = frozenset(
    {Role.VIEWER, Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.CONTROLLER, Role.ADMIN}
)
_CHANGERS = frozenset({Role.OPERATOR, Role.CONTROLLER, Role.ADMIN})
_OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})

# Programs that act for people name them; a name of that kind proves nothing.
_DELEGATES = frozenset({Role.CONTROLLER, Role.ADMIN})

# Limits bind the people and programs that change deployments, so none of these breaks them alone.
_OVERRIDERS = frozenset({Role.ADMIN})

# Reports are not for admins: a report speaks for the process that sends it. Nor are votes: those who
# demand approvals do not give them.
ROLES_OF_CALL: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        "CheckVersion": frozenset({Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.ADMIN}),
        "RecheckVersion": frozenset({Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.ADMIN}),
        "RegisterVersion": frozenset({Role.AUTHOR, Role.ADMIN}),
        "SignVersion": frozenset({Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.ADMIN}),
        "FetchArtifactFile": frozenset(
            {Role.HOST, Role.AUTHOR, Role.APPROVER, Role.OPERATOR, Role.ADMIN}
        ),
        "ChangeDeployment": _CHANGERS,
        "SetBlock": _OPERATORS,
        "ForgetHost": _OPERATORS,
        "SetRetirement": _OPERATORS,
        "CollectArtifacts": frozenset({Role.ADMIN}),
        "CastVote": frozenset({Role.APPROVER}),
        "SetApprovalPolicy": frozenset({Role.ADMIN}),
        "SetTag": _CHANGERS,
        "RecordDrill": _OPERATORS,
        "BackupRegistry": frozenset({Role.ADMIN}),
        "RestoreRegistry": frozenset({Role.ADMIN}),
        "ReportScorers": frozenset({Role.HOST}),
        "ReportRouter": frozenset({Role.ROUTER}),
        "Watch": frozenset({Role.HOST, Role.ROUTER}),
        "ListVersions": _READERS,
        "GetVersion": _READERS,
        "GetDeployment": _READERS,
        "ListRevisions": _READERS,
        "ListTags": _READERS,
        "ListRollbackTargets": _READERS,
        "ListAudit": _READERS,
        "ListRefusals": _READERS,
        "VerifyRegistry": _READERS,
        "ExportAudit": _READERS,
        "GetAuditHead": _READERS,
        "GetStatus": _READERS,
    }
)


def require_permission(call: str, identity: Identity) -> None:
    """Return if one of the roles of `identity` may make `call`, a name in `ROLES_OF_CALL`.

    Raises:
        PermissionRefusedError: none may.
    """
    require_role(identity, call, ROLES_OF_CALL)


def require_delegation(identity: Identity) -> None:
    """Return if one of the roles of `identity` may act on behalf of others.

    Raises:
        PermissionRefusedError: none may.
    """
    _require(identity, _DELEGATES, "act on behalf of others")


def require_override(identity: Identity) -> None:
    """Return if one of the roles of `identity` may break limits of changes.

    Raises:
        PermissionRefusedError: none may.
    """
    _require(identity, _OVERRIDERS, "override limits")


def _require(identity: Identity, allowed: frozenset[Role], act: str) -> None:
    if not identity.roles & allowed:
        roles, needed = (", ".join(sorted(each)) for each in (identity.roles, allowed))
        raise PermissionRefusedError(
            f"{identity.name} ({roles}) may not {act}: that needs {needed}"
        )
