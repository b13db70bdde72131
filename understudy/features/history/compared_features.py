"""The features that an audit can compare: logged numbers of stored views of the entity of the keys."""

from collections.abc import Sequence

from understudy.domain.errors import NotFoundError
from understudy.domain.features import FeatureDtype, FeatureRef, FeatureView, LogPolicy, ViewKind


def why_not_compared(ref: FeatureRef, views: Sequence[FeatureView], entity: str) -> str | None:
    """Return the reason for which a feature is not compared, or None.

    Raises:
        NotFoundError: its view is not among `views`.
    """
    view = _view_of(ref, views)
    if view.kind is not ViewKind.STORED:
        return "from the request" if view.kind is ViewKind.REQUEST else "computed"
    if view.entity != entity:
        return f"of entity {view.entity}"
    feature = next((each for each in view.features if each.name == ref.feature), None)
    if feature is None:
        return None
    match feature.log:
        case LogPolicy.HASH:
            return "logged as a digest"
        case LogPolicy.NONE:
            return "not logged"
        case _:
            return "a text" if feature.dtype is FeatureDtype.STRING else None


def _view_of(ref: FeatureRef, views: Sequence[FeatureView]) -> FeatureView:
    name = f"{ref.view}@{ref.view_version}"
    for view in views:
        if str(view) == name:
            return view
    raise NotFoundError("feature view", name)
