"""Values survive unchanged through quote.py, a unit file and systemd's own parser.

`systemd --test` loads hundreds of units in one run and prints how it has read them. So the tests
use the parser that will read our files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tqunits.units import quote
from units import analyze

NASTY = "%$ \\\"';:#=~*?[]{}()<>|&!@-+,.äß漢🙂naN0x1"
"""Every character that has a meaning somewhere, and some that have none."""

EXPRESSIBLE = st.characters(exclude_categories=("Cc", "Cs", "Cn"))
ANYTHING = st.text(st.sampled_from(NASTY) | EXPRESSIBLE, max_size=24)
PATHS = st.lists(
    st.text(st.sampled_from("%$ \\\"':#,;a.=é*[") | EXPRESSIBLE, min_size=1, max_size=8), min_size=1, max_size=3
)
BATCH = 60
"""The number of values for one run of systemd. A run costs 30 ms, so batches make thousands of
cases cheap."""

UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
ROUNDS = settings(max_examples=settings().max_examples // 4, deadline=None, suppress_health_check=UNHURRIED)


def quoted(function: Callable[[str], str], value: str) -> str | None:
    try:
        return function(value)
    except quote.Unquotable:
        return None


def load(bodies: list[str]) -> list[list[tuple[str, str]]]:
    """systemd's dump of a service for each body of [Service]."""
    units = {f"case{n}.service": f"[Service]\n{body}\n" for n, body in enumerate(bodies)}
    dumps: Mapping[str, list[tuple[str, str]]] = analyze.load(units)
    return [dumps[unit] for unit in units]


def undoubled(argv: list[str]) -> list[str]:
    """systemd keeps "$$" until execution, and then makes it "$" (systemd.service(5), COMMAND
    LINES)."""
    return [word.replace("$$", "$") for word in argv]


@ROUNDS
@given(st.lists(st.lists(ANYTHING, max_size=4), min_size=1, max_size=BATCH))
def test_arguments_survive(commands: list[list[str]]) -> None:
    argvs = [["/bin/true", *arguments] for arguments in commands]
    dumps = load([f"ExecStart={quote.command(argv)}" for argv in argvs])
    assert [undoubled(argv) for dump in dumps for argv in analyze.command_lines(dump)] == argvs


@ROUNDS
@given(st.lists(ANYTHING, min_size=1, max_size=BATCH))
def test_environment_survives(texts: list[str]) -> None:
    dumps = load([f"ExecStart=/bin/true\nEnvironment={quote.assignment('NAME', text)}" for text in texts])
    assert [analyze.values(dump, "Environment") for dump in dumps] == [[f"NAME={text}"] for text in texts]


@ROUNDS
@given(st.lists(PATHS, min_size=1, max_size=BATCH))
def test_a_single_path_survives_or_is_refused(paths: list[list[str]]) -> None:
    spelled = {path: line for p in paths if (line := quoted(quote.path, path := simple(p))) is not None}
    dumps = load([f"ExecStart=/bin/true\nWorkingDirectory={line}" for line in spelled.values()])
    assert [analyze.values(dump, "WorkingDirectory") for dump in dumps] == [[path] for path in spelled]


@ROUNDS
@given(st.lists(PATHS, min_size=1, max_size=BATCH))
def test_any_folder_survives(paths: list[list[str]]) -> None:
    spelled = {path: line for p in paths if (line := quoted(quote.folder, path := simple(p))) is not None}
    dumps = load([f"ExecStart=/bin/true\nWorkingDirectory={line}" for line in spelled.values()])
    assert [analyze.values(dump, "WorkingDirectory") for dump in dumps] == [[path] for path in spelled]


@ROUNDS
@given(st.lists(PATHS, min_size=1, max_size=BATCH))
def test_a_program_survives_or_is_refused(paths: list[list[str]]) -> None:
    spelled = {path: line for p in paths if (line := quoted(quote.program, path := simple(p))) is not None}
    dumps = load([f"ExecStart={line} x" for line in spelled.values()])
    assert [argv for dump in dumps for argv in analyze.command_lines(dump)] == [[path, "x"] for path in spelled]


@ROUNDS
@given(st.lists(PATHS, min_size=1, max_size=BATCH))
def test_a_path_in_a_list_survives(paths: list[list[str]]) -> None:
    spelled = {path: line for p in paths if (line := quoted(quote.path_word, path := simple(p))) is not None}
    bodies = [f"ExecStart=/bin/true\nBindReadOnlyPaths={line}\nReadWritePaths={line}" for line in spelled.values()]
    dumps = load(bodies)
    assert [analyze.values(dump, "BindReadOnlyPaths") for dump in dumps] == [[f"{p}:{p}:rbind"] for p in spelled]
    assert [one(dump, "ReadWritePaths").strip() for dump in dumps] == [path.strip() for path in spelled]


@ROUNDS
@given(st.lists(ANYTHING, min_size=1, max_size=BATCH))
def test_plain_text_survives_or_is_refused(texts: list[str]) -> None:
    spelled = {text: line for text in texts if text and (line := quoted(quote.text, text)) is not None}
    units = {
        f"case{n}.service": f"[Unit]\nDescription={line}\n[Service]\nExecStart=/bin/true\n"
        for n, line in enumerate(spelled.values())
    }
    dumps = analyze.load(units)
    assert [one(dumps[unit], "Description") for unit in units] == list(spelled)


