"""The parts of a request that a version can use, from its feature set and views alone.

Unlike the compiled plan of a router it calls no function of an expression, so a registry needs no
package of functions to know it.
"""

import ast
from collections.abc import Iterator, Sequence

from understudy.domain.features import FeatureRef, FeatureView, ViewKind
from understudy.domain.request_contract import RequestFeature, VersionNeeds
from understudy.features.decisions.feature_columns import (
    FeatureColumn,
    column_names,
    columns_of,
    places_by_name,
)


def request_needs(
    feature_set: Sequence[FeatureRef], views: Sequence[FeatureView], outputs: Sequence[str]
) -> VersionNeeds:
    """Return the parts of a request that a version with these features and outputs can use.

    Raises:
        InvalidInputError: a feature is in no view.
    """
    columns = list(_named_columns(feature_set, views))
    by_name: dict[str, FeatureColumn] = {}
    for name, column in columns:
        by_name.setdefault(name, column)  # the feature set goes before inputs of expressions
    return VersionNeeds(
        entities=tuple(dict.fromkeys(c.view.entity for _, c in columns if c.is_stored)),
        features=tuple(
            sorted(RequestFeature(name, each.feature.dtype) for name, each in by_name.items())
        ),
        request_only=frozenset(
            name for name, each in by_name.items() if each.view.kind is ViewKind.REQUEST
        ),
        columns=tuple(
            RequestFeature(name, columns[place][1].feature.dtype)
            for name, place in places_by_name(feature_set).items()
        ),
        outputs=tuple(dict.fromkeys(outputs)),
    )


def _named_columns(
    refs: Sequence[FeatureRef], views: Sequence[FeatureView]
) -> Iterator[tuple[str, FeatureColumn]]:
    """Yield the columns with their names, those of a feature set before the inputs of expressions."""
    columns = columns_of(refs, views)
    yield from zip(column_names(refs), columns, strict=True)
    read = dict.fromkeys(ref for column in columns for ref in _inputs_of(column))
    if read:
        yield from _named_columns(tuple(read), views)


def _inputs_of(column: FeatureColumn) -> Iterator[FeatureRef]:
    if column.view.kind is not ViewKind.COMPUTED:
        return
    names = _names_in(column.feature.expression)
    for name, text in column.view.inputs:
        if name in names:
            yield FeatureRef.parse(text, f"{column.view}.inputs.{name}")


def _names_in(expression: str) -> frozenset[str]:
    """Return the names in an expression; none if it is not one, which no router compiles either."""
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
