"""Entries of the journal, to which every process can write: which are trusted, from which
sender."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.host.evidence import of_exit
from tqunits.system.entries import Exit, ManagerMessage, exits, parse

MANAGER = {"_PID": "1"}
INVOCATION = "0123456789abcdef0123456789abcdef"

EXITED: dict[str, object] = {
    "__REALTIME_TIMESTAMP": "1000",
    "_PID": "1",
    "MESSAGE_ID": ManagerMessage.PROCESS_EXIT.value,
    "INVOCATION_ID": INVOCATION,
    "EXIT_CODE": "exited",
    "EXIT_STATUS": "7",
    "COMMAND": "ExecStart",
}
FAILED: dict[str, object] = {
    "__REALTIME_TIMESTAMP": "2000",
    "_PID": "1",
    "MESSAGE_ID": ManagerMessage.FAILURE.value,
    "INVOCATION_ID": INVOCATION,
    "UNIT_RESULT": "exit-code",
}
TRUE = Exit(time_us=2000, invocation=INVOCATION, result="exit-code", code="exited", status="7", command="ExecStart")

NO_STATUS = ("²", "٣", "7\n", "-1", " 7", "+7", "1_0", "0x7", "7777", "", None, ["7", "8"], [55, 900], [[55], [56]], 7)


def read(*entries: dict[str, object]) -> tuple[Exit, ...]:
    return exits(parse("\n".join(json.dumps(entry) for entry in entries), MANAGER))


def test_the_manager_is_believed() -> None:
    assert read(EXITED, FAILED) == (TRUE,)


@pytest.mark.parametrize("sender", [{"_PID": "2"}, {"_PID": None}, {"_PID": ["1", "1"]}, {"PID": "1", "_PID": "77"}])
def test_nobody_else_is(sender: dict[str, object]) -> None:
    assert read(EXITED | sender, FAILED | sender) == ()
    assert read(EXITED, FAILED | sender, EXITED | sender | {"EXIT_STATUS": "9"}, FAILED) == (TRUE,)


def test_a_users_manager_is_all_of_its_fields() -> None:
    manager = {"_UID": "1000", "_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "init.scope"}
    users = {**FAILED, "USER_INVOCATION_ID": INVOCATION, **manager}
    for field in manager:
        assert exits(parse(json.dumps({**users, field: "tq-worker@a.service"}), manager)) == ()
    (found,) = exits(parse(json.dumps(users), manager))
    assert found.result == "exit-code"


@pytest.mark.parametrize("status", NO_STATUS)
def test_a_status_that_is_no_number_is_none(status: object) -> None:
    (found,) = read(EXITED | {"EXIT_STATUS": status}, FAILED)
    assert found.status == ""
    assert of_exit(found) == "exited with status 0"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("EXIT_CODE", "exited\x1b[31m"),
        ("EXIT_CODE", "eaten"),
        ("COMMAND", "ExecStart ExecStop"),
        ("UNIT_RESULT", "\x9b2J"),
        ("UNIT_RESULT", "x" * 4096),
        ("INVOCATION_ID", INVOCATION.upper()),
    ],
)
def test_a_value_that_has_not_its_fields_form_is_not_there(field: str, value: str) -> None:
    found = read(EXITED | {field: value}, FAILED | {field: value})
    assert all(value not in dataclasses.astuple(one) for one in found)
    assert bool(found) == (field != "UNIT_RESULT")  # without this field it is not an end


@pytest.mark.parametrize("output", ["{", "[]", "null", '"x"', '{"MESSAGE":"no time"}', '{"__REALTIME_TIMESTAMP":"²"}'])
def test_what_is_no_entry_is_left_out(output: str) -> None:
    assert [entry.message for entry in parse(f"{output}\n{json.dumps(EXITED | {'MESSAGE': 'm'})}", MANAGER)] == ["m"]


def test_a_message_is_whole_whatever_line_ends_it_has() -> None:
    message = "one\u2028two\u2029three\x85four\x0bfive"
    line = json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": message}, ensure_ascii=False)
    assert [entry.message for entry in parse(line, MANAGER)] == [message]


def test_a_workers_message_is_its_own_whatever_it_says_of_itself() -> None:
    claims = {"_PID": "9", "_SYSTEMD_INVOCATION_ID": INVOCATION, "INVOCATION_ID": "f" * 32, "MESSAGE": "m"}
    (entry,) = parse(json.dumps(EXITED | claims), MANAGER)
    assert (entry.invocation, entry.message_id, entry["EXIT_STATUS"]) == (INVOCATION, "", "")


VALUES = st.recursive(
    st.none() | st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False), st.lists, max_leaves=8
)
FIELDS = st.sampled_from([*EXITED, *FAILED, "MESSAGE", "_SYSTEMD_INVOCATION_ID"])


@given(st.lists(st.dictionaries(FIELDS, VALUES), max_size=5))
def test_no_entry_is_a_fault(hostile: list[dict[str, object]]) -> None:
    for found in read(*(EXITED | changes for changes in hostile), *(FAILED | changes for changes in hostile)):
        assert of_exit(found).isprintable()
