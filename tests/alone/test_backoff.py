"""The pause before a failed worker starts again: which starts count, and how the pause grows."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.alone import backoff as alone
from tqunits.alone import launch
from tqunits.alone.backoff import Memory, Settings, failures, pause
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.units import failure_pause as outside

SECOND = 1_000_000
USUAL = Settings(SECOND, 30 * SECOND, 0, 300 * SECOND)


def rows(*starts: tuple[int, int, int]) -> list[int]:
    """(NRestarts, begin and end of the last good run in s) of each start in turn -> failures in a
    row."""
    memory = Memory()
    return [failures(count, began * SECOND, ended * SECOND, USUAL, memory) for count, began, ended in starts]


ROWS = {
    "failures add up": ([(1, 0, 0), (2, 0, 0), (3, 0, 0)], [1, 2, 3]),
    "asked for": ([(0, 0, 0)], [0]),
    "asked for in a pause": ([(1, 0, 0), (2, 0, 0), (2, 0, 0), (3, 0, 0)], [1, 2, 0, 1]),
    "counted anew": ([(1, 0, 0), (2, 0, 0), (3, 0, 0), (1, 0, 0), (2, 0, 0)], [1, 2, 3, 1, 2]),
    "a long good run": ([(1, 0, 0), (2, 0, 0), (3, 10, 400), (4, 10, 400), (5, 10, 400)], [1, 2, 1, 2, 3]),
    "a short good run": ([(1, 0, 0), (2, 10, 20), (3, 30, 40)], [1, 2, 3]),
    "a crash a month after ten": ([(10, 0, 0), (11, 100, 2_000_000)], [10, 1]),
}


@pytest.mark.parametrize(("starts", "found"), ROWS.values(), ids=ROWS)
def test_which_failures_are_in_a_row(starts: list[tuple[int, int, int]], found: list[int]) -> None:
    assert rows(*starts) == found


def test_the_pause_doubles_up_to_its_end() -> None:
    whole = [(pause(count, USUAL) + SECOND) // SECOND for count in range(1, 9)]
    assert whole == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pause(5, Settings(SECOND, 0, 0, SECOND)) == 0
    assert pause(5, Settings(5 * SECOND, 2 * SECOND, 0, SECOND)) == 0
    assert pause(2, Settings(0, SECOND, 0, SECOND)) == 200_000


@given(st.integers(0, 2**32), st.integers(0, 2**63), st.integers(0, 2**64))
def test_no_number_makes_a_pause_longer_than_a_day(count: int, delay: int, longest: int) -> None:
    assert 0 <= pause(count, Settings(delay, longest, 0, 1)) <= alone.LONGEST_US


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_failures_are_never_fewer_than_none(starts: list[tuple[int, int, int]]) -> None:
    assert all(count >= 0 for count in rows(*starts))


def test_both_sides_mean_the_same_files_and_the_same_status() -> None:
    folder = SYSTEM_LAYOUT.runtime / "backoff/api"
    assert outside.state_file("api", SYSTEM_LAYOUT.runtime) == folder / alone.STATE
    assert outside.given_up_file("api", SYSTEM_LAYOUT.runtime) == folder / alone.GIVEN_UP
    assert outside.GIVEN_UP == launch.GIVEN_UP


def test_the_status_of_who_is_given_up_is_nobodys_who_hands_on_that_a_signal_killed_a_child() -> None:
    """As a shell passes it on, and as sys.exit(child.wait()) does."""
    signals = {int(number) for number in signal.valid_signals() if number < signal.SIGRTMIN}
    assert launch.GIVEN_UP not in {128 + number for number in signals} | {-number & 0xFF for number in signals}
    assert launch.GIVEN_UP < 200  # systemd's own exit statuses begin there (systemd.exec(5))


@pytest.mark.parametrize("text", ["", "1 2 3", "1 2 3 4 x", "1 2 3 4 -5", "1 2 3 4 " + "9" * 30])
def test_a_damaged_note_tells_nothing(text: str) -> None:
    assert outside.pause(text) is None
    assert outside.pause("5 2 7 3 99\n") == outside.Pause(3, 99)


def test_a_drop_in_of_before_has_the_usual_pauses(tmp_path: Path) -> None:
    """Its drop-in has no line for it, and the line by which systemd counted is removed
    (units/refit.py)."""
    drop_in = tmp_path / "10-tqunits.conf"
    usual = (USUAL.delay, USUAL.longest, USUAL.most, USUAL.period)
    for note, expected in (("", usual), ("Backoff=1 2 3 4\n", (1, 2, 3, 4))):
        drop_in.write_text(f"[Service]\n\n[X-Tqunits]\nWorker=api\n{note}")
        found = alone.read_settings(str(drop_in))
        assert (found.delay, found.longest, found.most, found.period) == expected
