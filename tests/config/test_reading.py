"""YAML is read as its author meant it, and a file, however hostile, causes nothing but findings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tqunits.config import nodes
from tqunits.config.nodes import MapNode
from tqunits.health import HealthType, Statuses
from tqunits.model import Enabled, RestartPolicy

from .parsing import api, server, shown, valid, workers

EVENTS = {"libyaml": nodes.fast_events, "pure": nodes.pure_events}
events = pytest.mark.parametrize("reader", EVENTS.values(), ids=EVENTS)

AS_WRITTEN = {
    "no": "no",
    "yes": "yes",
    "octal": "010",
    "sexagesimal": "12:30",
    "float": "1.10",
    "exponent": "1e3",
    "date": "2024-01-01",
    "underscore": "1_000",
    "quoted-null": "'null'",
    "hexadecimal": "0x1f",
    "infinity": ".inf",
    "true": "True",
}


@pytest.mark.parametrize("written", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_a_text_is_the_text_that_was_written(written: str) -> None:
    worker = valid(f"path: /a\ntype: go\nenvironment: {{A: {written}}}")
    assert worker.environment == (("A", written.strip("'")),)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("yes", Enabled.TRUE),
        ("off", Enabled.FALSE),
        ("'no'", Enabled.FALSE),
        ("1", Enabled.TRUE),
        ("NO", Enabled.FALSE),
    ],
)
def test_a_boolean_has_all_of_systemds_spellings(written: str, meant: Enabled) -> None:
    assert valid(f"path: /a\ntype: go\nenabled: {written}").enabled is meant


def test_no_is_a_restart_policy_not_a_boolean() -> None:
    assert valid("path: /a\ntype: go\nrestart: {policy: no}").restart.policy is RestartPolicy.NO


@pytest.mark.parametrize("null", ["", "~", "null", "NULL"])
def test_null_is_null_where_a_setting_may_be_null(null: str) -> None:
    worker = valid(f"path: /a\ntype: go\nport: {null}\nlimits: {{memory_high: {null}}}\nhost: {null}")
    assert (worker.port, worker.limits.memory_high, worker.hosts) == (None, None, ())


@pytest.mark.parametrize("group", ["health", "limits", "timeouts", "proxy"])
def test_a_group_whose_lines_are_all_comments_says_nothing(group: str) -> None:
    result = api(f"path: /a\ntype: go\n{group}:\n  # path: /up\n")
    assert shown(result.diagnostics) == []


@pytest.mark.parametrize("word", ["none", "false", "no", "off"])
def test_no_health_check_has_a_word(word: str) -> None:
    assert valid(f"path: /a\ntype: go\nlisten: fd\nhealth: {word}").health.type is HealthType.NONE


def test_what_a_worker_says_of_its_health_check_goes_before_the_defaults() -> None:
    defaults = "defaults: {health: {path: /up, status: [200, 204-206]}}"
    worker = valid("path: /a\ntype: go\nhealth: tcp", defaults)
    assert (worker.health.type, worker.health.path) == (HealthType.TCP, "/up")
    assert shown(workers({"api": "path: /a\ntype: go\nhealth: tcp"}, defaults).diagnostics) == []
    assert valid("path: /a\ntype: go", defaults).health.status == (Statuses(200, 200), Statuses(204, 206))


def test_null_is_an_error_where_a_value_is_needed() -> None:
    hint = "write one, or remove the line for the default"
    expected = [("api.yaml:3:7", "user: has no value", hint)]
    assert shown(api("path: /a\ntype: go\nuser: ~").diagnostics) == expected


def test_quoted_null_is_a_text() -> None:
    assert valid("path: /a\ntype: go\nuser: 'null'").user == "null"


def test_an_alias_stands_for_what_it_names() -> None:
    assert valid("path: /a\ntype: go\nbuild: &go [go, build]\ncommand: *go").command == ("go", "build")


def test_a_byte_order_mark_and_windows_line_ends_are_read_over() -> None:
    result = api(b"\xef\xbb\xbfpath: /a\r\ntype: go\r\nport: x\r\n")
    assert [f"{f.mark}" for f in result.diagnostics] == ["api.yaml:3:7"]
    assert result.diagnostics[0].source == "port: x"


def test_columns_count_characters() -> None:
    assert str(api("path: /a\ntype: go\nenvironment: {A: 'äöü😀', 1: x}").diagnostics[0].mark) == "api.yaml:3:26"


LAUGHS = b"\n".join(
    b"%c: &%c [%s]" % (name, name, b",".join([b"*%c" % (name - 1) if name > ord("a") else b"x"] * 9))
    for name in b"abcdef"
)

HOSTILE: dict[str, tuple[bytes, str, str]] = {
    "nul": (b"path: /a\x00", "api.yaml:1:9", "the character 0x00 has no place in YAML"),
    "escape": (b"a: b\nc: \x1b[0m", "api.yaml:2:4", "the character 0x1b has no place in YAML"),
    "line-separator": ("a: b\u2028c: d".encode(), "api.yaml:1:5", "the character 0x2028 has no place in YAML"),
    "latin-1": (b"a: b\nc: caf\xe9", "api.yaml:2:7", "not UTF-8"),
    "utf-16": ("path: /a".encode("utf-16"), "api.yaml:1:1", "not UTF-8"),
    "deep": (
        b"[" * 200_000,
        "api.yaml:1:1",  # 17, or where libyaml's own limit is
        "nested more than 16 deep",
    ),
    "deep-mapping": (b"{a: " * 50_000, "api.yaml:1:62", "nested more than 16 deep"),
    "long": (b"a: [" + b"x, " * 50_000 + b"x]", "api.yaml:1:59996", "more than 20000 values"),
    "laughs": (LAUGHS, "api.yaml:5:", "more than 20000 values"),
    "deep-by-aliases": (
        b"a: &a [[[[[[x]]]]]]\nb: &b [[[[[[*a]]]]]]\nc: [[[[[[*b]]]]]]",
        "api.yaml:3:10",
        "nested more than 16 deep",
    ),
    "long-by-aliases": (
        b"a: &a " + b"x" * 30_000 + b"\nb: [" + b"*a, " * 100 + b"]",
        "api.yaml:2:",
        "more than 2097152 characters in its values",
    ),
    "long-by-aliases-of-lists": (
        b"a: &a [" + b"x" * 30_000 + b"]\nb: [" + b"*a, " * 100 + b"]",
        "api.yaml:2:",
        "more than 2097152 characters in its values",
    ),
    "alias-of-itself": (b"a: &a [*a]", "api.yaml:1:8", "no complete anchor &a before this alias"),
    "surrogate-half": (b'a: "\\ud800"', "api.yaml:1", ""),
    "not-a-character": (b'a: "\\UFFFFFFFF"', "api.yaml:1", ""),
    "list-as-key": (b"? [a]\n: b", "api.yaml:1:3", "a key is one word"),
}


@events
@pytest.mark.parametrize(("content", "place", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_one_finding(content: bytes, place: str, message: str, reader: nodes.Events) -> None:
    reading = nodes.read(content, "api.yaml", events=reader)
    assert reading.root is None
    (mistake,) = reading.mistakes
    assert str(mistake.node.mark).startswith(place)
    assert mistake.message.startswith(message)


def test_a_worker_yaml_has_no_longer_a_text_than_its_units_can_hold() -> None:
    found = api("path: /a\ntype: go\nenvironment: {A: &a " + "x" * 60_000 + ", B: *a}")
    (mistake,) = found.diagnostics
    assert str(mistake.mark).startswith("api.yaml:3:")
    assert mistake.message.startswith("more than 100000 characters in its values")


@events
def test_an_empty_file_is_an_empty_mapping(reader: nodes.Events) -> None:
    root = nodes.read(b"# nothing\n", "api.yaml", events=reader).root
    assert isinstance(root, MapNode)
    assert root.entries == ()


PIECES = [
    *(
        "path",
        "limits",
        "memory_max",
        "unit",
        "environment",
        "defaults",
        ":",
        ": ",
        "- ",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
    ),
    *(
        "&a ",
        "*a",
        "'",
        '"',
        "\\",
        "|\n",
        ">\n",
        "!t ",
        "#",
        ",",
        "? ",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "\t",
        "0",
        "~",
    ),
]
NEARLY_YAML = st.lists(st.sampled_from(PIECES), max_size=40).map("".join).map(str.encode)


@settings(max_examples=3 * settings().max_examples, deadline=None)
@given(st.one_of(st.binary(max_size=200), NEARLY_YAML))
def test_no_bytes_raise_anything(content: bytes) -> None:
    api(content)
    server(content.decode("utf-8", "replace"))
    nodes.read(content, "file", events=nodes.pure_events)


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(st.binary(max_size=100))
def test_no_bytes_in_a_value_raise_anything(content: bytes) -> None:
    text = content.decode("latin-1").replace("'", "")
    for key in ("path", "host", "command", "user", "sandbox", "port", "limits: {memory_max", "restart: {delay"):
        end = "}" if "{" in key else ""
        api(f"type: go\n{key}: '{text}'{end}")
