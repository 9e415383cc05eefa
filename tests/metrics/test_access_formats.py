"""Lines of the access log: their content, and that no client can forge a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits.metrics.access_formats import End, Entry, combined, counted, journal_datagram, json_line, whom

ENTRY = Entry(
    time=971186136.789,
    client=b"192.0.2.1",
    method=b"GET",
    target=b"/api/x?y=1",
    minor=1,
    status=200,
    received=0,
    sent=2326,
    duration=1234,
    worker="api",
    endpoint="127.0.0.1:9000",
    request_id=b"00112233445566778899aabbccddeeff",
    host=b"example.com",
    referer=b"http://example.com/",
    user_agent=b"Mozilla/5.0 (X11)",
    scheme=b"http",
    end=End.OK,
    retries=0,
    release="3f9c02d1a7be",
)
NOTHING = ENTRY._replace(
    client=b"",
    method=b"",
    target=b"",
    status=400,
    worker="",
    endpoint="",
    request_id=b"",
    host=b"",
    referer=b"",
    user_agent=b"",
    end=End.REFUSED,
    release="",
)

HOSTILE = st.binary(max_size=40) | st.text('"\\\n\r\0 x[]=', max_size=20).map(str.encode)
HOSTILE_ENTRIES = st.builds(
    ENTRY._replace,
    client=HOSTILE,
    method=HOSTILE.filter(bool),
    target=HOSTILE,
    host=HOSTILE,
    referer=HOSTILE,
    user_agent=HOSTILE,
    request_id=HOSTILE,
    worker=st.text(max_size=10),
    status=st.integers(0, 599),
    end=st.sampled_from(End),
    sent=st.integers(0, 2**63),
    duration=st.integers(0, 2**50),
)

COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "([^"\\]|\\x[0-9A-F]{2})*" \d{3} \d+'
    r' "([^"\\]|\\x[0-9A-F]{2})*" "((?:[^"\\]|\\x[0-9A-F]{2})*)"\n',
    re.ASCII,
)

COMBINED_LINES = {
    "all there": (
        ENTRY,
        rb"""192.0.2.1 - - [TIME] "GET /api/x?y=1 HTTP/1.1" 200 2326 "http://example.com/" "Mozilla/5.0 (X11)" """,
    ),
    "nothing understood": (NOTHING, rb"""- - - [TIME] "-" 400 2326 "-" "-" """),
    "a status of three digits": (NOTHING._replace(status=0), rb"""- - - [TIME] "-" 000 2326 "-" "-" """),
    "a quote and a backslash": (
        NOTHING._replace(referer=b'x" 200 \\'),
        rb"""- - - [TIME] "-" 400 2326 "x\x22 200 \x5C" "-" """,
    ),
    "controls and beyond": (
        NOTHING._replace(user_agent=b"\x1b[2J\r\n\xc3\xa9\x7f"),
        rb"""- - - [TIME] "-" 400 2326 "-" "\x1B[2J\x0D\x0A\xC3\xA9\x7F" """,
    ),
    "a space in an address": (NOTHING._replace(client=b"a b"), rb"""a\x20b - - [TIME] "-" 400 2326 "-" "-" """),
}


@pytest.mark.parametrize(("entry", "line"), COMBINED_LINES.values(), ids=COMBINED_LINES)
def test_combined(entry: Entry, line: bytes) -> None:
    assert combined(entry) == line.replace(b"TIME", b"10/Oct/2000:13:55:36 +0000").rstrip() + b"\n"


@given(HOSTILE_ENTRIES)
def test_a_combined_line_has_its_columns_whatever_the_client_sends(entry: Entry) -> None:
    line = combined(entry).decode("ascii")
    assert line[:-1].isprintable()
    match = COMBINED.fullmatch(line)
    assert match
    agent = match[5].encode("ascii")
    unescaped = re.sub(rb"\\x([0-9A-F]{2})", lambda code: bytes.fromhex(code[1].decode()), agent)
    assert unescaped == (entry.user_agent or b"-")


def test_json_has_its_units_in_its_keys() -> None:
    line = json_line(ENTRY)
    assert line.endswith(b"}\n")
    assert json.loads(line) == {
        "time": "2000-10-10T13:55:36.789Z",
        "client": "192.0.2.1",
        "method": "GET",
        "target": "/api/x?y=1",
        "protocol": "HTTP/1.1",
        "status": 200,
        "received_bytes": 0,
        "sent_bytes": 2326,
        "duration_ms": 1.234,
        "worker": "api",
        "endpoint": "127.0.0.1:9000",
        "release": "3f9c02d1a7be",
        "request_id": "00112233445566778899aabbccddeeff",
        "scheme": "http",
        "host": "example.com",
        "referer": "http://example.com/",
        "user_agent": "Mozilla/5.0 (X11)",
        "end": "ok",
        "retries": 0,
        "reason": None,
    }


def test_a_refusal_has_its_reason() -> None:
    refused = ENTRY._replace(status=400, end=End.REFUSED, reason="no \N{SNOWMAN}\nof ours")
    assert json.loads(json_line(refused))["reason"] == "no \N{SNOWMAN}\nof ours"
    datagram = journal_datagram(refused)
    assert b"\nTQ_REASON\n" in datagram
    message = datagram.partition(b"MESSAGE=")[2].partition(b"\n")[0]
    assert message.endswith(rb" refused: no \xE2\x98\x83\x0Aof ours")
    plain = journal_datagram(refused._replace(reason="no file"))
    assert b"\nTQ_REASON=no file\n" in plain


def test_who_asked_is_plain_text() -> None:
    assert whom(b"192.0.2.1", b"") == "192.0.2.1"
    assert whom(b"", b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n") == '- "GET /a%2fb"'
    hostile = whom(b"192.0.2.1", b'\r\nGET /"\\\x1b' + b"x" * 300 + b" HTTP/1.1\r\n\r\n")
    assert hostile.startswith(r'192.0.2.1 "GET /\x22\x5C\x1B')
    assert len(hostile) < 260 and hostile.isprintable()


def test_json_keys_are_the_same_when_nothing_is_known() -> None:
    told = json.loads(json_line(NOTHING))
    assert list(told) == list(json.loads(json_line(ENTRY)))
    assert [key for key, value in told.items() if value is None] == [
        "client", "method", "target", "worker", "endpoint", "release", "request_id", "host", "referer",
        "user_agent", "reason",
    ]  # fmt: skip


@given(HOSTILE_ENTRIES)
def test_json_is_one_line_that_reads_back(entry: Entry) -> None:
    line = json_line(entry)
    assert line.isascii()
    assert line.count(b"\n") == 1
    told = json.loads(line)
    assert told["user_agent"] == (entry.user_agent.decode("utf-8", "backslashreplace") or None)
    assert told["worker"] == (entry.worker or None)
    assert (told["status"], told["sent_bytes"]) == (entry.status, entry.sent)


def read_datagram(data: bytes) -> list[tuple[bytes, bytes]]:
    """Exactly what https://systemd.io/JOURNAL_NATIVE_PROTOCOL allows."""
    fields = []
    while data:
        name, separator, data = re.split(rb"([=\n])", data, maxsplit=1)
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name)
        if separator == b"=":
            value, _, data = data.partition(b"\n")
        else:
            size = int.from_bytes(data[:8], "little")
            value, end, data = data[8 : 8 + size], data[8 + size : 9 + size], data[9 + size :]
            assert len(value) == size
            assert end == b"\n"
        fields.append((name, value))
    return fields


