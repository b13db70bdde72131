"""A collection removes no file that a version which stays names, and no needed version."""

from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.collection import Candidate, Past, needs_of_model, plan_collection
from registry.decisions.rollback import PastRevision
from understudy.domain.deployments import Challenger, Deployment, versions_in_use
from understudy.domain.versions import ArtifactFile, VersionRef

DIGESTS = tuple(f"{number:064x}" for number in range(6))
FILES = st.frozensets(st.sampled_from(DIGESTS), min_size=1, max_size=3)


@st.composite
def registries(draw: st.DrawFn) -> tuple[list[Candidate], dict[VersionRef, str], dict[str, int]]:
    """Return versions of two models, those that are needed, and the files on the disk."""
    candidates = [
        Candidate(
            VersionRef(model, number),
            draw(st.integers(0, 20)),
            tuple(ArtifactFile("f", digest, 1) for digest in sorted(draw(FILES))),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for model in ("a", "b")
        for number in range(1, draw(st.integers(1, 4)))
    ]
    needed = {
        each.ref: "why" for each in candidates if not each.is_collected if draw(st.booleans())
    }
    stored = dict.fromkeys(draw(st.frozensets(st.sampled_from(DIGESTS))), 3)
    return candidates, needed, stored


@given(registries(), st.integers(0, 20), st.booleans())
def test_a_plan_removes_exactly_the_files_that_no_staying_version_names(
    registry: tuple[list[Candidate], dict[VersionRef, str], dict[str, int]],
    before_ns: int,
    is_of_all: bool,
) -> None:
    candidates, needed, stored = registry
    of = frozenset(e.ref for e in candidates if is_of_all or e.ref.model == "a")

    plan = plan_collection(candidates, needed, stored, before_ns=before_ns, of=of)

    assert not plan.versions or {*plan.versions} <= of
    assert not {*plan.versions} & needed.keys()
    by_ref = {each.ref: each for each in candidates}
    assert all(by_ref[ref].is_due(before_ns) for ref in (*plan.versions, *plan.kept))
    staying = {e.ref for e in candidates if not e.is_collected} - {*plan.versions}
    named = {file.sha256 for ref in staying for file in by_ref[ref].files}
    assert plan.files == {digest: 3 for digest in stored if digest not in named}
    assert plan.size_bytes == 3 * len(plan.files)


PAST = st.lists(
    st.tuples(st.integers(1, 5), st.none() | st.integers(1, 5)), min_size=1, max_size=12
)


@given(PAST, st.frozensets(st.integers(1, 5), max_size=2), st.integers(1, 4))
def test_the_last_revisions_and_every_rollback_target_keep_their_versions(
    drawn: list[tuple[int, int | None]], out: frozenset[int], keep_revisions: int
) -> None:
    deployments = [
        Deployment(
            model="m",
            revision=len(drawn) - place,
            salt="m",
            champion=champion,
            challengers=(Challenger(other, 100),) if other not in {None, champion} else (),
        )
        for place, (champion, other) in enumerate(drawn)
    ]
    facts = [PastRevision(d.revision, d.champion, d.digest, "deploy") for d in deployments]
    past = Past(list(zip(facts, deployments, strict=True)), out)

    needed = needs_of_model(deployments[0], None, past, keep_revisions=keep_revisions)

    for deployment in deployments[:keep_revisions]:
        assert needed.keys() >= {*versions_in_use(deployment)}
    others = [d for d in deployments if d.digest != deployments[0].digest]
    if others and not out & {*versions_in_use(others[0])}:
        assert needed.keys() >= {*versions_in_use(others[0])}
