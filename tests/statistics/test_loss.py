"""Lost rows that differ from kept ones, and those that do not."""

import numpy as np

from understudy.statistics.loss import loss_dependence


def test_a_loss_of_the_highest_values_is_shown_with_its_size() -> None:
    values = np.arange(1_000.0)

    found = loss_dependence(values >= 900, values, np.arange(1_000))

    assert (found.lost, found.kept) == (100, 900)
    assert found.chance.estimate == 1.0
    assert found.shift == 0.05
    assert found.is_shown


def test_a_loss_by_chance_is_not_shown() -> None:
    random = np.random.default_rng(3)

    found = loss_dependence(random.random(2_000) < 0.1, random.random(2_000), np.arange(2_000))

    assert not found.is_shown
    assert found.shift is not None
    assert abs(found.shift) < 0.01


def test_without_a_loss_there_is_a_reason_and_no_number() -> None:
    found = loss_dependence(np.zeros(9, bool), np.arange(9.0), np.arange(9))

    assert (found.chance.estimate, found.chance.why, found.shift) == (None, "no row was lost", None)
    assert not found.is_shown


def test_rows_of_one_unit_that_were_lost_show_nothing() -> None:
    lost = np.arange(100) < 20
    units = np.where(lost, 0, np.arange(100))

    assert not loss_dependence(lost, lost.astype(float), units).is_shown
