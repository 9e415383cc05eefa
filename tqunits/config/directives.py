"""The directives that `unit:` passes through, each with its allowed values.

These directives can not gain privilege, leave the sandbox, take more than a fair share from others,
or mislead them (a message in another worker's name, an exit that nobody sees). Where some values
could, only the others are allowed: a worker may lower its priority, not raise it. For everything
else the administrator has `systemctl edit`.

A value is parsed by systemd's own rules, and never by wider ones (systemd.unit(5), systemd.exec(5),
systemd.service(5), systemd.resource-control(5); src/core/load-fragment.c of 252): systemd only logs
a value that it can not parse, and runs the unit without the directive.
tests/units/test_directives.py compares with `systemd-analyze verify`. A spelling that only one
release accepts, or that is unusual (octal, hexadecimal, blanks in the middle), is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tqunits.config import unit_names, values, words
from tqunits.config.reject import Reject, did_you_mean, shown
from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass
from tqunits.model import INFINITY

Read = Callable[[str], str]
"""Returns the text as systemd accepts it, or raises Reject."""

USUAL_WEIGHT: Final = 100
USUAL_LOG_RATE: Final = (30_000_000, 1000)
"""Microseconds, and messages in that time: the most that a worker may set (journald.conf(5),
RateLimitBurst=)."""

MOST_ABORT_US: Final = 600_000_000

_CPUS = 8192  # CPU_SET_MAX_NCPU, src/shared/cpu-set-util.c
_RLIM_MAX = 2**63 - 1
_SPECIFIERS = "%HIJLNPijlnpv"
_BAD_SPECIFIER = late_pattern(rf"%(?![{_SPECIFIERS}])")
_SPECIFIER = late_pattern(rf"%[{_SPECIFIERS}]")
_URI = late_pattern(r"(?:https?://|file:/|info:|man:)[A-Za-z0-9._~:/?#@!$&()*+,;=-]+")
_RANGE = late_pattern(r"(0|[1-9][0-9]{0,3})(?:-(0|[1-9][0-9]{0,3}))?")
_DEVICE = late_pattern(r"/[A-Za-z0-9._/:@+-]*")
_RATE = late_pattern(r"([1-9][0-9]{0,9})([KMGT]?)")
_SLACK = late_pattern(r"([1-9][0-9]{0,8})(ns|us|ms|s)?")
_MASK = late_pattern(r"0x[0-9a-fA-F]{1,8}")

_LEVELS = "notice info debug"
_MAPPINGS = (
    "private-anonymous shared-anonymous private-file-backed shared-file-backed elf-headers private-huge shared-huge "
    "private-dax shared-dax all default"
)
_STATUSES = (
    "SUCCESS FAILURE INVALIDARGUMENT NOTIMPLEMENTED NOPERMISSION NOTINSTALLED NOTCONFIGURED NOTRUNNING USAGE DATAERR "
    "NOINPUT NOUSER NOHOST UNAVAILABLE SOFTWARE OSERR OSFILE CANTCREAT IOERR TEMPFAIL PROTOCOL NOPERM CONFIG CHDIR "
    "NICE FDS EXEC MEMORY LIMITS OOM_ADJUST SIGNAL_MASK STDIN STDOUT CHROOT IOPRIO TIMERSLACK SECUREBITS SETSCHEDULER "
    "CPUAFFINITY GROUP USER CAPABILITIES CGROUP SETSID CONFIRM STDERR PAM NETWORK NAMESPACE NO_NEW_PRIVILEGES SECCOMP "
    "SELINUX_CONTEXT PERSONALITY APPARMOR ADDRESS_FAMILIES RUNTIME_DIRECTORY CHOWN SMACK_PROCESS_LABEL KEYRING "
    "STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY NUMA_POLICY CREDENTIALS BPF EXCEPTION"
)
_SIGNALS = (
    "SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM "
    "SIGTERM SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO "
    "SIGPWR SIGSYS"
)


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive that may be passed through."""

    takes: str  # for people
    read: Read

    def value(self, text: str) -> str:
        """The value as it is written in the unit, as one line. Raises Reject."""
        return _kept(self.read(text))


def _text(text: str) -> str:
    """A line of text for people. In it "%" begins a specifier (systemd.unit(5), SPECIFIERS)."""
    words.word(text)
    bad = _BAD_SPECIFIER.search(_SPECIFIER.sub("  ", text))
    if bad is not None:
        raise Reject(f"{shown(text)} has a % that systemd does not know", "write %% for a percent sign")
    return text


def _kept(text: str) -> str:
    """Refuse what systemd would drop from a line or not accept (units/quote.py, verbatim)."""
    if text != text.strip(" ") or text.endswith("\\"):
        raise Reject(f"{shown(text)} has a blank at either end or a backslash at its end", "remove it")
    return text


