"""Rewrites drop-ins of earlier releases for this release, without rendering them anew.

A worker that an install does not render (its folder has vanished, what it asks for is refused, the
host lacks its program) keeps its unit. But in this release no line of a worker's unit runs as root,
and systemd opens no file for it that somebody else may rename. Such lines of earlier releases are
replaced by those of this release.

    ExecStartPost=GATE                the gate, which makes the file `serving` as well
    ExecStartPost=-+/bin/rm -f MARK   goes; a worker without a gate joins the routers by a line
                                      of its own
    ExecStop=-+LEAVE --wait SECONDS   the same as the worker's own user
    EnvironmentFile=PATH              a credential, which the launcher reads
    LoadCredential=ID:PATH            with the path of a copy, where PATH is not root's
    StartLimitBurst=, RestartSteps=   go: they count the restarts that somebody asks for, and
                                      tq-backoff@ does not

What can not be replaced is removed; install reports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tqunits.light_dataclass import dataclass
from tqunits.model import Host
from tqunits.units import environment, quote, unitfile
from tqunits.units.name import Whose

Places = Mapping[str, str]
"""Path in a drop-in -> the path that systemd may open instead."""

_COUNTING = frozenset({"StartLimitIntervalSec", "StartLimitBurst", "RestartSteps", "RestartMaxDelaySec"})
"""The template has the right values, and config/passthrough.py refuses these directives. So a
drop-in of this release has none of them."""

_PRIVILEGED = "+!"
_PREFIXES = "-@:" + _PRIVILEGED
_GATE = "/gate.py"
_WAIT = "--wait"
_LONGEST = "infinity"


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file in an old drop-in, and the credential that it is or becomes."""

    id: str
    path: str
    has_variables: bool


def is_of_before(drop_in: str) -> bool:
    """Whether a drop-in has a line that runs as root, a file that systemd opens for the worker, or
    a limit on its restarts."""
    return any(_goes(line) or _counts(line) for line in drop_in.splitlines())


def files(drop_in: str) -> tuple[NamedFile, ...]:
    """The files that a drop-in names."""
    service = [a for a in unitfile.parse(drop_in) if a.section == "Service" and a.value]
    plain = [quote.untext(a.value.removeprefix("-")) for a in service if a.name == "EnvironmentFile"]
    loaded = (a.value.partition(":") for a in service if a.name == "LoadCredential")
    return (
        *(NamedFile(f"environment-{number}", path, has_variables=True) for number, path in enumerate(plain, 1)),
        *(NamedFile(credential, quote.untext(path), has_variables=False) for credential, _, path in loaded),
    )


def refitted(drop_in: str, whose: Whose, target: Host, places: Places) -> str:
    """The drop-in without such lines. A drop-in of this release is returned unchanged."""
    if not is_of_before(drop_in):
        return drop_in
    lines = [line for line in drop_in.splitlines() if not _counts(line)]
    if any(map(_goes, lines)):
        lines = _without_privilege(drop_in, lines, whose, target, places)
    return "".join(f"{line}\n" for line in lines)


def _without_privilege(drop_in: str, before: list[str], whose: Whose, target: Host, places: Places) -> list[str]:
    kept = [(named, places[named.path]) for named in files(drop_in) if named.path in places]
    lines = list(_fitted(before, whose, target))
    start = max((n for n, line in enumerate(lines) if line.startswith("ExecStart=")), default=len(lines) - 1)
    variables = [named for named, _ in kept if named.has_variables]
    if variables:
        launch = [*target.argv_alone("launch")]
        launch += [word for named in variables for word in ("--environment", f"{named.id}={named.path}")]
        lines[start] = f"ExecStart={quote.command([*launch, '--'])} {lines[start].partition('=')[2]}"
    loads = [f"LoadCredential={quote.credential(named.id, place)}" for named, place in kept]
    return [*lines[: start + 1], *loads, *lines[start + 1 :]]


def _fitted(lines: list[str], whose: Whose, target: Host) -> Iterable[str]:
    place = environment.place(whose, target.layout.runtime)
    options = [word for pair in place.items() for word in pair]
    joins = not any(map(_is_gate, lines))
    for line in lines:
        if line.startswith("ExecStop=") and _goes(line):
            leave = [*target.argv_alone("leave"), *options, _WAIT, _wait(line)]
            if joins:
                yield f"ExecStartPost={quote.command([*target.argv_alone('join'), *place.values()])}"
            yield f"ExecStop=-{quote.command(leave)} --pid $MAINPID"
        elif _is_gate(line):
            gate, arguments = quote.command(target.argv_alone("gate")), line.partition(_GATE)[2]
            yield " ".join([f"ExecStartPost={gate}{arguments}", *map(quote.word, options)])
        elif not (_goes(line) or line.startswith("LoadCredential=")):
            yield line


def _goes(line: str) -> bool:
    directive, _, value = line.partition("=")
    if directive == "EnvironmentFile":
        return True
    prefixes = value[: len(value) - len(value.lstrip(_PREFIXES))]
    return directive.startswith("Exec") and any(sign in prefixes for sign in _PRIVILEGED)


def _counts(line: str) -> bool:
    return line.partition("=")[0] in _COUNTING


def _is_gate(line: str) -> bool:
    return line.startswith("ExecStartPost=") and _GATE in line and not _goes(line)


def _wait(line: str) -> str:
    """How long the worker is drained, in seconds."""
    words = line.split()
    found = words[words.index(_WAIT) + 1] if _WAIT in words[:-1] else _LONGEST
    return found if found.replace(".", "", 1).isdigit() else _LONGEST
