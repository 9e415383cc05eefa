"""What a program's own error means for the operator: the sentence, and what to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tqunits.late_pattern import late_pattern
from tqunits.lifecycle import relaxing, wants
from tqunits.lifecycle.error_lines import Complaint
from tqunits.lifecycle.facts import Access, Facts, Look, UnitEnd
from tqunits.lifecycle.kinds import ErrorKind
from tqunits.lifecycle.reason import Cause, Reason
from tqunits.lifecycle.wants import Symptom
from tqunits.model import Relaxation

LISTEN = "it must listen on 127.0.0.1:$PORT ($WORKER_PORT), or at $WORKER_SOCKET"

_PORT = late_pattern(r"(?<![\d.]):(\d{2,5})\b|\d:(\d{2,5})\b|', (\d{2,5})\)")


def of(facts: Facts, end: UnitEnd, error: Complaint) -> Reason:
    """Why the program ended, by its own error."""
    seen = next((each for each in facts.looks if each.path == error.path), None)
    if seen is not None and seen.access in {Access.HIDDEN, Access.BARRED}:
        return look(facts, seen)
    if error.kind is not ErrorKind.JIT and (found := wants.found(facts, error)):
        return wanting(facts, found)
    reading = _READINGS.get(error.kind)
    return reading(facts, error) if reading else exited(end, error)


def exited(end: UnitEnd, error: Complaint) -> Reason:
    """The program exited by itself, with an error that needs no other explanation."""
    return Reason(Cause.EXITED, f"it exited with status {end.status}: {words(error)}")


def beside(facts: Facts, reason: Reason, error: Complaint | None) -> Reason:
    """The reason of a program that still runs, with advice about what its messages say it lacks."""
    seen = next((each for each in facts.looks if error is not None and each.path == error.path), None)
    if seen is not None and seen.access is Access.HIDDEN:
        other = look(facts, seen)
    elif error is not None and error.kind is ErrorKind.JIT and may_not_compile(facts):
        other = jit(facts)
    elif error is not None and error.kind is ErrorKind.READ_ONLY:
        other = _read_only(facts, error)
    elif found := wants.found(facts, error):
        other = wanting(facts, found)
    else:
        return reason
    return replace(reason, advice=(other.text, *other.advice, *reason.advice), sandbox=other.sandbox)


def wanting(facts: Facts, found: Symptom) -> Reason:
    """The sandbox denies what the program needs."""
    want = found.want
    said = f"{found.words} ({found.place})" if found.place else found.words
    if want.relaxation is None:
        text = f"its sandbox does not let it {want.what}, and nothing in `sandbox` does: {said}"
        return Reason(Cause.SANDBOX, text, (want.instead,), sandbox="not-permitted")
    text = f"its sandbox does not let it {want.what}: {said}"
    write, *grant = relaxing.advice(facts, want.relaxation)
    advice = (f"{want.instead} {write}".lstrip(), *grant)
    return Reason(Cause.SANDBOX, text, advice, sandbox=want.relaxation.value)


def words(error: Complaint) -> str:
    """The text of the error, and its place."""
    return f"{error.text} ({error.place})" if error.place else error.text


def look(facts: Facts, seen: Look, what: str = "") -> Reason:
    """What keeps the worker from a path."""
    user = facts.user
    if seen.access is Access.HIDDEN:
        text = f"{what}{seen.path} is there, but its sandbox hides {seen.cause} from it"
        return Reason(Cause.SANDBOX, text, tuple(_uncovered(facts, seen)), sandbox="hidden")
    if seen.access is Access.BARRED:
        advice = f"chmod o+x {seen.cause.partition(' ')[0]}, or move it below /srv"
        return Reason(
            Cause.FILE_PERMISSION, f"{what}{seen.path}: its user {user} may not enter {seen.cause}", (advice,)
        )
    text = f"{what}{seen.path}: its user {user} may not use it: {seen.cause}"
    return Reason(Cause.FILE_PERMISSION, text, (f"chown or chmod {seen.cause.partition(' ')[0] or seen.path}",))


def _uncovered(facts: Facts, seen: Look) -> Iterator[str]:
    """How the worker can reach a hidden path. Visible homes do not help if its user may not enter
    them."""
    if seen.cause == "/dev":
        yield from relaxing.advice(facts, Relaxation.DEVICES)
        return
    homes = ""
    if seen.with_homes and Relaxation.HOME in facts.missing:
        homes = f", or write {relaxing.line(facts, Relaxation.HOME)} in its worker.yaml"
    install = f"then 'tqunits install --now {facts.name}'"
    yield f"move it below {facts.folder or 'its folder'}, /srv or /opt{homes}; {install}"
    if homes:
        yield from relaxing.grant(facts, Relaxation.HOME)


def taken(facts: Facts, text: str) -> Reason:
    """Another program has its port."""
    if not facts.holder:
        return Reason(Cause.PORT_TAKEN, text, ("'ss -ltnp' tells which program has it",))
    advice = "when that lets go, the next start gets it"
    return Reason(Cause.PORT_TAKEN, f"{text}: its port is held by {facts.holder}", (advice,))


def jit(facts: Facts, lead: str = "") -> Reason:
    """The program compiles code at run time, and its sandbox forbids that."""
    text = f"{lead}its sandbox forbids memory that is writable and executable, which its runtime needs to compile"
    advice = relaxing.advice(facts, Relaxation.WRITE_EXECUTE)
    return Reason(Cause.SANDBOX, text, advice, sandbox=Relaxation.WRITE_EXECUTE.value)


def may_not_compile(facts: Facts) -> bool:
    """Whether its sandbox forbids memory that is writable and executable."""
    return Relaxation.WRITE_EXECUTE in facts.missing


def memory(error: Complaint) -> Reason:
    """The program itself reports that it has no memory left."""
    advice = "see `limits.memory_max` in its worker.yaml, and its heap's own limit"
    return Reason(Cause.MEMORY, f"it ran out of memory: {words(error)}", (advice,))


def _syntax(facts: Facts, error: Complaint) -> Reason:
    advice = (f"mend {error.place}, then 'tqunits start {facts.name}'",) if error.place else ()
    return Reason(Cause.SYNTAX, f"its program has a syntax error: {words(error)}", advice)


def _module(_: Facts, error: Complaint) -> Reason:
    advice = (
        "let `build:` in its worker.yaml install it, or install it for the whole host; a worker sees no home folder"
    )
    return Reason(Cause.MODULE, f"a module that it needs is not there: {words(error)}", (advice,))


def _port(facts: Facts, error: Complaint) -> Reason:
    own = facts.address.rpartition(":")[2]
    match = _PORT.search(error.text)
    wanted = next((group for group in match.groups() if group), "") if match else ""
    if wanted and own.isdecimal() and wanted != own:
        text = f"it wants port {wanted}, which is taken, and its own is {own}: {words(error)}"
        return Reason(Cause.WRONG_PORT, text, (LISTEN,))
    return taken(facts, f"its address {facts.address} is taken: {words(error)}")


def _jit(facts: Facts, error: Complaint) -> Reason:
    return jit(facts) if may_not_compile(facts) else Reason(Cause.EXITED, f"it can not compile: {words(error)}")


def _memory(_: Facts, error: Complaint) -> Reason:
    return memory(error)


def _read_only(facts: Facts, error: Complaint) -> Reason:
    folder = facts.state_folder
    advice = [f"let it write to $STATE_DIRECTORY ({folder}) or $CACHE_DIRECTORY instead"] if folder else []
    if facts.folder and f"{error.path}/".startswith(f"{facts.folder}/") and not facts.by_grant:
        advice.extend(_writable(facts, error.path.removeprefix(f"{facts.folder}/")))
    text = f"its sandbox lets it read {error.path or 'a file'}, and not write: {words(error)}"
    return Reason(Cause.SANDBOX, text, tuple(advice), sandbox="read-only")


def _writable(facts: Facts, path: str) -> Iterator[str]:
    """How a path in its folder becomes writable: only folders below its own, because the folder
    itself and `config` stay root's.

    The caller does not ask this for a worker that is not root's: there the owner of the folder
    decides who may write in it.
    """
    below, first = path.rpartition("/")[0], path.partition("/")[0]
    if not below:
        yield "or let it write to a folder of its own there: `writable: [data]` in its worker.yaml"
    elif first != "config" and not first.startswith("."):
        yield f"or let it write there: `writable: [{below}]` in its worker.yaml"
        if Relaxation.WRITABLE_CODE in facts.missing:
            (write,) = relaxing.advice(facts, Relaxation.WRITABLE_CODE)
            yield f"or, to let it write to all folders below its own: {write}"


def _permission(facts: Facts, error: Complaint) -> Reason:
    seen = next((each for each in facts.looks if each.path == error.path), None)
    if seen is not None and seen.access is Access.REFUSED:
        return look(facts, seen)
    advice = f"chown or chmod {error.path or 'the file'}; what it writes belongs in $STATE_DIRECTORY"
    return Reason(Cause.FILE_PERMISSION, f"its user {facts.user} may not do that: {words(error)}", (advice,))


def _not_permitted(facts: Facts, error: Complaint) -> Reason:
    """The error does not say what was denied. The advice names only what the sandbox could give."""
    advice = [
        f"if it wants to {what}: {relaxing.advice(facts, each)[0]}"
        for each, what in _MAY_WANT.items()
        if each in facts.missing
    ]
    advice.append("capabilities, mounts, namespaces and other users are nothing that `sandbox` allows")
    text = f"its sandbox forbids what it does: {words(error)}"
    return Reason(Cause.SANDBOX, text, tuple(advice), sandbox="not-permitted")


_MAY_WANT = {
    Relaxation.RESOURCES: "set priorities or CPU affinity",
    Relaxation.WRITE_EXECUTE: "compile at run time",
    Relaxation.OUTBOUND: "reach other hosts",
}


def _variable(_: Facts, error: Complaint) -> Reason:
    name = error.variable
    text = f"a variable of its environment is not set{f' ({name})' if name else ''}: {words(error)}"
    advice = f"`environment: {{{name or 'VARIABLE'}: ...}}` in its worker.yaml, or a line in its `environment_file`"
    return Reason(Cause.ENVIRONMENT, text, (advice,))


def _no_program(_: Facts, error: Complaint) -> Reason:
    advice = "install it for the whole host: its PATH is the system's, and a worker sees no home folder"
    return Reason(Cause.PROGRAM, f"a program that it calls is not there: {words(error)}", (advice,))


def _no_file(_: Facts, error: Complaint) -> Reason:
    return Reason(Cause.FILE_MISSING, f"a file that it needs is not there: {words(error)}")


def _refused(_: Facts, error: Complaint) -> Reason:
    advice = "`depends:` in its worker.yaml starts it after its database"
    return Reason(Cause.DEPENDENCY, f"what it connects to is not there: {words(error)}", (advice,))


_READINGS: Mapping[ErrorKind, Callable[[Facts, Complaint], Reason]] = {
    ErrorKind.SYNTAX: _syntax,
    ErrorKind.MODULE: _module,
    ErrorKind.PORT_TAKEN: _port,
    ErrorKind.JIT: _jit,
    ErrorKind.READ_ONLY: _read_only,
    ErrorKind.MEMORY: _memory,
    ErrorKind.PERMISSION: _permission,
    ErrorKind.NOT_PERMITTED: _not_permitted,
    ErrorKind.ENVIRONMENT: _variable,
    ErrorKind.NO_PROGRAM: _no_program,
    ErrorKind.NO_FILE: _no_file,
    ErrorKind.REFUSED: _refused,
}