def _each(read: Read) -> Read:
    """Words that are separated by blanks, in one line."""

    def check(text: str) -> str:
        return " ".join([read(word) for word in words.word(text).split(" ") if word] or [read(text)])

    return check


def _uri(text: str) -> str:
    if _URI.fullmatch(text):
        return text
    raise Reject(f"{shown(text)} is no address of a document")


def _number(least: int, most: int) -> Read:
    return lambda text: str(values.integer(text, least=least, most=most))


def _one_of(known: str) -> Read:
    names = known.split()

    def check(text: str) -> str:
        if text in names:
            return text
        raise Reject(f"{shown(text)} is not one of {', '.join(names)}", did_you_mean(text, names))

    return check


def _boolean(text: str) -> str:
    return "yes" if values.boolean(text) else "no"


def _cpus(text: str) -> str:
    """Numbers and ranges, with blanks or commas (parse_cpu_set_full in
    src/shared/cpu-set-util.c)."""
    parts = [word for word in words.word(text).replace(",", " ").split(" ") if word] or [text]
    for word in parts:
        found = _RANGE.fullmatch(word)
        if found is None or not int(found[1]) <= int(found[2] or found[1]) < _CPUS:
            raise Reject(f"{shown(word)} is neither a number nor a range", "such as 0-3 or 0,2")
    return " ".join(parts)


def _cpus_or(word: str) -> Read:
    return lambda text: text if text == word else _cpus(text)


def _bounded(read: Callable[[str], int], least: int, most: int, printed: Callable[[int], str]) -> Read:
    """A value within bounds, as written. Infinity is outside of all bounds."""

    def check(text: str) -> str:
        if not least <= read(text) <= most:
            raise Reject(f"{shown(text)} is not within {printed(least)} and {printed(most)}")
        return text

    return check


def _span(least: int, most: int) -> Read:
    return _bounded(values.span, least, most, values.print_span)


def _limit(read: Callable[[str], int]) -> Read:
    """A soft and a hard limit, SOFT:HARD or one for both (rlimit_parse in
    src/basic/rlimit-util.c)."""

    def check(text: str) -> str:
        soft, colon, hard = text.partition(":")
        ends = [read(end) for end in ([soft, hard] if colon else [soft])]
        if any(end != INFINITY and end > _RLIM_MAX for end in ends):
            raise Reject(f"{shown(text)} is too much", "write infinity for no limit")
        if ends[0] > ends[-1]:
            raise Reject(f"{shown(text)}: the soft limit is above the hard one", f"write {hard}:{soft}")
        return text

    return check


def _size(text: str) -> int:
    """A size as a resource limit takes it: a whole number, without a blank before the unit."""
    if text != "infinity" and not re.fullmatch(r"(?:0|[1-9][0-9]*)[KMGTPE]?", text):
        raise Reject(f"{shown(text)} is not a size", "write a number with K, M, G or T, such as 512M")
    return values.size(text)


def _seconds(text: str) -> int:
    """CPU time in whole seconds: the kernel counts no smaller unit."""
    span = values.span(text)
    if span != INFINITY and (span % 1_000_000 or not span):
        raise Reject(f"{shown(text)} is no whole number of seconds", "such as 30s or 1h")
    return span


def _count(text: str) -> int:
    return INFINITY if text == "infinity" else values.integer(text, least=0, most=values.MANY)


def _slack(text: str) -> str:
    if _SLACK.fullmatch(text):
        return text
    raise Reject(f"{shown(text)} is no time that timers may be late", "such as 50us or 1ms")


def _mapping(text: str) -> str:
    return text if _MASK.fullmatch(text) else _one_of(_MAPPINGS)(text)


def _exit(text: str) -> str:
    """A number, the name of an exit status, or a signal (`systemd-analyze exit-status`,
    signal(7))."""
    if text.isdecimal():
        return str(values.integer(text, least=0, most=255))
    known = (*_STATUSES.split(), *_SIGNALS.split())
    if text in known:
        return text
    raise Reject(f"{shown(text)} is no exit status and no signal", did_you_mean(text, known))


def _device(read: Read) -> Read:
    """The path of a device or of a file on it, and a value."""

    def check(text: str) -> str:
        path, blank, value = words.word(text).partition(" ")
        if not blank or not _DEVICE.fullmatch(path) or ".." in path.split("/"):
            raise Reject(f"{shown(text)} is no path with a value behind it")
        return f"{path} {read(value)}"

    return check


def _rate(text: str) -> str:
    """Bytes or operations a second; K is 1000 here (systemd.resource-control(5))."""
    found = _RATE.fullmatch(text)
    if text != "infinity" and (found is None or int(found[1]) * 1000 ** "_KMGT".find(found[2] or "_") >= 2**63):
        raise Reject(f"{shown(text)} is no number a second", "such as 5M")
    return text


