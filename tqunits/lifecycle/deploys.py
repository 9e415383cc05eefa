"""Deploys as values: what was asked for, each step that was taken, and how it ended.

The manager writes such records down, and the command line prints them. Both read them back as JSON,
from a file or from a socket. So `parse_deploy` takes nothing for granted: every key has to be
there, each with its type and its bound, and no others. What a text says is still a stranger's: it
may quote a worker, a build or a commit, and is made printable by whoever prints it.

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from tqunits.late_pattern import late_pattern
from tqunits.lifecycle.release import MAX_ACTOR, MAX_INSTANCE, MAX_MESSAGE, MAX_WHY, RELEASE, REVISION, WORKER
from tqunits.lifecycle.strict_json import StrictObject, exactly, text
from tqunits.light_dataclass import dataclass

MAX_TEXT: Final = MAX_WHY
"""Characters of a sentence or a hint, which a HarvestResult has: some thirty lines of a build's
journal."""

MAX_STEPS: Final = 200
"""Steps of one deploy: a dozen, and four for each instance of a worker with many."""

STEPS: Final = frozenset(
    {
        "build",  # the sources are looked at, and built where they have changed
        "take",  # the release is copied to where it runs
        "release_command",
        "surge",  # an instance more is started, with what the others are to run
        "drain",  # an instance gets no more requests, and finishes those that it has
        "restart",
        "healthy",
        "back",  # an instance runs the release before again
        "stable",  # all instances were healthy; of static files alone: the routers serve them
        "note",
    }
)
"""The kinds of steps."""

_OF_THE_SWITCH: Final = frozenset({"surge", "drain", "restart", "healthy", "back", "stable"})
"""The steps after a release.command."""

_LAST_NUMBER: Final = 10**18
_LONGEST_WORD: Final = 20  # of kinds, outcomes and steps
_RUN: Final = late_pattern(r"[0-9a-f]{32}")


class DeployKind(StrEnum):
    """What was asked for."""

    DEPLOY = "deploy"  # make a release of the sources as they are, and run it; in development mode: run the folder
    ROLLBACK = "rollback"  # run an earlier release again
    BUILD = "build"  # make a release, and run nothing
    RESTART = "restart"  # run what runs anew, and make no release


class DeployOutcome(StrEnum):
    """How a deploy stands, or how it ended."""

    WAITING = "waiting"  # it is accepted and written down
    RUNNING = "running"
    DONE = "done"
    UNCHANGED = "unchanged"  # the release that runs is what would have been made
    FAILED = "failed"  # the release before runs; of a restart: an instance did not start again
    SUPERSEDED = "superseded"  # a newer one came before it had begun

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will be done for it."""
        return self not in {DeployOutcome.WAITING, DeployOutcome.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployStep:
    """One step that was taken."""

    at_us: int
    what: str  # one of STEPS
    text: str  # a sentence
    instance: int | None = None  # the number of the instance that it is about; None: all of the worker


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRecord:
    """One deploy of one worker. What has a default is not known, or has not happened, when it is
    asked for."""

    number: int  # unique on this host; a later one has a greater number
    worker: str
    kind: DeployKind
    actor: str  # who has asked: root, or 1000/ann
    message: str = ""  # of who has asked
    asked_us: int
    begun_us: int | None = None
    ended_us: int | None = None
    outcome: DeployOutcome = DeployOutcome.WAITING
    why: str = ""  # the sentence why it failed, or what has superseded it
    hint: str = ""  # the last lines of its build's journal, or advice
    release: str | None = None  # that it makes or runs; None while nobody knows, and in development mode
    before: str | None = None  # the release that ran when it began
    revision: str | None = None  # git's
    is_dirty: bool | None = None  # whether the sources were not those of the revision; None: it is not known
    was_stable: bool = False  # all instances were healthy on the release at least once
    is_slow: bool = False  # it failed, because an instance did not get healthy in time
    replaces: tuple[str, ...] = ()  # runs that are to end, by invocation IDs: of a restart, and in development mode
    steps: tuple[DeployStep, ...] = ()  # in the order in which they were taken

    @property
    def needs_command(self) -> bool:
        """Whether its release.command is to be run: a rollback undoes nothing that one has done,
        and a deploy that came further has run it. One that was cut off while it ran runs it
        again."""
        return self.kind is DeployKind.DEPLOY and not any(step.what in _OF_THE_SWITCH for step in self.steps)


def deploy_body(record: DeployRecord) -> Mapping[str, object]:
    """The JSON object of a deploy: its keys are the fields."""
    return {
        "number": record.number,
        "worker": record.worker,
        "kind": record.kind.value,
        "actor": record.actor,
        "message": record.message,
        "asked_us": record.asked_us,
        "begun_us": record.begun_us,
        "ended_us": record.ended_us,
        "outcome": record.outcome.value,
        "why": record.why,
        "hint": record.hint,
        "release": record.release,
        "before": record.before,
        "revision": record.revision,
        "is_dirty": record.is_dirty,
        "was_stable": record.was_stable,
        "is_slow": record.is_slow,
        "replaces": list(record.replaces),
        "steps": [step_body(step) for step in record.steps],
    }


def step_body(step: DeployStep) -> Mapping[str, object]:
    """The JSON object of one step."""
    return {"at_us": step.at_us, "what": step.what, "text": step.text, "instance": step.instance}


def parse_deploy(value: object) -> DeployRecord:
    """The inverse of `deploy_body`. Raises ValueError for anything else."""
    found = exactly(value, "a deploy", _RECORD_KEYS)
    return DeployRecord(
        number=found.number("number", most=_LAST_NUMBER),
        worker=found.text("worker", 24, WORKER),
        kind=DeployKind(found.text("kind", _LONGEST_WORD)),
        actor=found.any_text("actor", MAX_ACTOR),
        message=found.any_text("message", MAX_MESSAGE),
        asked_us=found.number("asked_us", most=_LAST_NUMBER),
        begun_us=found.number_or_none("begun_us", most=_LAST_NUMBER),
        ended_us=found.number_or_none("ended_us", most=_LAST_NUMBER),
        outcome=DeployOutcome(found.text("outcome", _LONGEST_WORD)),
        why=found.any_text("why", MAX_TEXT),
        hint=found.any_text("hint", MAX_TEXT),
        release=found.text_or_none("release", 12, RELEASE),
        before=found.text_or_none("before", 12, RELEASE),
        revision=found.text_or_none("revision", 64, REVISION),
        is_dirty=found.flag_or_none("is_dirty"),
        was_stable=found.flag("was_stable"),
        is_slow=found.flag("is_slow"),
        replaces=tuple(_runs(found)),
        steps=tuple(map(_step, found.rows("steps", MAX_STEPS))),
    )


def _runs(found: StrictObject) -> Iterator[str]:
    return (text(row, "replaces", 32, _RUN) for row in found.rows("replaces", MAX_INSTANCE))


def _step(value: object) -> DeployStep:
    found = exactly(value, "a step", _STEP_KEYS)
    what = found.text("what", _LONGEST_WORD)
    if what not in STEPS:
        raise ValueError(f"what: {what!a} is none")
    return DeployStep(
        at_us=found.number("at_us", most=_LAST_NUMBER),
        what=what,
        text=found.any_text("text", MAX_TEXT),
        instance=found.number_or_none("instance", 1, MAX_INSTANCE),
    )


_RECORD_KEYS: Final = tuple(DeployRecord.__slots__)
_STEP_KEYS: Final = tuple(DeployStep.__slots__)
