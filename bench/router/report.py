"""What bench/router prints: medians, ratios to nginx, and the facts about the machine that they
belong to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.processes import output_of
from bench.router.load import Case, Idle, Round
from bench.router.peers import BESIDE

FIGURES = ("rps", "p50_us", "p99_us", "cpu_us", "user_us", "system_us", "busy", "origin_busy", "other_busy")
BASE = "nginx"
_DATA_PATH = "import tqunits.proxy.downstream.client as it; print(it.__file__.rpartition('/')[2])"
Row = dict[str, float | int | str | list[float]]


def summary(case: Case, rounds: Mapping[str, Sequence[Round]]) -> list[Row]:
    """One row for each peer. A ratio is the median of the rounds' ratios: what ran side by side is
    compared."""
    return [_row(case, name, rounds[name], rounds.get(BASE, ()), rounds.get(BESIDE, ())) for name in rounds]


def _row(case: Case, name: str, rounds: Sequence[Round], base: Sequence[Round], beside: Sequence[Round]) -> Row:
    row: Row = {"case": case.name, "peer": name, "rounds": len(rounds)}
    row["errors"] = sum(one.errors for one in rounds)
    for figure in FIGURES:
        row[figure] = round(statistics.median(getattr(one, figure) for one in rounds), 3)
    row["cpu_us_rounds"] = [round(one.cpu_us, 3) for one in rounds]
    if case.bytes:
        row["cpu_us_per_mib"] = round(float(statistics.median(one.cpu_us for one in rounds)) * 2**20 / case.bytes, 1)
    if base and name != BASE:
        for figure in ("cpu_us", "rps", "p50_us", "p99_us"):
            pairs = [(getattr(one, figure), getattr(other, figure)) for one, other in zip(rounds, base, strict=True)]
            if all(low for _, low in pairs) and any(high for high, _ in pairs):
                row[f"{figure}_ratio"] = round(statistics.median(high / low for high, low in pairs), 3)
    if beside and name == "tqunits":
        ratios = sorted(one.cpu_us / other.cpu_us for one, other in zip(rounds, beside, strict=True) if other.cpu_us)
        row["beside_ratio"] = round(statistics.median(ratios), 3)
        row["beside_range"] = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
    return row


def idle_rows(case: Case, found: Mapping[str, Idle]) -> list[Row]:
    """Memory, one row for each peer."""
    rows: list[Row] = []
    for name, one in found.items():
        grown = (one.pss - one.pss_before) / one.connections
        row: Row = {"case": case.name, "peer": name, "connections": one.connections, "wanted": one.wanted}
        row |= {"pss_kib": one.pss, "rss_kib": one.rss, "pss_kib_before": one.pss_before}
        row["pss_kib_per_connection"] = round(grown, 3)
        if name != BASE and BASE in found:
            other = found[BASE]
            row["pss_ratio"] = round(one.pss / other.pss, 2)
            row["pss_per_connection_ratio"] = round(grown * other.connections / (other.pss - other.pss_before), 2)
        rows.append(row)
    return rows


COLUMNS = (
    ("case", "case", 20),
    ("peer", "peer", 20),
    ("CPU µs", "cpu_us", 8),
    ("user", "user_us", 7),
    ("system", "system_us", 7),
    ("/nginx", "cpu_us_ratio", 7),
    ("per MiB", "cpu_us_per_mib", 8),
    ("req/s", "rps", 8),
    ("/nginx", "rps_ratio", 7),
    ("p50 µs", "p50_us", 8),
    ("p99 µs", "p99_us", 8),
    ("/nginx", "p99_us_ratio", 7),
    ("/beside", "beside_ratio", 9),
    ("range", "beside_range", 11),
    ("others", "other_busy", 7),
    ("errors", "errors", 7),
)
IDLE_COLUMNS = (
    ("case", "case", 20),
    ("peer", "peer", 20),
    ("connections", "connections", 12),
    ("PSS KiB", "pss_kib", 9),
    ("/nginx", "pss_ratio", 8),
    ("RSS KiB", "rss_kib", 9),
    ("before", "pss_kib_before", 9),
    ("KiB each", "pss_kib_per_connection", 9),
    ("/nginx", "pss_per_connection_ratio", 8),
)


def heading(columns: Sequence[tuple[str, str, int]]) -> str:
    return "".join(f"{title:<{width}}" if width == 20 else f"{title:>{width}}" for title, _, width in columns)


def line(row: Row, columns: Sequence[tuple[str, str, int]]) -> str:
    return "".join(_cell(row.get(key, ""), key, width) for _, key, width in columns)


def _cell(value: object, key: str, width: int) -> str:
    if not isinstance(value, float):
        text = str(value)
    elif "ratio" in key or key == "other_busy":
        text = f"{value:.2f}"
    else:
        text = f"{value:.0f}" if value >= 1000 else f"{value:.1f}"
    return f"{text:<{width}}" if width == 20 else f"{text:>{width}}"


def facts() -> dict[str, object]:
    """The machine, and the versions of what was measured on it."""
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "uvloop": importlib.metadata.version("uvloop"),
        "nginx": output_of(["nginx", "-v"]).strip(),
        "haproxy": output_of(["haproxy", "-v"]).splitlines()[0],
        "tqunits": output_of([sys.executable, "-m", "tqunits", "--version"]).strip(),
        "data path": output_of([sys.executable, "-c", _DATA_PATH]).strip(),  # imported here, it would share its memory
        "load_before": os.getloadavg(),
    }


def _first(file: str, name: str) -> str:
    lines = Path(file).read_text().splitlines()
    return next((text.partition(":")[2].strip() for text in lines if text.startswith(name)), "unknown")
