"""Arguments of operators: versions as 7 or fraud@7, shares as 10% or 250bp."""

import re
from decimal import Decimal

from understudy.domain.deployments import FULL_SHARE_BP
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef, checked_model_name

_SHARE = re.compile(r"(?P<number>\d{1,5}(?:\.\d{1,4})?)(?P<unit>%|bp)")
_BP_PER_PERCENT = 100


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
