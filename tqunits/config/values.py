"""Texts to values, in systemd's own spellings: sizes, time spans, percentages, booleans, whole
numbers.

Sources: parse_size() and parse_sec() of systemd (systemd.time(7), "PARSING TIME SPANS";
systemd.resource-control(5)): K, M, G, T, P, E are powers of 1024, a span without unit is seconds,
`infinity` is UINT64_MAX. Stricter than systemd in one point: leading zeros, hexadecimal and signs
are refused, because some people read 010 as eight and others as ten.
"""

from __future__ import annotations

import re

from tqunits.config.reject import Reject, did_you_mean, shown
from tqunits.late_pattern import late_pattern
from tqunits.model import INFINITY

MANY = 2**31 - 1
"""The greatest count of anything: systemd's and the kernel's own limits are below it."""

HEAD_BYTES = (4096, 1_048_576)
"""The least and the greatest limit on a head, in bytes."""

RESPONSE_FIELDS = (10, 10_000)
"""The least and the greatest limit on the number of fields in a worker's head."""

PERCENT = 100
"""permyriad in one percent (resources.Share). A quota of 1% is 100 * PERCENT microseconds of CPU
per second."""

_SIZE = late_pattern(r"([0-9]{1,20})(?:\.([0-9]{1,9}))? ?(?:B|([KMGTPE])(?:iB)?)?")
_PERCENT = late_pattern(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?%")
_SPAN = late_pattern(r"([0-9]{1,20})?(?:\.([0-9]{1,9}))? ?([A-Za-zµμ]+) *")
_SECONDS = late_pattern(r"([0-9]{1,20})?(?:\.([0-9]{1,9}))?")
_INTEGER = late_pattern(r"0|[1-9][0-9]{0,19}")

_SIZE_UNITS = {unit: 1024**power for power, unit in enumerate("KMGTPE", start=1)}
_SPAN_NAMES = (
    (1, "us usec µs μs"),
    (1000, "ms msec"),
    (1_000_000, "s sec second seconds"),
    (60_000_000, "m min minute minutes"),
    (3_600_000_000, "h hr hour hours"),
    (86_400_000_000, "d day days"),
    (604_800_000_000, "w week weeks"),
    (2_629_800_000_000, "M month months"),
    (31_557_600_000_000, "y year years"),
)
_SPAN_UNITS = {name: unit for unit, names in _SPAN_NAMES for name in names.split()}
_SPAN_PRINTED = tuple(
    (unit, names.split()[at]) for (unit, names), at in zip(_SPAN_NAMES[:6], (0, 0, 0, 1, 0, 0), strict=True)
)[::-1]

_TRUE = frozenset(("1", "yes", "y", "true", "t", "on"))
_FALSE = frozenset(("0", "no", "n", "false", "f", "off"))


def size(text: str) -> int:
    """Bytes of `512M`, `1.5G`, `512MiB`, `4096`, `infinity`. Raises Reject."""
    if text == "infinity":
        return INFINITY
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Reject(f"{shown(text)} is not a size", _size_hint(text))
    return _bounded(text, _scaled(match[1], match[2], _SIZE_UNITS[match[3]] if match[3] else 1))


def print_size(value: int) -> str:
    """The shortest spelling that size() reads as `value`."""
    if value == INFINITY:
        return "infinity"
    unit = next((u for u in "EPTGMK" if value and value % _SIZE_UNITS[u] == 0), "")
    return f"{value // _SIZE_UNITS[unit] if unit else value}{unit}"


def span(text: str) -> int:
    """Microseconds of `5m`, `1min 30s`, `50ms`, `30` (seconds), `infinity`. Raises Reject."""
    if text == "infinity":
        return INFINITY
    seconds = _SECONDS.fullmatch(text) if text else None
    if seconds is not None:
        return _bounded(text, _scaled(seconds[1] or "0", seconds[2], 1_000_000))
    total = position = 0
    while position < len(text):
        match = _SPAN.match(text, position)
        if match is None or match[3] not in _SPAN_UNITS or not (match[1] or match[2]):
            raise Reject(f"{shown(text)} is not a time span", _span_hint(text))
        total += _scaled(match[1] or "0", match[2], _SPAN_UNITS[match[3]])
        position = match.end()
    if not text:
        raise Reject("'' is not a time span", _span_hint(text))
    return _bounded(text, total)


def print_span(value: int) -> str:
    """A spelling that span() reads as `value`, as systemd prints it: `1min 30s`."""
    if value == INFINITY:
        return "infinity"
    parts = []
    for unit, name in _SPAN_PRINTED:
        count, value = divmod(value, unit)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts) or "0"


