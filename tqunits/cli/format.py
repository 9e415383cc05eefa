"""Numbers for people: sizes, time spans and moments, short enough for a column."""

from __future__ import annotations

import time

_SIZES = "BKMGT"
_SPANS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000))


def size(value: int | None) -> str:
    """Bytes, with at most three digits before the unit: 512M, 1.5G; "-" for what is not known."""
    if value is None:
        return "-"
    power = next((p for p in range(len(_SIZES) - 1) if value < 1000 * 1024**p), len(_SIZES) - 1)
    number = value / 1024**power
    return f"{number:.1f}".removesuffix(".0") + _SIZES[power] if number < 10 else f"{number:.0f}{_SIZES[power]}"


def span(microseconds: int | None) -> str:
    """A time span by its two greatest units: 3d 4h, 5min 1s, 0.3s; "-" for what is not known."""
    if microseconds is None:
        return "-"
    if microseconds < 10_000_000:
        return f"{microseconds / 1e6:.1f}s"
    first = next(i for i, (_, unit) in enumerate(_SPANS) if microseconds >= unit)
    parts = []
    for name, unit in _SPANS[first : first + 2]:
        count, microseconds = divmod(microseconds, unit)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts)


def cpu(nanoseconds: int | None) -> str:
    """CPU time that was used: 0.3s, 5min 1s."""
    return span(None if nanoseconds is None else nanoseconds // 1000)


def moment(microseconds: int) -> str:
    """A moment (µs since 1970) in the host's own time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(microseconds / 1e6))
