"""What the end of a worker's process, or of its start, means: the rules behind the judgement."""

from __future__ import annotations

from pathlib import PurePosixPath

from tqunits.health import HealthType, printed
from tqunits.late_pattern import late_pattern
from tqunits.lifecycle import outcome, relaxing, told, wants
from tqunits.lifecycle.error_lines import Complaint
from tqunits.lifecycle.facts import Access, Facts, UnitEnd
from tqunits.lifecycle.kinds import ErrorKind
from tqunits.lifecycle.reason import Cause, Reason
from tqunits.model import Relaxation

_LAUNCH = "tqunits-launch: "
_BEFORE_THE_PROGRAM = range(200, 246)
_LAST_ANSWER = late_pattern(r"; last answer: (.*)$")
_ELSEWHERE = late_pattern(r"; it listens on (.*) instead;")
_TRAPS = frozenset({"SIGTRAP", "SIGILL"})  # V8 and other runtimes end with these when they can not go on
_CRASHES = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS"})
_COMPILERS = frozenset(
    {"node", "nodejs", "deno", "bun", "bunx", "java", "dotnet", "luajit", "pypy", "julia", "erl", "php"}
)
_VERSION = late_pattern(r"[-\d.]+$")
_OF_WHAT_GOES_ON = frozenset({Cause.HEALTH, Cause.SLOW, Cause.TIMEOUT})
_FROM_OUTSIDE = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"})
_STATUS_ADVICE = {
    200: "its user must be able to enter the worker's folder and all above it",
    203: "see `command` in its worker.yaml; a script needs #! in its first line, and chmod +x",
    216: "'tqunits install' creates the groups of the workers",
    217: "'tqunits install' creates the users of the workers",
    226: "every path in `unit` and `sandbox` of its worker.yaml must exist; one that may be missing begins with '-'",
    243: "the files in `credentials` and `environment_file` of its worker.yaml must exist, and hold 1 MiB at most",
}


