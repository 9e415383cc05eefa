"""Drop-ins of earlier releases, brought up to this one as they lie there.

A worker that is not rendered in an install (its folder has vanished, its YAML is refused, the host lacks its program)
keeps the unit that it has. But no line of a worker's unit runs as root, and systemd opens no file for it that somebody
else may rename: such lines of before go, and what they did is done as it is today.

    ExecStartPost=GATE                the gate, which makes the file `serving` as well
    ExecStartPost=-+/bin/rm -f MARK   goes; a worker without a gate joins the routers by a line of its own
    ExecStop=-+LEAVE --wait SECONDS   the same as the worker's own user
    EnvironmentFile=PATH              goes; who installs says so
"""

from __future__ import annotations

from collections.abc import Iterable

from tqunits.model import Target
from tqunits.units import environment, quote, unitfile

_PRIVILEGED = "+!"
_PREFIXES = "-@:" + _PRIVILEGED
_GATE = "/gate.py"
_WAIT = "--wait"
_LONGEST = "infinity"


def is_of_before(drop_in: str) -> bool:
    """Whether it has a line that runs as root, or a file that systemd opens for the worker."""
    return any(_goes(line) for line in drop_in.splitlines())


def environment_files(drop_in: str) -> tuple[str, ...]:
    """The paths of EnvironmentFile=, as they stand there."""
    found = (a for a in unitfile.parse(drop_in) if (a.section, a.name) == ("Service", "EnvironmentFile"))
    return tuple(quote.untext(a.value.removeprefix("-")) for a in found if a.value)


def refitted(drop_in: str, worker: str, target: Target) -> str:
    """The drop-in without such lines; any other drop-in as it is."""
    if not is_of_before(drop_in):
        return drop_in
    lines = drop_in.splitlines()
    has_gate = any(map(_is_gate, lines))
    return "".join(f"{line}\n" for line in _fitted(lines, worker, target, joins=not has_gate))


def _fitted(lines: Iterable[str], worker: str, target: Target, *, joins: bool) -> Iterable[str]:
    place = environment.place(worker, target.layout.runtime)
    options = [word for pair in place.items() for word in pair]
    for line in lines:
        if line.startswith("ExecStop=") and _goes(line):
            leave = [*target.argv_alone("leave"), *options, _WAIT, _wait(line)]
            if joins:
                yield f"ExecStartPost={quote.command([*target.argv_alone('join'), *place.values()])}"
            yield f"ExecStop=-{quote.command(leave)} --pid $MAINPID"
        elif _is_gate(line):
            arguments = line.partition(_GATE)[2]
            yield f"ExecStartPost={quote.command(target.argv_alone('gate'))}{arguments} {quote.command(options)}"
        elif not _goes(line):
            yield line


def _goes(line: str) -> bool:
    directive, _, value = line.partition("=")
    if directive == "EnvironmentFile":
        return True
    prefixes = value[: len(value) - len(value.lstrip(_PREFIXES))]
    return directive.startswith("Exec") and any(sign in prefixes for sign in _PRIVILEGED)


def _is_gate(line: str) -> bool:
    return line.startswith("ExecStartPost=") and _GATE in line and not _goes(line)


def _wait(line: str) -> str:
    """How long it drains, in seconds."""
    words = line.split()
    found = words[words.index(_WAIT) + 1] if _WAIT in words[:-1] else _LONGEST
    return found if found.replace(".", "", 1).isdigit() else _LONGEST
