"""Why a worker is down, or that it is healthy: one sentence, the chain up to its first broken link,
and what to do.

The judgement depends on the facts only, so every caller gets the same one. The surest evidence
comes first: what the kernel and systemd report of the end of a process; then the verdict of the
gate; then the program's own messages, which explain most exit statuses; then the exit status alone.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from tqunits.health import HealthType
from tqunits.lifecycle import ends, outcome, told
from tqunits.lifecycle.error_lines import Complaint, complaint
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.kinds import ErrorKind
from tqunits.lifecycle.reason import Cause, Reason
from tqunits.lifecycle.state import Detail, State, words
from tqunits.light_dataclass import dataclass


class Link(StrEnum):
    """The links of the chain. Each one needs those before it."""

    FILE = "file"
    BUILD = "build"
    START = "start"
    HEALTH = "health"
    STATE = "state"


class LinkState(StrEnum):
    """The state of one link."""

    OK = "ok"
    BROKEN = "broken"
    WAITING = "waiting"
    UNKNOWN = "unknown"  # after a broken link, or changed since the worker was started


@dataclass(frozen=True, slots=True)
class JudgedLink:
    """One link, its state, and a text about it."""

    link: Link
    state: LinkState
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The conclusion from the facts. `is_well`: the worker serves. Neither that nor `is_wrong`: it
    is down on purpose, or starting."""

    cause: Cause
    sentence: str  # without the worker's name
    is_well: bool = False
    is_wrong: bool = False
    chain: tuple[JudgedLink, ...] = ()
    error: Complaint | None = None
    answer: str = ""  # the last answer to its health check
    killed_by: str = ""  # kernel, outside, systemd
    sandbox: str = ""  # what the sandbox did: hidden, read-only, system-call, not-permitted, or a relaxation
    advice: tuple[str, ...] = ()

    @property
    def broken(self) -> Link | None:
        """The first broken link."""
        return next((step.link for step in self.chain if step.state is LinkState.BROKEN), None)


def judge(facts: Facts) -> Judgement:
    """Judge the facts."""
    end = facts.end
    last = facts.runs or (end is not None and end.is_started)
    error = complaint(facts.lines, last=last, folder=facts.folder)
    reason = _reason(facts, error)
    is_well = reason.cause is Cause.WELL
    is_wrong = not is_well and reason.cause not in {Cause.STOPPED, Cause.WAITING, Cause.NOT_INSTALLED}
    return Judgement(
        cause=reason.cause,
        sentence=reason.text,
        is_well=is_well,
        is_wrong=is_wrong,
        chain=_chain(facts, reason),
        error=error if is_wrong and _explains(error, reason) else None,
        answer=_answer(facts),
        killed_by=reason.killed_by,
        sandbox=reason.sandbox,
        advice=reason.advice,
    )


def _explains(error: Complaint | None, reason: Reason) -> bool:
    """Whether the error explains the reason. After a bad or late answer, a line without a place and
    of no known kind does not."""
    if error is None or reason.cause in {Cause.CONFIGURATION, Cause.LEFT_OUT, Cause.BUILD}:
        return False
    return bool(error.place) or error.kind is not ErrorKind.OTHER or reason.cause not in {Cause.HEALTH, Cause.SLOW}


def _answer(facts: Facts) -> str:
    """The last answer to the health check; "" when nothing listens."""
    silent = facts.end is not None and facts.end.gate in {outcome.SILENT, outcome.ELSEWHERE}
    return facts.answer or ("" if silent else ends.last_answer(facts.verdict))


def _reason(facts: Facts, error: Complaint | None) -> Reason:
    if facts.is_static:
        return _of_files(facts)
    if not facts.is_installed:
        return _not_installed(facts)
    if facts.runs:
        return _of_running(facts, error)
    if _is_on_its_way(facts):
        return Reason(Cause.WAITING, _waits(facts))
    if facts.end is None or (facts.state is State.STOPPED and facts.end.result == "success"):
        return _stopped(facts)
    reason = ends.of(facts, facts.end, error)
    if facts.gave_up:
        text = f"{reason.text}; it failed too often, and is not started again by itself"
        return replace(reason, text=text, advice=(*reason.advice, f"'tqunits start {facts.name}' tries again"))
    if facts.comes_again or facts.state is State.STARTING:
        return replace(reason, text=f"{reason.text}; it is started again (restart {facts.restarts + 1})")
    return reason


def _is_on_its_way(facts: Facts) -> bool:
    """Whether it starts or stops. Of a start that comes after a failure the failure is told."""
    if facts.state is State.STARTING:
        return not (facts.restarts and facts.end)
    return facts.state is State.STOPPING


def _of_files(facts: Facts) -> Reason:
    if facts.unserved:
        return Reason(Cause.FILE_PERMISSION, f"no file of it is served: {facts.unserved}")
    return Reason(Cause.WELL, "its files are served by the router")


