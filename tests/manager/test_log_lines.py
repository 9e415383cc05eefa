"""Lines of a journal within bounds, however a worker writes them, and however they come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.manager.log_lines import MAX_BYTES, LogBuffer, answer


def entry(message: object, cursor: str = "s=1;i=2") -> bytes:
    fields = {"__CURSOR": cursor, "__REALTIME_TIMESTAMP": "17", "_PID": "5", "PRIORITY": "6", "MESSAGE": message}
    return json.dumps(
        {**fields, "SYSLOG_IDENTIFIER": "tq-worker@api", "_SYSTEMD_UNIT": "tq-worker@api.service"}
    ).encode()


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"") or b"x")), st.data())
def test_lines_are_whole_however_they_come(lines: list[bytes], data: st.DataObject) -> None:
    text, found = b"".join(line + b"\n" for line in lines), LogBuffer()
    while text:
        size = data.draw(st.integers(1, len(text)))
        found.feed(text[:size])
        text = text[size:]
    assert list(found.lines) == lines


def test_the_last_lines_are_kept_of_many() -> None:
    found = LogBuffer()
    for number in range(2000):
        found.feed(b"%d\n" % number)
        found.keep_last(500)
    assert (found.lines[0], len(found.lines), found.is_cut) == (b"1500", 500, True)


def test_long_lines_are_as_many_as_there_is_room_for() -> None:
    found = LogBuffer()
    for _ in range(20):
        found.feed(b"x" * 100_000 + b"\n")
        found.keep_last(500)
    assert 0 < sum(map(len, found.lines)) <= MAX_BYTES
    assert found.is_cut


def test_a_line_without_an_end_takes_no_room() -> None:
    found = LogBuffer()
    for _ in range(100):
        found.feed(b"x" * 65536)
    found.feed(b"\nnext\n")
    assert (list(found.lines), found.is_cut) == ([b"next"], True)


def test_what_has_no_room_comes_with_the_next_question() -> None:
    found = LogBuffer()
    found.feed(entry("a", "s=1") + b"\n" + entry("b", "s=2") + b"\n" + entry("c", "s=3") + b"\n")
    assert found.is_full(2)
    found.keep_first(2)
    body = answer(found.lines, place="@0", is_cut=found.is_cut)
    assert (body["cursor"], body["cut"]) == ("s=2", False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (entry("\x1b[31m"), ["\x1b[31m"]),
        (entry([104, 105, 255]), ["hi\ufffd"]),
        (entry(None), [""]),
        (entry(["a", "b"]), [""]),
        (b"{", []),
        (b"[]", []),
        (b"{}", []),
        (b'{"__CURSOR": 7}', []),
    ],
    ids=["controls", "bytes", "too long", "twice", "cut", "a list", "nothing", "no place"],
)
def test_what_becomes_of_a_line(line: bytes, expected: list[str]) -> None:
    body = answer([line], place="@7", is_cut=False)
    lines = body["lines"]
    assert isinstance(lines, list)
    assert [each["message"] for each in lines] == expected
    assert body["cursor"] == ("s=1;i=2" if expected else "@7")
    for each in lines:
        known = (each["at_us"], each["pid"], each["priority"], each["unit"], each["identifier"])
        assert known == (17, 5, 6, "tq-worker@api.service", "tq-worker@api")
