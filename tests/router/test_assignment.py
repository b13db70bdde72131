"""Assignment is uniform, sticky, monotone, and the same in every process."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from router.decisions.assignment import ArmWeight, Assigner, Split, split_of
from understudy.domain.deployments import FULL_SHARE_BP, Arm, Challenger, Deployment

UNITS = [f"user-{index}" for index in range(20_000)]

weights = st.lists(st.integers(1, 3_000), min_size=1, max_size=3)
salts = st.text(min_size=1, max_size=20)


def deployment(*weights_bp: int, salt: str = "s", champion: int = 1) -> Deployment:
    return Deployment(
        model="fraud",
        revision=1,
        champion=champion,
        salt=salt,
        challengers=tuple(Challenger(10 + i, bp) for i, bp in enumerate(weights_bp)),
    )


def assigned(split: Split, units: list[str] = UNITS) -> list[int]:
    assigner = Assigner(split)
    return [split.arms[assigner.assign(unit)].version for unit in units]


def test_shares_are_as_declared() -> None:
    split = split_of(deployment(1_000, 2_500))

    got = np.array(assigned(split))

    counts = np.array([(got == arm.version).sum() for arm in split.arms])
    wanted = np.array([arm.weight_bp for arm in split.arms]) / FULL_SHARE_BP * len(UNITS)
    statistic = float(((counts - wanted) ** 2 / wanted).sum())
    assert chi2.sf(statistic, df=2) > 0.001


@given(weights=weights, salt=salts, unit=st.text(min_size=1, max_size=50))
def test_a_unit_keeps_its_arm(weights: list[int], salt: str, unit: str) -> None:
    split = split_of(deployment(*weights, salt=salt))

    assert Assigner(split).assign(unit) == Assigner(split).assign(unit)


def test_assignment_is_the_same_in_another_process() -> None:
    program = (
        "from router.decisions.assignment import *\n"
        "from understudy.domain.deployments import Arm\n"
        "split = Split('s', (ArmWeight(Arm.CHAMPION, 1, 7000), ArmWeight(Arm.CHALLENGER, 2, 3000)))\n"
        "assigner = Assigner(split)\n"
        "print([assigner.assign(f'user-{i}') for i in range(500)])\n"
    )
    split = Split("s", (ArmWeight(Arm.CHAMPION, 1, 7000), ArmWeight(Arm.CHALLENGER, 2, 3000)))

    there = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "12345"},
    )

    here = [Assigner(split).assign(unit) for unit in UNITS[:500]]
    assert there.stdout.strip() == str(here)


@given(low=st.integers(1, 9_998), more=st.integers(1, 9_998), salt=salts)
def test_raising_a_canary_moves_units_only_towards_it(low: int, more: int, salt: str) -> None:
    high = min(low + more, 9_999)
    units = UNITS[:300]

    before = assigned(split_of(deployment(low, salt=salt)), units)
    after = assigned(split_of(deployment(high, salt=salt)), units)

    assert all(now == 10 for was, now in zip(before, after, strict=True) if was != now)


@given(weights=st.lists(st.integers(1, 2_000), min_size=2, max_size=3), more=st.integers(1, 2_000))
def test_raising_one_of_several_never_moves_a_unit_to_the_champion(
    weights: list[int], more: int
) -> None:
    units = UNITS[:300]

    before = assigned(split_of(deployment(*weights)), units)
    after = assigned(split_of(deployment(weights[0] + more, *weights[1:])), units)

    assert all(now != 1 for was, now in zip(before, after, strict=True) if was != now)


@given(weights=st.lists(st.integers(1, 5_000), min_size=2, max_size=4), more=st.integers(1, 5_000))
def test_raising_one_rendezvous_weight_moves_units_only_to_that_arm(
    weights: list[int], more: int
) -> None:
    def split(first: int) -> Split:
        arms = [ArmWeight(Arm.CHALLENGER, 5 + i, w) for i, w in enumerate([first, *weights[1:]])]
        return Split("s", tuple(arms))

    before = assigned(split(weights[0]), UNITS[:300])
    after = assigned(split(weights[0] + more), UNITS[:300])

    assert all(now == 5 for was, now in zip(before, after, strict=True) if was != now)


def test_salts_are_independent() -> None:
    one = np.array(assigned(split_of(deployment(5_000, salt="one")))) == 10
    two = np.array(assigned(split_of(deployment(5_000, salt="two")))) == 10

    # Of four equally likely combinations, each has a quarter; 4 standard errors of slack.
    both = float((one & two).mean())
    assert abs(both - 0.25) < 4 * (0.25 * 0.75 / len(UNITS)) ** 0.5


def test_a_new_champion_moves_no_units_of_the_challenger() -> None:
    before = assigned(split_of(deployment(2_000, champion=1)))
    after = assigned(split_of(deployment(2_000, champion=2)))

    assert [was == 10 for was in before] == [now == 10 for now in after]


def test_without_challengers_nothing_is_drawn() -> None:
    assert set(assigned(split_of(deployment()))) == {1}


def test_a_challenger_with_all_the_traffic_gets_all() -> None:
    assert set(assigned(split_of(deployment(10_000)))) == {10}


@given(weights=weights, salt=salts, paused=st.integers(0, 2))
def test_a_paused_challenger_gets_no_unit_and_moves_none_between_the_others(
    weights: list[int], salt: str, paused: int
) -> None:
    weights[paused % len(weights)] = 0
    declared = deployment(*weights, salt=salt)
    others = tuple(each for each in declared.challengers if each.weight_bp)

    found = assigned(split_of(declared), UNITS[:20])

    assert found == assigned(split_of(replace(declared, challengers=others)), UNITS[:20])
