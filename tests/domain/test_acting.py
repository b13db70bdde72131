"""The memory of which version acts as champion."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.acting import (
    ActingChampion,
    WithheldReason,
    acting_after,
    acting_by_reports,
    remembered_versions,
)

RECORDS = st.builds(
    ActingChampion,
    model=st.just("fraud"),
    version=st.integers(1, 4),
    revision=st.integers(1, 4),
    since_ns=st.integers(1, 9),
    because=st.none() | st.sampled_from(WithheldReason),
)


@given(before=st.none() | RECORDS, seen=RECORDS, later_ns=st.integers(10, 20))
def test_a_record_keeps_the_time_of_the_first_observation(
    before: ActingChampion | None, seen: ActingChampion, later_ns: int
) -> None:
    first = acting_after(before, seen)
    again = acting_after(first, replace(seen, since_ns=later_ns))

    assert again == first
    assert replace(first, since_ns=0) == replace(seen, since_ns=0)
    if before is not None and (before.version, before.because) == (seen.version, seen.because):
        assert first.since_ns == before.since_ns


@given(before=st.none() | RECORDS, seen=st.lists(RECORDS, max_size=6))
def test_routers_that_disagree_do_not_make_the_record_swing(
    before: ActingChampion | None, seen: list[ActingChampion]
) -> None:
    record = acting_by_reports(before, seen)

    versions = {each.version for each in seen}
    if not seen:
        assert record == before, "silence changes nothing"
        return
    assert record is not None
    assert record.version in versions
    if before is not None and before.version in versions:
        assert record.version == before.version
    assert acting_by_reports(record, seen[::-1]).version == record.version  # type: ignore[union-attr] # not None: as above


@given(own=st.none() | RECORDS, published=st.none() | RECORDS)
def test_a_router_trusts_its_own_memory_unless_it_was_away(
    own: ActingChampion | None, published: ActingChampion | None
) -> None:
    versions = remembered_versions(own, published)

    assert set(versions) == {each.version for each in (own, published) if each is not None}
    if own is not None and published is not None:
        first = published if published.revision > own.revision else own
        assert versions[0] == first.version
