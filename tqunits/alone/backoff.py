"""Waits before a failed worker is started again: ExecStart= of tq-backoff@NAME.service.

    /usr/bin/python3 -I -S backoff.py [--user] --units DIR --worker NAME

systemd waits RestartSec= before each automatic restart. This program waits for the rest: the first
restart after a failure comes after `delay`, the second after twice that, and so on up to
`backoff_max`. A run that lasted for `period` starts the count again. After more than `max_restarts`
restarts in a row (0: no limit) the program makes the file `given-up`, on which launch.py exits and
systemd does not start the worker again.

A start that somebody asks for never waits: NRestarts (org.freedesktop.systemd1(5)) counts automatic
restarts only. So a start is somebody's wish if NRestarts is 0 or has not changed since the last
pause. The settings come from the ledger of the worker's drop-in, with times in microseconds:
Backoff=DELAY BACKOFF_MAX MAX_RESTARTS PERIOD.

$RUNTIME_DIRECTORY/state is the program's memory: NRestarts at the last pause, NRestarts before the
first failure in the row, the end of the last run, and, for people, how many failures there were in
a row and when the pause ends (µs on the monotonic clock). The program always exits 0: an error here
must not keep a worker from starting.
"""

from __future__ import annotations

import os
import sys
import time

LEAST_STEP = 100_000
"""µs: the first step when `delay` is 0."""

LONGEST_US = 86_400_000_000

STATE, GIVEN_UP = "state", "given-up"

_OF_BEFORE = "1000000 30000000 0 300000000"
"""Backoff= for a drop-in of an earlier release, which has none: the defaults of worker.yaml."""

_ASKED = ("NRestarts", "ActiveEnterTimestampMonotonic", "ActiveExitTimestampMonotonic")
_MOST = 65536  # bytes of an answer


class Settings:
    """`restart` of the worker's YAML; times in µs."""

    __slots__ = ("delay", "longest", "most", "period")

    def __init__(self, delay: int, longest: int, most: int, period: int) -> None:
        self.delay, self.longest, self.most, self.period = delay, longest, most, period


class Memory:
    """The memory of the pauses, see above. All fields are numbers, so a wrong file can only cause a
    wrong pause."""

    __slots__ = ("base", "ended", "last")

    def __init__(self, last: int = 0, base: int = 0, ended: int = 0) -> None:
        self.last, self.base, self.ended = last, base, ended


def failures(restarts: int, began: int, ended: int, settings: Settings, memory: Memory) -> int:
    """How many failures in a row came before this start; 0: somebody has asked for it. Updates
    `memory`.

    `restarts` is NRestarts. `began` and `ended`: the last run that was active at all (µs).
    """
    is_asked = restarts in (0, memory.last)
    was_long = ended > began and ended != memory.ended and ended - began >= settings.period
    if is_asked:
        memory.base = restarts
    elif restarts < memory.base or restarts < memory.last:
        memory.base = 0  # the counter was reset
    if was_long and not is_asked:
        memory.base = restarts - 1
    memory.last, memory.ended = restarts, ended
    return restarts - memory.base


def pause(count: int, settings: Settings) -> int:
    """µs to wait after `count` failures in a row, besides `delay`, which systemd has waited
    already."""
    if count < 2 or settings.longest <= settings.delay:
        return 0
    doublings = min(count - 1, 40)
    whole = max(settings.delay, LEAST_STEP) << doublings
    return max(0, min(whole, settings.longest, LONGEST_US) - settings.delay)


def main(arguments: list[str]) -> int:
    """Wait, if the worker has failed."""
    user = arguments[:1] == ["--user"]
    options = dict(zip(arguments[user::2], arguments[user + 1 :: 2], strict=False))
    worker, units = options.get("--worker", ""), options.get("--units", "")
    folder = os.environ.get("RUNTIME_DIRECTORY", "")
    try:
        settings = read_settings(f"{units}/tq-worker@{worker}.service.d/10-tqunits.conf")
        answer = _asked(f"tq-worker@{worker}.service", user=user)
        memory = _remembered(f"{folder}/{STATE}")
        count = failures(*answer, settings, memory)
        has_given_up = 0 < settings.most < count
        wait = 0 if has_given_up else pause(count, settings)
        _mark(f"{folder}/{GIVEN_UP}", f"{count - 1}\n" if has_given_up else None)
        due = time.monotonic_ns() // 1000 + wait
        state = f"{memory.last} {memory.base} {memory.ended} {count} {due}\n"
        _mark(f"{folder}/{STATE}", state if memory.last else None)  # before any failure there is nothing to write
    except (OSError, ValueError) as error:
        sys.stderr.write(f"<4>tqunits-backoff: {worker} is started without a pause: {error}\n")
        return 0
    if wait:
        text = f"{worker} has failed {count} times in a row; it is started again in {wait / 1e6:.1f} s"
        sys.stderr.write(f"<5>tqunits-backoff: {text}\n")
        time.sleep(wait / 1e6)
    return 0


def read_settings(path: str) -> Settings:
    """The settings in a drop-in."""
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib costs more
        ledger = file.read().rpartition("\n[X-Tqunits]\n")[2]
    found = [line.partition("=")[2] for line in ledger.split("\n") if line.startswith("Backoff=")]
    delay, longest, most, period = (int(word) for word in (found or [_OF_BEFORE])[-1].split())
    return Settings(delay, longest, most, period)


def _asked(unit: str, *, user: bool) -> tuple[int, int, int]:
    """systemd's values for the worker: NRestarts, and when its last active run began and ended
    (µs)."""
    reading, writing = os.pipe()
    options = ["--user"] if user else []
    argv = ["systemctl", *options, "show", *(f"--property={name}" for name in _ASKED), "--", unit]
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    os.close(writing)
    text = b""
    while len(text) < _MOST and (more := os.read(reading, _MOST)):
        text += more
    os.close(reading)
    os.waitpid(pid, 0)
    found = dict(line.split("=", 1) for line in text.decode("ascii", "replace").split("\n") if "=" in line)
    try:
        restarts, began, ended = (int(found[name]) for name in _ASKED)
    except KeyError:
        raise ValueError(f"systemd does not tell about {unit}") from None
    return restarts, began, ended


def _remembered(path: str) -> Memory:
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - as above
            last, base, ended = (int(word) for word in file.read(200).split()[:3])
    except (FileNotFoundError, ValueError):
        return Memory()
    return Memory(last, base, ended)


def _mark(path: str, text: str | None) -> None:
    """Write the file; with None remove it."""
    if text is not None:
        _write(path, text)
    elif os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(text)
    os.rename(f"{path}.new", path)  # noqa: PTH104


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