def test_the_journal_gets_fields() -> None:
    assert dict(read_datagram(journal_datagram(ENTRY))) == {
        b"PRIORITY": b"6",
        b"SYSLOG_IDENTIFIER": b"tq-access",
        b"MESSAGE": b'192.0.2.1 "GET /api/x?y=1 HTTP/1.1" 200 2326B 1.234ms api',
        b"TQ_WORKER": b"api",
        b"TQ_ENDPOINT": b"127.0.0.1:9000",
        b"TQ_RELEASE": b"3f9c02d1a7be",
        b"TQ_END": b"ok",
        b"TQ_RETRIES": b"0",
        b"REQUEST_ID": b"00112233445566778899aabbccddeeff",
        b"CLIENT_ADDRESS": b"192.0.2.1",
        b"HTTP_METHOD": b"GET",
        b"HTTP_STATUS": b"200",
        b"HTTP_SCHEME": b"http",
        b"HTTP_HOST": b"example.com",
        b"HTTP_REFERER": b"http://example.com/",
        b"HTTP_USER_AGENT": b"Mozilla/5.0 (X11)",
        b"RECEIVED_BYTES": b"0",
        b"SENT_BYTES": b"2326",
        b"DURATION_US": b"1234",
    }


def test_the_journal_gets_no_empty_fields() -> None:
    fields = dict(read_datagram(journal_datagram(NOTHING)))
    assert all(fields.values())
    assert fields[b"MESSAGE"] == b'- "-" 400 2326B 1.234ms - refused'


def test_a_value_with_a_line_end_is_counted() -> None:
    assert counted(b"\nA=", b"x\nB=y") == b"\nA\n\5\0\0\0\0\0\0\0x\nB=y"


def test_the_journal_has_a_long_target_once_and_cut() -> None:
    """All entries share the space of the journal: three thousand requests with long targets took 56
    MiB."""
    target = b"/api/" + b"x" * 8000
    datagram = journal_datagram(ENTRY._replace(target=target))
    assert datagram.count(b"xxx" * 300) == 1
    assert b"x... HTTP/1.1" in dict(read_datagram(datagram))[b"MESSAGE"]
    assert len(datagram) < 2048
    assert len(journal_datagram(ENTRY._replace(target=b"\xff" * 8000))) < 8192


@given(HOSTILE_ENTRIES)
def test_no_client_adds_a_field(entry: Entry) -> None:
    fields = read_datagram(journal_datagram(entry))
    names = [name for name, _ in fields]
    assert len(set(names)) == len(names)
    assert set(names) <= {name for name, _ in read_datagram(journal_datagram(ENTRY))}
    told = dict(fields)
    assert told.get(b"HTTP_USER_AGENT", b"") == entry.user_agent
    assert b"\n" not in told[b"MESSAGE"]


@pytest.mark.parametrize("write", [combined, json_line, journal_datagram], ids=["combined", "json", "journal"])
@pytest.mark.parametrize("filler", [b"\x01", b"\xff", b"\n", b'"'], ids=["control", "no utf-8", "line end", "quote"])
def test_a_line_is_bounded_whatever_is_sent(write: Callable[[Entry], bytes], filler: bytes) -> None:
    much = filler * 33_000
    entry = ENTRY._replace(client=much, method=much, target=much, host=much, referer=much, user_agent=much)
    assert len(write(entry)) < 128 * 1024