def of(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason:
    """The reason for this end."""
    readings = (_of_memory, _of_systemd, _of_signal, _of_gate_first, _of_error, _of_gate, _of_result)
    reason = next(reason for reading in readings if (reason := reading(facts, end, error)) is not None)
    return told.beside(facts, reason, error) if reason.cause in _OF_WHAT_GOES_ON else reason


def last_answer(verdict: str) -> str:
    """The last answer to the health check, from the gate's message; "" without one."""
    match = _LAST_ANSWER.search(verdict)
    return "" if match is None or match[1] == "none" else match[1]


def _of_memory(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason | None:
    if end.result == "oom-kill" or facts.kernel:
        limit = f"its limit of {facts.memory_max}" if facts.memory_max else "there was"
        return Reason(
            Cause.MEMORY,
            f"it used more memory than {limit}, and the kernel killed it",
            ("`limits: {memory_max: SIZE}` in its worker.yaml says how much it may have; install applies it",),
            killed_by="kernel",
        )
    return None


def _of_systemd(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason | None:
    """Exit statuses of programs that run before the worker's own: systemd's and the launcher's."""
    if end.code != "exited" or end.result != "exit-code":
        return None
    if facts.gave_up and end.status == outcome.GIVEN_UP:
        return Reason(Cause.FAILED, "it is not known how its last run ended")
    launch = next((line.partition(_LAUNCH)[2] for line in facts.lines if _LAUNCH in line), "")
    if end.status == 78 and launch:
        return Reason(
            Cause.ENVIRONMENT,
            f"its environment file is wrong: {launch}",
            (f"mend it, then 'tqunits install --now {facts.name}'",),
        )
    if end.status == 203 or (launch and not outcome.is_slow(end.result, end.gate)):
        return _of_program(facts, end, launch)
    if end.status not in _BEFORE_THE_PROGRAM or end.status not in outcome.STATUSES:
        return None
    text = f"{outcome.STATUSES[end.status]} (status {end.status})"
    advice = (_STATUS_ADVICE[end.status],) if end.status in _STATUS_ADVICE else ()
    return Reason(_SYSTEMDS_CAUSES.get(end.status, Cause.FAILED), text, advice)


_SYSTEMDS_CAUSES = {200: Cause.FILE_PERMISSION, 226: Cause.SANDBOX, 228: Cause.SANDBOX, 243: Cause.ENVIRONMENT}


def _of_program(facts: Facts, end: UnitEnd, launch: str) -> Reason:
    look = next((look for look in facts.looks if look.path == end.program), None)
    if look is None or look.access is Access.THERE:
        said = f": {launch}" if launch else ": missing, not executable, or hidden by the sandbox"
        return Reason(
            Cause.PROGRAM,
            f"its program {end.program} can not be executed (status {end.status}){said}",
            (_STATUS_ADVICE[203],),
        )
    if look.access is Access.MISSING:
        advice = "`command` in its worker.yaml names it; `build` there makes it"
        return Reason(Cause.PROGRAM, f"its program {end.program} does not exist (status {end.status})", (advice,))
    if look.access is Access.NO_INTERPRETER:
        return Reason(
            Cause.PROGRAM,
            f"its program {end.program} begins with #!{look.cause}, which does not exist",
            ("mend its first line",),
        )
    if look.access is Access.NOT_EXECUTABLE:
        return Reason(
            Cause.FILE_PERMISSION, f"its program {end.program} is not executable", (f"chmod +x {end.program}",)
        )
    return told.look(facts, look, "its program ")


def _of_signal(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason | None:
    if end.code not in {"killed", "dumped"} or end.result not in {"signal", "core-dump"}:
        return None
    name = outcome.signal_name(end.status)
    if name == "SIGSYS":
        text = "it was killed for a system call that its sandbox does not allow (SIGSYS)"
        advice = "SystemCallFilter= in `unit:` or a drop-in forbids it; without SystemCallErrorNumber=EPERM that kills"
        return Reason(Cause.SANDBOX, text, (advice,), killed_by="kernel", sandbox="system-call")
    if told.may_not_compile(facts) and _is_compilers(name, error, end.program):
        return told.jit(facts, f"it crashed with {name}: ")
    if error is not None and error.kind is ErrorKind.MEMORY:
        return told.memory(error)
    if end.code == "killed" and name in _FROM_OUTSIDE:
        return _of_killer(facts, name)
    crash = f"crashed with {name}{' (core dumped)' if end.code == 'dumped' else ''}"
    return Reason(Cause.CRASHED, f"it {crash}{f': {told.words(error)}' if error else ''}")


def _is_compilers(name: str, error: Complaint | None, program: str) -> bool:
    """Whether a crash is that of a runtime which may not make its code executable: by its message,
    by a trap, or by the name of a runtime that compiles.

    Such a runtime may also end in other ways, without a message.
    """
    if error is not None and error.kind is not ErrorKind.OTHER:
        return error.kind is ErrorKind.JIT
    return name in _TRAPS or (name in _CRASHES and _VERSION.sub("", PurePosixPath(program).name) in _COMPILERS)


def _of_killer(facts: Facts, name: str) -> Reason:
    """Signals that come from outside of the process. systemd's own timeouts have other results."""
    if name == "SIGKILL" and not facts.names_killer:
        limit = f" of {facts.memory_max}" if facts.memory_max else ""
        text = f"it was killed with SIGKILL: by the kernel, for needing more memory than its limit{limit}, or by hand"
        advice = "'journalctl -k -g oom' tells what the kernel did; `limits.memory_max` is the limit"
        return Reason(Cause.KILLED, text, (advice,))
    text = f"it was killed with {name} from outside, by an administrator or another program: the kernel did not do it"
    return Reason(Cause.KILLED, text, (f"tqunits start {facts.name}",), killed_by="outside")


def _of_gate_first(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason | None:
    """Verdicts of the gate that count whatever the program's messages are."""
    if end.result != "exit-code":
        return None
    if end.gate == outcome.FOREIGN:
        return told.taken(facts, f"its address {facts.address} is answered by another program")
    if end.gate == outcome.ELSEWHERE:
        match = _ELSEWHERE.search(facts.verdict)
        where = match[1] if match else "another address"
        return Reason(Cause.WRONG_PORT, f"it listens on {where}, and is asked on {facts.address}", (told.LISTEN,))
    if end.gate == outcome.UNHEALTHY:
        answer = last_answer(facts.verdict)
        text = f"{facts.check} says: {answer}" if answer else f"it {outcome.NOT_HEALTHY}"
        return Reason(Cause.HEALTH, text, _once_ready(facts, answer))
    if end.gate == outcome.UNPLACED:
        told_by_gate = facts.verdict.removeprefix(outcome.GATE_VERDICT)
        text = f"it is healthy, but {told_by_gate}" if told_by_gate else f"it {outcome.NOT_PLACED}"
        return Reason(Cause.FAILED, text, (f"tqunits start {facts.name}",))
    return None


def _once_ready(facts: Facts, answer: str) -> tuple[str, ...]:
    """Which answer would have been healthy. Frameworks answer 400 to a Host that they do not
    know."""
    if facts.health_type is HealthType.COMMAND:
        return ("`health.command` must exit with 0 once it is ready",)
    wanted = printed(facts.accepted).replace(",", ", ")
    name = ("if it answers to its own names alone: `health: {host: www.example.org}`",)
    more = name if answer.startswith("400") and not facts.health_host else ()
    return (f"`health.path` must answer {wanted} once it is ready", *more)


def _of_error(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason | None:
    """The program's own error, if it explains the end: the program exited by itself, or nothing
    listened."""
    is_own = end.code == "exited" and not outcome.is_slow(end.result, end.gate)
    is_silent = end.gate in {1, outcome.SILENT}
    if not (is_own or is_silent):
        return None
    if error is not None and (is_own or error.kind is not ErrorKind.OTHER):
        return told.of(facts, end, error)
    found = wants.found(facts, error)
    return told.wanting(facts, found) if found else None


def _of_gate(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason | None:
    if not outcome.is_slow(end.result, end.gate):
        return None
    within = f" within {facts.patience}" if facts.patience else ""
    if end.gate == outcome.SLOW:
        advice = "a health check must be quick; `health.timeout` is how long one may take, `timeouts.start` all of them"
        is_command = facts.health_type is HealthType.COMMAND
        text = f"{facts.check} did not end" if is_command else f"it listens, but gave {facts.check} no answer"
        return Reason(Cause.SLOW, f"{text}{within}", (advice,))
    if end.gate == 1:  # a unit of an earlier release
        advice = "and answer `health.path` with 200"
        return Reason(Cause.HEALTH, f"it {outcome.NOT_HEALTHY}", (f"{told.LISTEN}, {advice}",))
    if end.gate == outcome.SILENT:
        text = f"nothing listened on {facts.address or 'its address'}{within} of its start, though its program ran"
        longer = "where it only takes longer: `timeouts: {start: SPAN}` in its worker.yaml"
        return Reason(Cause.TIMEOUT, text, (told.LISTEN, longer, *_waits_for_others(facts)))
    answer = last_answer(facts.verdict)
    said = f"; the last answer was: {answer}" if answer else ""
    advice = "`timeouts.start` and `timeouts.stop` in its worker.yaml say how long it may take"
    return Reason(Cause.TIMEOUT, f"it did not start or stop in time{said}", (advice,), killed_by="systemd")


def _waits_for_others(facts: Facts) -> tuple[str, ...]:
    """The sandbox drops packets to other hosts and does not refuse the connection, so the program
    waits without a message."""
    if Relaxation.OUTBOUND not in facts.missing:
        return ()
    write = relaxing.advice(facts, Relaxation.OUTBOUND)[0]
    return (f"where it waits for another host, which its sandbox does not let it reach: {write}",)


def _of_result(facts: Facts, end: UnitEnd, error: Complaint | None) -> Reason:
    text = outcome.of_run(end.result, end.code, end.status, end.gate, end.program)
    if end.code == "exited" and end.result == "exit-code":
        return Reason(Cause.EXITED, text if text.startswith(("its ", "an ")) else f"it {text}")
    return Reason(Cause.FAILED, f"it {text}" if not text.startswith(("its ", "an ")) else text)
