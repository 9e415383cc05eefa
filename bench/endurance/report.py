"""What bench/endurance prints, and what it calls a promise broken."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.endurance.look import Look
from bench.endurance.scene import Phase

Row = dict[str, Any]
Columns = Sequence[tuple[str, str, int]]

MAX_PIPES = 2 * 16
"""Ends of empty pipes that a process of a router keeps for the next large body."""

COLUMNS: Columns = (
    ("case", "case", -20),
    ("requests", "requests", 9),
    ("failed", "failed", 7),
    ("p50 µs", "p50_us", 7),
    ("p99 µs", "p99_us", 8),
    ("before", "p99_us_before", 8),
    ("after", "p99_us_after", 8),
    ("CPU", "busy", 6),
    ("waited", "waited", 7),
    ("others", "others", 7),
    ("PSS MiB", "pss_before", 8),
    ("peak", "pss_peak", 7),
    ("after", "pss_after", 7),
    ("fds", "fds_before", 7),
    ("peak", "fds_peak", 7),
    ("after", "fds_after", 7),
    ("pipes", "pipes_peak", 6),
    ("after", "pipes_after", 6),
)
NOTES: Columns = (
    ("case", "case", -20),
    ("what", "about", -50),
    ("PSS MiB of each", "pss_each", -17),
    ("KiB each", "kib_each", -10),
    ("what they got", "got", -40),
)
SOAK_COLUMNS: Columns = (
    ("case", "case", -20),
    ("requests", "requests", 9),
    ("seconds", "seconds", 8),
    ("wrong", "unexpected", 7),
    ("RSS MiB", "rss_first", 8),
    ("half", "rss_half", 7),
    ("last", "rss_last", 7),
    ("B/1000", "slope", 8),
    ("fds", "fds_first", 6),
    ("last", "fds_last", 6),
)


def row_of(name: str, before: Phase, beside: Phase, left: Look, after: Phase, *, held: int) -> Row:
    """The figures of a case; those without a word to it are the honest client's beside it.

    `held`: connections that were open at once, for the memory of each: by how much PSS grew up to
    its peak.
    """
    row: Row = {"case": name, "seconds": round(beside.seconds, 1)}
    for phase, word in ((beside, ""), (before, "_before"), (after, "_after")):
        honest = phase.honest
        row |= {f"requests{word}": honest.requests, f"failed{word}": sum(honest.failed.values())}
        row |= {f"p50_us{word}": honest.p50_us, f"p99_us{word}": honest.p99_us, f"max_us{word}": honest.max_us}
    row["failures"] = {**before.honest.failed, **beside.honest.failed, **after.honest.failed}
    row |= {"busy": round(beside.busy, 2), "waited": round(beside.waited, 2), "others": round(beside.others, 2)}
    for look, word in ((before.peak, "before"), (beside.peak, "peak"), (left, "after")):
        row |= {f"pss_{word}": _mib(look.pss), f"rss_{word}": _mib(look.rss)}
        row |= {f"fds_{word}": look.descriptors, f"pipes_{word}": look.pipes}
    row["pss_each"] = [_mib(pss) for pss in beside.peak.each]
    row["kib_each"] = round((beside.peak.pss - before.peak.pss) / held, 2) if held else ""
    return row


def violations(row: Row, growth: int) -> list[str]:
    """What of a case's figures is not as promised; `growth`: MiB."""
    grown = row["pss_peak"] - row["pss_before"]
    checks = {
        f"honest requests failed: {row['failures']}": bool(row["failures"]),
        f"PSS grew by {grown:.1f} MiB, more than {growth}": grown > growth,
        f"{row['fds_after'] - row['fds_before']} descriptors are left": row["fds_after"] > row["fds_before"],
        f"{row['pipes_after']} ends of pipes are left": row["pipes_after"] > MAX_PIPES * len(row["pss_each"]),
        "the router was in trouble: see its log": bool(row["tracebacks"]),
    }
    return [text for text, found in checks.items() if found]


def heading(columns: Columns) -> str:
    return "".join(_placed(title, width) for title, _, width in columns).rstrip()


def line(row: Mapping[str, object], columns: Columns) -> str:
    return "".join(_placed(_text(row[key]), width) for _, key, width in columns).rstrip()


def _placed(text: str, width: int) -> str:
    return f"{text:<{-width}}" if width < 0 else f"{text:>{width}}"


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return json.dumps(value).strip("{}").replace('"', "")
    if isinstance(value, list):
        return " + ".join(map(_text, value))
    return (
        f"{value:.2f}"
        if isinstance(value, float) and value < 10
        else f"{value:.1f}"
        if isinstance(value, float)
        else str(value)
    )


def _mib(kib: int) -> float:
    return round(kib / 1024, 1)


def machine(descriptors: int) -> dict[str, object]:
    """The machine that the figures belong to."""
    model = next(
        (x.partition(":")[2].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")), "unknown"
    )
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory": next(x.partition(":")[2].strip() for x in _lines("/proc/meminfo") if x.startswith("MemTotal")),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "uvloop": importlib.metadata.version("uvloop"),
        "descriptors": descriptors,
        "load before": os.getloadavg(),
    }


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines()
