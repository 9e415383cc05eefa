"""What `unit:` passes through, compared with systemd itself: our grammar of a value is never wider
than systemd's.

If systemd can not read a value, it only logs that, and runs the unit without the value. So whatever
our parser accepts, `systemd-analyze verify` has to accept without a message. The table is also
tested in the machine, so with each Debian's systemd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import Machine

from tqunits.config.directives import DIRECTIVES
from tqunits.config.reject import Reject
from tqunits.system.process import run
from tqunits.units import quote

from .analyze import VERIFY, scratch

TOKENS = """0 1 -1 +5 4 7 8 19 20 21 99 100 101 255 256 257 999 1000 1001 8191 8192 10000 2147483647 2147483648 010 0x10
0x33 0x 1e3 ¼ ² ٣ 9223372036854775807 9223372036854775808 18446744073709551615 infinity none max 0% 50% 1K 5M 1.5G 1G
16E 1KB 1KiB 1k 5M:6M 6M:5M 5M:infinity infinity:5M : 5: :5 1:2:3 50us 50ns 1ms 30s 1min 1h 0s 1d 2w 10min 11min 1.5s
1M 0-3 3-0 0,2 0,,2 0- -3 1-2-3 numa all default bind local preferred interleave yes no on off true maybe realtime
best-effort idle rt SIGKILL KILL SIGRTMIN SIGRTMIN+1 SIGSTOP SIGNAL 9 OOM_ADJUST SUCCESS success EXCEPTION emerg err
notice info debug warning private-anonymous elf-headers private-dax ssh.service a.service nfs-server.service
network-online.target tq-worker@a.service tq-worker@.service multi-user.target tq.target systemd-suspend.service
/dev/sda /dev/null / /a/../b dev/sda /dev/a% https://a.example/b?c=d http://a ftp://a file:/x file:x man:a(8) man:
info:a % %% %i %n %q %20 a% "q" 'q' a\\ \\x41 ; # [Service] $HOME ${HOME} \xa0 \ufdd0 é"""
PIECES = TOKENS.split()
ODD = ("1min 30s", "0 1", "0, 1", " 5", "5 ", "", " ", "/dev/sda 5M", "/dev/sda 100", "/dev/sda  5", "a b", "0\t1")
ALL = [(section, name) for section, known in DIRECTIVES.items() for name in known]
GLUE = st.sampled_from(("", " ", ",", "-", ":", "%"))
TEXTS = st.builds("".join, st.lists(st.one_of(st.sampled_from(PIECES), GLUE), min_size=1, max_size=5))


def taken(directive: tuple[str, str], text: str) -> str | None:
    """The value in the unit; None if the parser refuses it."""
    section, name = directive
    try:
        return DIRECTIVES[section][name].value(text)
    except Reject:
        return None


def units_of(values: Iterable[tuple[tuple[str, str], str]]) -> Mapping[str, str]:
    """A unit for each accepted value."""
    lines = [
        (section, f"{name}={text}") for (section, name), given in values if (text := taken((section, name), given))
    ]
    plain = {"Unit": "", "Service": "ExecStart=/bin/true\n"}
    return {
        f"u{at}.service": "".join(f"[{s}]\n{own}{line if s == section else ''}\n" for s, own in plain.items())
        for at, (section, line) in enumerate(lines)
    }


def table() -> Mapping[str, str]:
    return units_of(product(ALL, (*PIECES, *ODD)))


def verify(units: Mapping[str, str]) -> str:
    """The messages of the host's systemd about these units, each with its unit."""
    with scratch() as root:
        for path, text in (("bin/true", ""), *((f"etc/systemd/system/{name}", text) for name, text in units.items())):
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (root / "bin/true").chmod(0o755)
        return run([*VERIFY, f"--root={root}", "verify", *units]).stderr if units else ""


def test_every_directive_takes_something() -> None:
    assert [name for section, name in ALL if not any(taken((section, name), text) for text in (*PIECES, *ODD))] == []


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(ALL), TEXTS), min_size=100, max_size=200))
def test_whatever_is_taken_is_systemds_too(values: list[tuple[tuple[str, str], str]]) -> None:
    assert verify(units_of(values)) == ""


@given(st.sampled_from(ALL), st.one_of(TEXTS, st.text()))
def test_whatever_is_taken_can_stand_in_a_unit(directive: tuple[str, str], text: str) -> None:
    """Otherwise the mistake of one worker would only be found when all are written
    (units/quote.py)."""
    value = taken(directive, text)
    assert value is None or quote.verbatim(value) == value


@pytest.mark.parametrize("character", ["\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff"], ids=ascii)
def test_no_directive_takes_a_noncharacter(character: str) -> None:
    """Independent of the directive, and of the place in the value: systemd would ignore the whole
    line."""
    tried = [(at, text) for at in ALL for text in (*PIECES, *ODD) if taken(at, text) is not None]
    spoilt = [(at, f"{text[:n]}{character}{text[n:]}") for at, text in tried for n in {0, 1, len(text)}]
    assert len(spoilt) > len(ALL)
    assert [each for each in spoilt if taken(*each) is not None] == []


def test_the_table_is_taken_on_this_systemd(machine: Machine) -> None:
    units, folder = table(), "/opt/verify"
    try:
        machine.write(f"{folder}/bin/true", "", 0o755)
        for name, text in units.items():
            machine.write(f"{folder}/etc/systemd/system/{name}", text)
        done = machine.run([*VERIFY, f"--root={folder}", "verify", *units], check=False)
        assert (done.returncode, done.stderr) == (0, "")
        machine.write(f"{folder}/etc/systemd/system/u0.service", "[Service]\nExecStart=/bin/true\nNice=high\n")
        done = machine.run([*VERIFY, f"--root={folder}", "verify", "u0.service"], check=False)
        assert "Failed to parse nice priority" in done.stderr  # so this check can fail
    finally:
        machine.remove(folder)


def test_systemd_would_say_what_it_can_not_read() -> None:
    """Proves that the tests above can fail."""
    assert "Failed to parse nice priority" in verify({"u.service": "[Service]\nExecStart=/bin/true\nNice=high\n"})


REFUSED = {
    "Nice": ("-1", "-20", "high", "20", "5.5", "+5"),
    "IOSchedulingClass": ("realtime", "1", "0"),
    "IOSchedulingPriority": ("0", "3", "8"),
    "OOMScoreAdjust": ("-1", "-1000", "1001"),
    "LogLevelMax": ("emerg", "err", "warning"),
    "LogRateLimitIntervalSec": ("0", "1s", "infinity"),
    "LogRateLimitBurst": ("0", "100000"),
    "TimeoutAbortSec": ("infinity", "0", "1h"),
    "StartupCPUWeight": ("0", "101", "10000"),
    "StartupIOWeight": ("10000",),
    "IODeviceWeight": ("/dev/sda 10000", "/dev/sda"),
    "CPUAffinity": ("many", "3-0"),
    "LimitSTACK": ("much", "2M:1M"),
    "SuccessExitStatus": ("256", "SIGNOTHING"),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts])
def test_no_value_takes_more_than_a_fair_share(name: str, text: str) -> None:
    assert taken(("Service", name), text) is None


def test_what_is_taken_stands_in_the_unit_as_it_was_written() -> None:
    assert taken(("Unit", "Description"), "100%% of %i") == "100%% of %i"
    assert taken(("Unit", "After"), "a.service  b.service") == "a.service b.service"
    assert taken(("Service", "CPUAffinity"), " 0,2  4-5 ") == "0 2 4-5"
    assert taken(("Service", "IPAccounting"), "true") == "yes"
