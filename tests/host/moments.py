"""Does something at a defined moment of a deed: just before one of its system calls.

Python announces the calls that touch files to an audit hook (sys.addaudithook, PEP 578) before it
makes them; a hook that raises prevents the call. A hook can not be removed, so there is one, which
does nothing outside of `before`.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqunits.system import process

FILES = ("chmod", "chown", "link", "listdir", "mkdir", "remove", "rename", "rmdir", "scandir", "symlink", "utime")
CALLS = frozenset({"open", *(f"os.{name}" for name in FILES)})
"""What is a step of a deed."""

Hook = Callable[[str, object], None]
_now: dict[str, Hook] = {}


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in CALLS and "hook" in _now:
        hook = _now.pop("hook")  # what the hook does itself is no step
        try:
            hook(event, arguments[0] if arguments else None)
        finally:
            _now.setdefault("hook", hook)


sys.addaudithook(_audit)


@contextmanager
def _hooked(hook: Hook) -> Iterator[None]:
    _now["hook"] = hook
    try:
        yield
    finally:
        _now.clear()


@contextmanager
def before(call: str, name: str | None, deed: Callable[[], object]) -> Iterator[None]:
    """Do it once, before the first such call with this name (not a path); None: with any."""
    done: list[str] = []

    def hook(event: str, first: object) -> None:
        if event == call and name in (first, None) and not done:
            done.append(call)
            deed()

    with _hooked(hook):
        yield
    assert done, f"there was no {call} of {name}"


class Injected(OSError):
    """The call that fails."""


def failures(deed: Callable[[], object]) -> Iterator[str]:
    """Do it again and again, each time with another call that fails; yields which one. Ends when
    all calls were made."""
    for number in range(10_000):
        steps: list[str] = []

        def hook(event: str, first: object, number: int = number, steps: list[str] = steps) -> None:
            steps.append(f"{event} {first!r}")
            if len(steps) == number + 1:
                raise Injected(28, "No space left on device")

        try:
            with _hooked(hook):
                deed()
        except Injected:
            yield steps[number]
        else:
            if len(steps) <= number:
                return
            yield steps[number]
    raise AssertionError("it has no end")


def kills(deed: Callable[[], object]) -> Iterator[int]:
    """Do it again and again in a process of its own, which is killed before another call each time;
    yields its number. Ends when all calls were made."""
    assert process  # imported before: an import has calls of its own
    for number in range(10_000):
        child = os.fork()
        if child == 0:
            _die_at(number, deed)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return
        yield number
    raise AssertionError("it has no end")


def _die_at(number: int, deed: Callable[[], object]) -> None:
    steps = itertools.count()

    def hook(event: str, first: object) -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        with _hooked(hook):
            deed()
        status = 0
    finally:
        os._exit(status)
