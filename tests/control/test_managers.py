"""What is asked of the manager, and what becomes of its answers: a value, or None."""

from __future__ import annotations

import pytest

from tqunits.control import manager_protocol, managers, protocol
from tqunits.control.managers import Changes
from tqunits.control.protocol import LONGEST_WAIT_US, Problem


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/events", (0, 0)),
        ("/events?after=12", (12, 0)),
        ("/events?after=12&wait_us=5", (12, 5)),
        ("/events?after=0&wait_us=999999999999", (0, LONGEST_WAIT_US)),
        (manager_protocol.events_target(7, 9), (7, 9)),
    ],
)
def test_a_question_for_changes(target: str, expected: tuple[int, int]) -> None:
    assert manager_protocol.events_question(target) == expected


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/event",
        "/events?",
        "/events?after=",
        "/events?after=-1",
        "/events?wait_us=1",
        "/events?after=1&x=2",
        f"/events?after={'9' * 19}",
        "/events?after=1 ",
        "/events/../instances",
    ],
)
def test_what_is_no_such_question(target: str) -> None:
    with pytest.raises(Problem) as refused:
        manager_protocol.events_question(target)
    assert refused.value.status == 404


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_document(answer: bytes) -> None:
    assert manager_protocol.document(answer) is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [({"rows": [{"a": 1}]}, [{"a": 1}]), ({"rows": []}, []), ({"rows": [1]}, None), ({"rows": {}}, None), ({}, None)],
)
def test_the_objects_of_a_document(document: dict[str, object], expected: object) -> None:
    assert manager_protocol.members(document, "rows") == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b'{"last_event": 2, "first_event": 1, "since_us": 7, "events": [{"number": 2}]}',
            Changes(2, 1, [{"number": 2}], 7),
        ),
        (b'{"last_event": "2", "first_event": 1, "since_us": 7, "events": []}', None),
        (b'{"last_event": 2, "first_event": 1, "since_us": null, "events": []}', None),
        (b'{"last_event": 2, "first_event": 1, "since_us": 7, "events": [1]}', None),
        (b"{}", None),
        (b"[]", None),
        (None, None),
    ],
)
def test_changes_in_an_answer(answer: bytes | None, expected: Changes | None) -> None:
    assert managers.changes_in(answer) == expected


@pytest.mark.parametrize(
    ("last", "first", "after", "expected"),
    [
        (5, 1, 3, False),
        (5, 4, 3, False),
        (5, 1, 5, False),
        (0, 0, 0, False),
        (9, 8, 3, True),  # 4 to 7 are kept no more
        (2, 1, 40, True),  # another manager counts
    ],
)
def test_changes_that_nobody_has_seen(last: int, first: int, after: int, expected: object) -> None:
    assert Changes(last, first, []).lost(after) is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n{}", None),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (protocol.MAX_ANSWER + 1), None),
        (b"", None),
    ],
    ids=["well", "refused", "too large", "nothing"],
)
def test_the_body_of_an_answer(answer: bytes, expected: bytes | None) -> None:
    assert protocol.body_of(answer) == expected