def _not_installed(facts: Facts) -> Reason:
    if facts.finding:
        hint = (facts.finding_hint,) if facts.finding_hint else ()
        check = f"tqunits check {facts.name}"
        return Reason(Cause.CONFIGURATION, f"its worker.yaml is wrong: {facts.finding}", (*hint, check))
    if facts.left_out:
        hint = (facts.left_out_hint,) if facts.left_out_hint else ()
        return Reason(Cause.LEFT_OUT, f"it is not installed: {facts.left_out}", hint)
    install = f"tqunits install --now {facts.name}"
    if facts.unbuilt:
        return Reason(Cause.BUILD, f"it is not installed: {facts.unbuilt}", (install,))
    return Reason(Cause.NOT_INSTALLED, "it is not installed yet", (install,))


def _of_running(facts: Facts, error: Complaint | None) -> Reason:
    if facts.detail is Detail.HOLDING:
        text = "it runs, but its file `serving` is gone, so the routers hold its requests"
        return Reason(Cause.HOLDING, text, ("tqunits repair",))
    if facts.answer:
        text = f"it runs, but {facts.check} says: {facts.answer}"
        return told.beside(facts, Reason(Cause.HEALTH, text, (f"tqunits logs {facts.name}",)), error)
    if facts.detail is Detail.FAILING:
        text = "it runs, and answers its health check now, but not often enough yet to count as healthy"
        return Reason(Cause.WAITING, text)
    is_asked = facts.health_type in {HealthType.HTTP, HealthType.TCP}
    return Reason(Cause.WELL, "it runs, and is healthy" if is_asked else "it runs")


def _waits(facts: Facts) -> str:
    if facts.state is State.STOPPING:
        finishes = ": it finishes what it has" if facts.detail is Detail.DRAINING else ""
        return f"it is being stopped{finishes}"
    if facts.health_type is None:
        return "it is starting: it has not said READY=1 yet"
    if facts.health_type is HealthType.NONE:
        return "it is starting"
    most = f" (at most {facts.patience})" if facts.patience else ""
    return f"it is starting: its health check ({facts.asked}) has not passed yet{most}"


def _stopped(facts: Facts) -> Reason:
    if not facts.is_enabled:
        enable = f"tqunits enable --now {facts.name}"
        return Reason(Cause.STOPPED, "it is stopped, and not started at boot", (enable,))
    start = f"tqunits start {facts.name}"
    return Reason(Cause.STOPPED, "it is stopped, or has ended by itself without an error", (start,))


def _chain(facts: Facts, reason: Reason) -> tuple[JudgedLink, ...]:
    """All links. After the first broken link all are unknown.

    A worker that runs was started before its file or its program got their present errors: those
    are not the reason, but the links are not healthy either.
    """
    broken = _link_of(facts, reason)
    is_idle = reason.cause in {Cause.STOPPED, Cause.NOT_INSTALLED}
    unknown = {
        Link.FILE: bool(facts.finding),
        Link.BUILD: bool(facts.unbuilt),
        Link.START: is_idle,
        Link.HEALTH: is_idle,
        Link.STATE: is_idle,
    }
    texts = {
        Link.FILE: facts.finding or facts.source or "not configured",
        Link.BUILD: facts.unbuilt or "its program is there",
        Link.START: _start(facts),
        Link.HEALTH: _health(facts),
        Link.STATE: words(facts.state, facts.detail) + (f", {facts.restarts} restarts" if facts.restarts else ""),
    }
    states = {link: LinkState.UNKNOWN if unknown[link] else LinkState.OK for link in Link}
    if broken is not None:
        states[broken] = LinkState.WAITING if reason.cause is Cause.WAITING else LinkState.BROKEN
        states |= dict.fromkeys(list(Link)[list(Link).index(broken) + 1 :], LinkState.UNKNOWN)
    return tuple(JudgedLink(link, states[link], texts[link]) for link in Link)


def _link_of(facts: Facts, reason: Reason) -> Link | None:
    if reason.cause in {Cause.CONFIGURATION, Cause.LEFT_OUT}:
        return Link.FILE
    if reason.cause is Cause.BUILD:
        return Link.BUILD
    if reason.cause in {Cause.WELL, Cause.STOPPED, Cause.NOT_INSTALLED}:
        return None
    if reason.cause is Cause.HOLDING or facts.is_static:
        return Link.STATE
    if reason.cause is Cause.WAITING:
        return Link.HEALTH if facts.state is State.STARTING else Link.STATE
    if facts.runs:
        return Link.HEALTH
    end = facts.end
    is_gate = end is not None and (outcome.is_slow(end.result, end.gate) or end.gate == outcome.UNPLACED)
    return Link.HEALTH if is_gate else Link.START


def _start(facts: Facts) -> str:
    end = facts.end
    if facts.runs or facts.is_static:
        return "runs"
    if end is None:
        return "it has not been started"
    if outcome.is_slow(end.result, end.gate) or end.gate == outcome.UNPLACED:
        return "its program ran"
    return outcome.of_run(end.result, end.code, end.status, end.gate, end.program)


def _health(facts: Facts) -> str:
    if facts.is_static:
        return "none is needed"
    answer = _answer(facts)
    return f"{facts.asked}: {answer}" if answer else facts.asked