def permyriad(text: str) -> int:
    """Hundredths of a percent of `80%`, `12.5%`. Raises Reject."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise Reject(f"{shown(text)} is not a percentage", "write a number with %, such as 80%")
    return int(match[1]) * PERCENT + int((match[2] or "").ljust(2, "0"))


def print_permyriad(value: int) -> str:
    """The spelling that permyriad() reads as `value`."""
    whole, rest = divmod(value, PERCENT)
    return f"{whole}.{rest:02}".rstrip("0").rstrip(".") + "%"


def cpu_quota(text: str) -> int:
    """Microseconds of CPU per second of `50%`, `200%` (two CPUs), `infinity`. Raises Reject."""
    if text == "infinity":
        return INFINITY
    try:
        quota = permyriad(text) * 100
    except Reject as error:
        raise Reject(f"{shown(text)} is not a CPU quota", _quota_hint(text)) from error
    if quota < 10_000:  # the kernel takes no quota below 1 ms per 100 ms period
        raise Reject(f"{shown(text)} is too little to run on", "write at least 1%, or infinity")
    return quota


def boolean(text: str) -> bool:
    """true for yes, true, on, 1 and false for no, false, off, 0 (systemd's parse_boolean). Raises
    Reject."""
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise Reject(f"{shown(text)} is neither true nor false", did_you_mean(word, ("true", "false", "yes", "no")))


def integer(text: str, *, least: int, most: int) -> int:
    """A whole decimal number within both bounds. Raises Reject."""
    if not _INTEGER.fullmatch(text):
        raise Reject(f"{shown(text)} is not a whole decimal number", _integer_hint(text, least))
    value = int(text)
    if not least <= value <= most:
        raise Reject(f"{value} is not within {least} and {most}", f"write a number from {least} to {most}")
    return value


def size_within(text: str, *, least: int, most: int) -> int:
    """Bytes, within both bounds. Raises Reject."""
    value = size(text)
    if value > most:
        raise Reject(f"{shown(text)} is more than {print_size(most)}", "write less")
    if value < least:
        raise Reject(f"{shown(text)} is less than {print_size(least)}", f"write at least {print_size(least)}")
    return value


def _scaled(whole: str, fraction: str | None, unit: int) -> int:
    """`whole.fraction` times `unit`, rounded down as systemd does it."""
    return int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)


def _bounded(text: str, value: int) -> int:
    if value >= INFINITY:
        raise Reject(f"{shown(text)} is too much", "write infinity for no limit")
    return value


def _size_hint(text: str) -> str:
    match = re.fullmatch(r"([0-9.]{1,20}) ?([kmgtpeKMGTPE])[bB]?", text)
    return f"write {match[1]}{match[2].upper()}" if match else "write a number with K, M, G or T, such as 512M"


def _span_hint(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,9}:[0-9:]{1,9}", text):
        return "write it with units, such as 1min 30s"
    return "write a number with ms, s, min, h or d, such as 1min 30s"


def _quota_hint(text: str) -> str:
    finer = re.fullmatch(r"([0-9]{1,9}\.[0-9]{2})[0-9]+%", text)
    if finer is not None:
        return f"write {finer[1]}%: systemd knows hundredths of a percent"
    if re.fullmatch(r"[0-9]{1,2}", text):
        return f"write {text}00% for {text} CPUs' time, or {text}%"
    return "write a percentage of one CPU, such as 50% or 200%, or infinity"


def _integer_hint(text: str, least: int) -> str:
    if re.fullmatch(r"0[0-7]{1,19}", text):
        return f"write {int(text)}, or {int(text, 8)} if you meant it octal"
    if re.fullmatch(r"0[0-9]{1,19}", text):
        return f"write {int(text)}"
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,15}|0[oO][0-7]{1,19}|0[bB][01]{1,60}|[1-9][0-9]*(?:_[0-9]{1,9}){1,9}", text):
        return f"write {int(text, 0)}"
    return f"write digits only, such as {max(10, least)}"
