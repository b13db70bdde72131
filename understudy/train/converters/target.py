"""The inputs that a conversion is to have, by the feature set."""

from dataclasses import dataclass
from typing import Any

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype

INPUT = "features"  # of a model with a single input
OPSETS = {"": 21, "ai.onnx.ml": 3}  # the newest that skl2onnx and onnxmltools write


@dataclass(frozen=True, slots=True)
class Target:
    """The columns of a conversion, in the order of the feature set."""

    features: tuple[Feature, ...]
    by_name: bool  # an input per column, because the model names columns or reads texts

    @property
    def width(self) -> int:
        return len(self.features)

    @property
    def has_texts(self) -> bool:
        return any(feature.dtype is FeatureDtype.STRING for feature in self.features)


def refuse_texts(target: Target, library: str) -> None:
    """Refuse text features for a library whose ONNX export has numbers only.

    Raises:
        InvalidInputError: naming the features.
    """
    texts = [each.name for each in target.features if each.dtype is FeatureDtype.STRING]
    if texts:
        raise InvalidInputError.of(
            "features",
            read=f"texts in {', '.join(texts)}",
            accepted=f"numbers: {library} exports no texts to ONNX; encode them in a pipeline "
            "of scikit-learn, or before the features are loaded",
        )


def absent_package(library: str, package: str, error: ImportError) -> InvalidInputError:
    """Return the error for a converter that is not installed."""
    return InvalidInputError.of(
        f"converter of {library}",
        read=error,
        accepted=f"{package} in the environment of the training, e.g. understudy-serving[train]",
    )


def content_of_model(model: Any) -> bytes:
    """Return the bytes of a model that a converter made."""
    content: bytes = model.SerializeToString()
    return content
