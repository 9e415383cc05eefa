"""The file that names who waits for a restart: what is written is read back, and nothing else is
believed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.host import restart_waits
from tqunits.host.restart_waits import MAX_BYTES, MAX_WHY, MAX_WORKERS, RestartWait
from tqunits.layout import SYSTEM_LAYOUT, Layout

ONE = {"api": RestartWait(1_764_431_144_000_000, "its unit has changed")}
ROW = {"since_us": 1, "why": "its unit has changed"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return replace(SYSTEM_LAYOUT, state=PurePosixPath(tmp_path))


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,23}", fullmatch=True)
WAITS = st.builds(RestartWait, st.integers(0, 1 << 62), st.text(max_size=MAX_WHY + 50))


@given(st.dictionaries(NAMES, WAITS, max_size=5))
def test_whatever_is_written_can_be_read(waits: dict[str, RestartWait]) -> None:
    read = restart_waits.parse(restart_waits.dump(waits))
    assert {worker: wait.since_us for worker, wait in read.items()} == {w: r.since_us for w, r in waits.items()}
    assert all(wait.why.isprintable() and len(wait.why) <= MAX_WHY for wait in read.values())


def test_of_a_long_path_the_end_is_kept() -> None:
    waits = {"api": RestartWait(1, "/" + "long/" * 100 + "key has changed")}
    assert restart_waits.parse(restart_waits.dump(waits))["api"].why.endswith("long/key has changed")


def test_the_largest_file_is_within_the_bound() -> None:
    waits = {f"w{number:023}": RestartWait(1 << 62, "\U0001f600" * MAX_WHY) for number in range(MAX_WORKERS + 1)}
    text = restart_waits.dump(waits).encode()
    assert len(text) <= MAX_BYTES
    assert len(restart_waits.parse(text)) == MAX_WORKERS


DOCUMENTS = {
    "nothing": "",
    "another version": {"version": 2, "workers": {}},
    "true for a version": {"version": True, "workers": {}},
    "one key more": {"version": 1, "workers": {}, "more": 1},
    "no table": {"version": 1, "workers": []},
    "no name": {"version": 1, "workers": {"../api": ROW}},
    "a name with its number": {"version": 1, "workers": {"api:2": ROW}},
    "a row with more": {"version": 1, "workers": {"api": {**ROW, "more": 1}}},
    "a row with less": {"version": 1, "workers": {"api": {"since_us": 1}}},
    "a time before all times": {"version": 1, "workers": {"api": {**ROW, "since_us": -1}}},
    "a time that is a text": {"version": 1, "workers": {"api": {**ROW, "since_us": "1"}}},
    "a time that is no number": '{"version": 1, "workers": {"api": {"since_us": NaN, "why": ""}}}',
    "a reason for a terminal": {"version": 1, "workers": {"api": {**ROW, "why": "\x1b[2J"}}},
    "a long reason": {"version": 1, "workers": {"api": {**ROW, "why": "x" * (MAX_WHY + 1)}}},
    "a worker twice": '{"version": 1, "workers": {"a": {"since_us": 1, "why": ""}, "a": {"since_us": 1, "why": ""}}}',
    "too many": {"version": 1, "workers": {f"w{number}": ROW for number in range(MAX_WORKERS + 1)}},
    "too deep": "[" * 100_000,
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_nothing_else_is_believed(document: object) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(ValueError, match=r"."):
        restart_waits.parse(text)


def test_it_is_written_for_everybody_to_read_and_only_when_it_changes(layout: Layout) -> None:
    assert restart_waits.read(layout) == {}
    restart_waits.write(layout, ONE)
    path = Path(layout.waiting)
    before = path.stat()
    assert before.st_mode & 0o777 == 0o644
    assert restart_waits.read(layout) == ONE
    restart_waits.write(layout, ONE)
    assert path.stat().st_ino == before.st_ino
    restart_waits.write(layout, {})
    assert restart_waits.read(layout) == {}
    restart_waits.remove(layout)
    assert not path.exists()


def test_what_is_no_file_is_refused(layout: Layout) -> None:
    Path(layout.waiting).mkdir()
    with pytest.raises((OSError, TqunitsError)):
        restart_waits.read(layout)