@given(ANYTHING)
def test_our_own_notes_survive_or_are_refused(text: str) -> None:
    line = quoted(quote.text, text)
    assert line is None or quote.untext(line) == text


def simple(parts: list[str]) -> str:
    """An absolute path without the "." and the double slashes that systemd would remove."""
    return "/" + "/".join(part.replace("/", "") or "x" for part in parts if part != ".")


def one(dump: list[tuple[str, str]], field: str) -> str:
    (value,) = analyze.values(dump, field)
    return value


@pytest.mark.parametrize("function", [quote.word, quote.text, quote.verbatim, quote.comment], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "value",
    ["a\nb", "a\rb", "a\0b", "a\tb", "a\x1bb", "a\x7fb", "a\x85b", "a\ud800b", "a\ufffeb", "a\ufdd0b", "a" * 65537],
    ids=["newline", "return", "nul", "tab", "escape", "delete", "c1", "surrogate", "bom", "noncharacter", "long"],
)
def test_what_a_line_can_not_hold_is_refused(function: Callable[[str], str], value: str) -> None:
    if function is quote.word and value in ("a\nb", "a\tb"):
        assert function(value) in ('"a\\nb"', '"a\\tb"')
        return
    with pytest.raises(quote.Unquotable):
        function(value)


@pytest.mark.parametrize(
    "program",
    ["-/bin/rm", "+/bin/rm", "!/bin/rm", "@/bin/rm", ":/bin/rm", "|sh", "-rm", "bin/rm", "", "a b", "/bin/$x", "/b/'x"],
)
def test_no_prefix_reaches_the_program(program: str) -> None:
    with pytest.raises(quote.Unquotable):
        quote.program(program)


REFUSED: Mapping[str, tuple[Callable[[str], str], str]] = {
    "relative path": (quote.path, "srv/x"),
    "path upwards": (quote.path, "/srv/../etc"),
    "path with a backslash at its end": (quote.path, "/srv/a\\"),
    "mount with a quote, from 255 on": (lambda path: quote.mount_word(path, 257), "/home/ada's"),
    "path with a blank at its end": (quote.path, "/srv/a "),
    "text that joins the next line": (quote.text, "a\\"),
    "pass-through that joins the next line": (quote.verbatim, "a\\"),
    "text with a blank before it": (quote.text, " a"),
    "root by number": (quote.account, "0"),
    "account with a specifier": (quote.account, "worker-%i"),
    "directive with a value": (quote.directive, "Nice=5\nUser"),
    "host name": (quote.address, "localhost:80"),
    "no port": (quote.address, "127.0.0.1"),
    "port 0": (quote.address, "127.0.0.1:0"),
    "port too high": (quote.address, "127.0.0.1:65536"),
    "bare IPv6": (quote.address, "::1:80"),
    "IPv4 in brackets": (quote.address, "[127.0.0.1]:80"),
    "IPv6 zone": (quote.address, "[fe80::1%eth0]:80"),
}


@pytest.mark.parametrize(("function", "value"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_would_mean_something_else_is_refused(function: Callable[[str], str], value: str) -> None:
    with pytest.raises(quote.Unquotable):
        function(value)


@pytest.mark.parametrize("emit", [lambda: quote.memory(0), lambda: quote.quota(0), lambda: quote.quota(150)])
def test_a_limit_that_systemd_would_ignore_is_refused(emit: Callable[[], str]) -> None:
    with pytest.raises(quote.Unquotable):
        emit()


SPELLED: Mapping[str, tuple[str, str]] = {
    "size": (quote.size(512 << 20), "512M"),
    "odd size": (quote.size(1025), "1025"),
    "no size": (quote.size(2**64 - 1), "infinity"),
    "zero size": (quote.size(0), "0"),
    "span": (quote.span(90_000_000), "90s"),
    "span of minutes": (quote.span(300_000_000), "5min"),
    "tiny span": (quote.span(7), "7us"),
    "zero span": (quote.span(0), "0"),
    "share": (quote.percent(8050), "80.5%"),
    "small share": (quote.percent(5), "0.05%"),
    "quota": (quote.quota(1_500_000), "150%"),
    "no quota": (quote.quota(2**64 - 1), ""),
    "unix address": (quote.address("/run/a.sock"), "/run/a.sock"),
    "ipv6 address": (quote.address("[::1]:80"), "[::1]:80"),
}


@pytest.mark.parametrize(("spelled", "expected"), SPELLED.values(), ids=SPELLED)
def test_numbers_are_spelled_as_systemd_does(spelled: str, expected: str) -> None:
    assert spelled == expected


@ROUNDS
@given(st.lists(st.integers(1, 2**62), min_size=1, max_size=BATCH))
def test_sizes_survive(sizes: list[int]) -> None:
    dumps = load([f"ExecStart=/bin/true\nMemoryMax={quote.size(size)}" for size in sizes])
    assert [one(dump, "MemoryMax") for dump in dumps] == [str(size) for size in sizes]
