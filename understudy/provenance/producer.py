"""The program that wrote a model, as its file names it, and the packages that belong to it. Pure."""

import re

UNNAMED = "not named in the file"  # a model may name no producer

# Producers and libraries that are not called like their packages.
_PACKAGES = {"pytorch": "torch", "sklearn": "scikit-learn", "keras": "keras"}
_LIBRARIES = frozenset(
    ("sklearn", "lightgbm", "xgboost", "catboost", "torch", "tensorflow", "keras")
)
# Packages that install the same library under another name.
_VARIANTS = {
    "xgboost": frozenset(("xgboost-cpu",)),
    "catboost": frozenset(("catboost-dev",)),
    "tensorflow": frozenset(("tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")),
}
_VERSION = re.compile(r"(?<![\w.])v?(\d+\.\d+(?:\.\w+)*)(?![\w.])")


def written_producer(name: str, version: str) -> str:
    """Return the producer in the form of `artifact.producer`."""
    return f"{name} {version}".strip() or UNNAMED


def version_in(producer_version: str) -> str:
    """Return the version in a text that may say more, like CatBoost's; "" if there is none."""
    if len(producer_version.split()) == 1 or producer_version == UNNAMED:
        return producer_version
    found = _VERSION.search(producer_version)
    return found[1] if found else ""


def package_of_producer(name: str) -> str:
    """Return the name of the package that contains a producer; "" if it has no name."""
    return _PACKAGES.get(name.casefold(), name.casefold())


def package_of_estimator(estimator: str) -> str:
    """Return the package of an estimator, e.g. of `sklearn.svm.SVC`; "" for an author's own class."""
    root = estimator.partition(".")[0]
    return _PACKAGES.get(root, root) if root in _LIBRARIES else ""


def names_of_package(package: str) -> frozenset[str]:
    """Return the names under which a package is installed: its own, and those of its variants."""
    return _VARIANTS.get(package, frozenset()) | {package}


def names_producer(name: str, version: str, producer: str) -> bool:
    """Return whether a converter is the producer of a model.

    Args:
        name: of the converter, as declared.
        version: of the converter, as declared.
        producer: from the file, as `written_producer` returns it.
    """
    if producer == UNNAMED:
        return True
    if version == UNNAMED:
        return producer.casefold() == name.casefold()
    text = producer.casefold()
    names = {name.casefold(), package_of_producer(name)}
    has_version = re.search(rf"(?<![\d.]){re.escape(version)}(?!\.?\d)", producer)
    return has_version is not None and any(
        text.startswith(each) for each in names | _aliases(names)
    )


def _aliases(packages: set[str]) -> set[str]:
    return {name for name, package in _PACKAGES.items() if package in packages}
