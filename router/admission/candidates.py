"""The candidates of a ScoreBatch: sound ones to score, and faulty ones with their fault."""

from collections.abc import Mapping, Sequence
from itertools import repeat

from router.admission.admit import AskedCandidates
from router.calls.call import Candidates, RequestFeatures
from router.revision.live_model import LiveModel
from router.revision.request_names import feature_faults
from understudy.domain.errors import MOST_FAULTS, Fault, InvalidInputError
from understudy.domain.features import FeatureScalar
from understudy.runtime.open_streams import MOST_ID_CHARACTERS

_NO_FEATURES: Mapping[str, FeatureScalar] = {}


class CandidateChecks:
    """Checks the candidates of one call, in their order, against one revision."""

    def __init__(self, live: LiveModel | None) -> None:
        """`live`: the revision; None to check ids only."""
        self._names = None if live is None else live.names
        self._ids: list[str] = []
        self._indices: list[int] = []
        self._features: list[RequestFeatures] = []
        self._has_features = False
        self._refused: dict[int, tuple[str, Fault]] = {}

    def add(self, name: str, features: Mapping[str, FeatureScalar]) -> None:
        """Check one more candidate.

        Raises:
            InvalidInputError: all of the first `MOST_FAULTS` candidates are faulty. The others would
                be too, and reading them would cost as much as scoring them.
        """
        place = len(self._ids) + len(self._refused)
        fault = self._fault(place, name, features)
        if fault is None:
            self._ids.append(name)
            self._indices.append(place)
            self._features.append(features or None)
            self._has_features = self._has_features or bool(features)
            return
        self._refused[place] = (name, fault)
        if not self._ids and len(self._refused) == MOST_FAULTS:
            self._refuse()

    def add_all(
        self, names: Sequence[str], features: Sequence[Mapping[str, FeatureScalar]] | None
    ) -> None:
        """Check more candidates; `features` is None if none of them has any.

        Raises:
            InvalidInputError: as `add`.
        """
        if features is None:
            lengths = [len(name) for name in names]
            # Nearly always; at a third of the cost of `add`.
            if min(lengths, default=1) >= 1 and max(lengths, default=1) <= MOST_ID_CHARACTERS:
                place = len(self._ids) + len(self._refused)
                self._ids += names
                self._indices += range(place, place + len(names))
                self._features += repeat(None, len(names))
                return
            features = [_NO_FEATURES] * len(names)
        for name, own in zip(names, features, strict=True):
            self.add(name, own)

    def checked(self, asked: AskedCandidates) -> Candidates:
        """Return all candidates.

        Raises:
            InvalidInputError: each of them is faulty.
        """
        if not self._ids:
            self._refuse()
        return Candidates(
            entity=asked.entity,
            ids=self._ids,
            indices=self._indices,
            features=self._features if self._has_features else None,
            refused=self._refused,
            top_k=asked.top_k,
            is_sorted=asked.is_sorted,
        )

    def _fault(self, place: int, name: str, features: Mapping[str, FeatureScalar]) -> Fault | None:
        if not 1 <= len(name) <= MOST_ID_CHARACTERS:
            accepted = f"1 to {MOST_ID_CHARACTERS} characters"
            return Fault(f"candidates[{place}].id", repr(name[:20]), accepted)
        if not features or self._names is None:
            return None
        fault = next(feature_faults(features, self._names), None)
        return fault and Fault(f"candidates[{place}].{fault.field}", fault.read, fault.accepted)

    def _refuse(self) -> None:
        raise InvalidInputError([fault for _, fault in self._refused.values()])