_WEIGHT = Directive(f"1 to {USUAL_WEIGHT}", _number(1, USUAL_WEIGHT))
_CPU_LIST = Directive("CPUs, such as 0-3", _cpus)
_BYTES = Directive("size | SOFT:HARD | infinity", _limit(_size))
_COUNT = Directive("number | SOFT:HARD | infinity", _limit(_count))
_RATES = Directive("path, and a number a second", _device(_rate))
_EXITS = Directive("exit statuses and signals", _each(_exit))
_LOG_SPAN, _LOG_BURST = USUAL_LOG_RATE

DIRECTIVES: Final[Mapping[str, Mapping[str, Directive]]] = {
    "Unit": {
        "Description": Directive("text", _text),
        "Documentation": Directive("addresses: https:// http:// file:/ info: man:", _each(_uri)),
        "After": Directive("units", _each(unit_names.unit)),
        "Before": Directive("workers, as tq-worker@NAME.service", _each(unit_names.worker)),
        "Wants": Directive("units", _each(unit_names.unit)),
    },
    "Service": {
        "Nice": Directive("0 to 19", _number(0, 19)),
        "IOSchedulingClass": Directive("best-effort | idle", _one_of("best-effort idle")),
        "IOSchedulingPriority": Directive("4 to 7", _number(4, 7)),
        "OOMScoreAdjust": Directive("0 to 1000", _number(0, 1000)),
        "CPUAffinity": Directive("CPUs, such as 0-3 | numa", _cpus_or("numa")),
        "AllowedCPUs": _CPU_LIST,
        "AllowedMemoryNodes": Directive("memory nodes, such as 0-1", _cpus),
        "NUMAPolicy": Directive(
            "default | preferred | bind | interleave | local", _one_of("default preferred bind interleave local")
        ),
        "NUMAMask": Directive("memory nodes, such as 0-1 | all", _cpus_or("all")),
        "LogLevelMax": Directive(_LEVELS.replace(" ", " | "), _one_of(_LEVELS)),
        "LogRateLimitIntervalSec": Directive("30s to 1h", _span(_LOG_SPAN, 3_600_000_000)),
        "LogRateLimitBurst": Directive(f"1 to {_LOG_BURST}", _number(1, _LOG_BURST)),
        "TimeoutAbortSec": Directive("1s to 10min", _span(1_000_000, MOST_ABORT_US)),
        "StartupCPUWeight": _WEIGHT,
        "StartupIOWeight": _WEIGHT,
        "IODeviceWeight": Directive(f"path, and 1 to {USUAL_WEIGHT}", _device(_number(1, USUAL_WEIGHT))),
        "IOReadBandwidthMax": _RATES,
        "IOWriteBandwidthMax": _RATES,
        "IOReadIOPSMax": _RATES,
        "IOWriteIOPSMax": _RATES,
        "LimitMEMLOCK": _BYTES,
        "LimitSTACK": _BYTES,
        "LimitFSIZE": _BYTES,
        "LimitMSGQUEUE": _BYTES,
        "LimitSIGPENDING": _COUNT,
        "LimitAS": _BYTES,
        "LimitDATA": _BYTES,
        "LimitRSS": _BYTES,
        "LimitCPU": Directive("time span | SOFT:HARD | infinity", _limit(_seconds)),
        "CoredumpFilter": Directive("kinds of memory, or a mask such as 0x33", _each(_mapping)),
        "TimerSlackNSec": Directive("time span from ns to s, such as 50us", _slack),
        "RestartPreventExitStatus": _EXITS,
        "RestartForceExitStatus": _EXITS,
        "SuccessExitStatus": _EXITS,
        "IPAccounting": Directive("true | false", _boolean),
    },
}

REFUSED: Final[Mapping[str, str]] = {
    "LogExtraFields": "its fields could name another worker",
    "MemoryMin": "it would take memory from others when there is none left",
    "MemoryLow": "it would take memory from others when there is little left",
    "MemorySwapMax": "a worker's memory is what limits.memory_max says, without swap",
    "MemoryZSwapMax": "a worker's memory is what limits.memory_max says, without swap",
    "UMask": "what a worker makes is its own; with listen: unix the router's group may use its socket",
    "LimitCORE": "core dumps of workers would fill a disk that others need",
}
"""Directives that one might look for here, and why they are refused."""


def reference() -> Iterable[str]:
    """Each section with its directives, as one sentence."""
    for section, known in DIRECTIVES.items():
        yield f"{section}: {'; '.join(f'{name} ({row.takes})' for name, row in known.items())}."
