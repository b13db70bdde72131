"""Arguments of operators: versions as 7 or fraud@7, shares as 10% or 250bp."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite, nan

from understudy.control.wire_values import LATEST_S
from understudy.domain.changes import PolicyChoice, PolicySource
from understudy.domain.deployments import FULL_SHARE_BP
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef, checked_model_name

_SHARE = re.compile(r"(?P<number>\d{1,5}(?:\.\d{1,4})?)(?P<unit>%|bp)")
_BP_PER_PERCENT = 100
_NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"[.,](\d+)")


def parse_version(model: str, version: str | None) -> VersionRef:
    """Return the version that `MODEL VERSION` or `MODEL@NUMBER` names.

    Raises:
        InvalidInputError: no version is named, or two different models are.
    """
    if version is None:
        return VersionRef.parse(model)
    name = checked_model_name(model)
    text = version if "@" in version else f"{name}@{version}"
    ref = VersionRef.parse(text)
    if ref.model != name:
        raise InvalidInputError.of("version", read=version, accepted=f"a version of {name}")
    return ref


def parse_time_ns(text: str, field: str) -> int:
    """Return the end of the time that an ISO 8601 text names, in ns since 1970.

    Without a zone it is UTC. Without a fraction it is the end of that second, because tables show
    times in seconds, and the moment itself would come before the change that is meant.

    Raises:
        InvalidInputError: it is no time of 1970 to 9999, UTC.
    """
    accepted = "ISO 8601, 1970 to 9999, e.g. 2026-03-01T03:00 (UTC) or 2026-03-01T03:00+01:00"
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInputError.of(field, read=text, accepted=accepted) from error
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    since_s = (at - _EPOCH) // timedelta(seconds=1)
    if not 0 <= since_s <= LATEST_S:
        raise InvalidInputError.of(field, read=text, accepted=accepted)
    fraction = _FRACTION.search(text)
    fraction_ns = int(fraction[1].ljust(9, "0")[:9]) if fraction else _NS_PER_S - 1
    return since_s * _NS_PER_S + fraction_ns


def parse_policy(text: str | None, field: str) -> PolicyChoice | None:
    """Return the origin of a part of the policy, or its value; None for no choice.

    Raises:
        InvalidInputError: it is neither keep, nor record, nor a finite number.
    """
    if text is None or text in set(PolicySource):
        return None if text is None else PolicySource(text)
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise InvalidInputError.of(field, read=text, accepted="keep, record, or a finite number")
    return number


def parse_share(text: str, field: str) -> int:
    """Return basis points for `10%` or `250bp`.

    Raises:
        InvalidInputError: no unit, not whole basis points, or above 100%.
    """
    match = _SHARE.fullmatch(text.strip())
    accepted = "0% to 100% or 0bp to 10000bp, in whole basis points"
    if match is None:
        raise InvalidInputError.of(field, read=text, accepted=accepted)
    number = Decimal(match["number"])
    share_bp = number * _BP_PER_PERCENT if match["unit"] == "%" else number
    if share_bp != share_bp.to_integral_value() or share_bp > FULL_SHARE_BP:
        raise InvalidInputError.of(field, read=text, accepted=accepted)
    return int(share_bp)
