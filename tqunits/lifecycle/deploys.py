"""Deploys as values: what was asked for, each step that was taken, and how it ended.

The manager writes such records down, and the command line prints them. Both read them back as JSON,
from a file or from a socket. So `parse_deploy` takes nothing for granted: every key has to be
there, each with its type and its bound, and no others. What a text says is still a stranger's: it
may quote a worker, a build or a commit, and is made printable by whoever prints it.

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass

MAX_TEXT: Final = 4096
"""Characters of a sentence or a hint: some thirty lines of a build's journal."""

MAX_MESSAGE: Final = 1000
"""Characters of the message that somebody gives a deploy: a short paragraph."""

MAX_ACTOR: Final = 300
"""Characters of who has asked: a number and a user's name, which has at most 256
(LOGIN_NAME_MAX)."""

MAX_STEPS: Final = 200
"""Steps of one deploy: a dozen, and four for each instance of a worker with many."""

STEPS: Final = frozenset(
    {
        "look",  # the sources are compared with what was released
        "build",
        "take",  # the release is copied to where it runs
        "release_command",
        "surge",  # an instance more is started, with the new release
        "drain",  # an instance gets no more requests, and finishes those that it has
        "restart",
        "healthy",
        "back",  # an instance runs the release before again
        "stable",  # all instances were healthy
        "note",
    }
)
"""The kinds of steps."""

RELEASE_PATTERN: Final = r"[0-9a-f]{12}"
"""The name of a release."""

_RELEASE: Final = late_pattern(RELEASE_PATTERN)
_REVISION: Final = late_pattern(r"[0-9a-f]{7,64}")  # git's SHA-1 or SHA-256, perhaps shortened
_WORKER: Final = late_pattern(r"[a-z][a-z0-9_-]{0,23}")  # units.name.WORKER_PATTERN, which a sibling may not import
_LAST_NUMBER: Final = 10**18
_LAST_INSTANCE: Final = 9999


class DeployKind(StrEnum):
    """What was asked for."""

    DEPLOY = "deploy"  # make a release of the sources as they are, and run it
    ROLLBACK = "rollback"  # run an earlier release again
    BUILD = "build"  # make a release, and run nothing
    RESTART = "restart"  # start the instances anew, with the release that they have


class DeployOutcome(StrEnum):
    """How a deploy stands, or how it ended."""

    WAITING = "waiting"  # it is accepted and written down
    RUNNING = "running"
    DONE = "done"
    UNCHANGED = "unchanged"  # the release that runs is what would have been made
    FAILED = "failed"  # the release before runs
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
    instance: int | None  # the number of the instance that it is about; None: all of the worker


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRecord:
    """One deploy of one worker."""

    number: int  # unique on this host; a later one has a greater number
    worker: str
    kind: DeployKind
    actor: str  # who has asked: root, or 1000/ann
    message: str  # of who has asked; "" for none
    asked_us: int
    begun_us: int | None
    ended_us: int | None
    outcome: DeployOutcome
    why: str  # the sentence why it failed; "" otherwise
    hint: str  # the last lines of its build's journal, or advice; "" otherwise
    release: str | None  # that it makes or runs; None while nobody knows
    before: str | None  # the release that ran when it began
    revision: str | None  # git's
    is_dirty: bool  # the sources were not those of the revision
    was_stable: bool  # all instances were healthy on the release at least once
    steps: tuple[DeployStep, ...]  # in the order in which they were taken


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
        "steps": [step_body(step) for step in record.steps],
    }


def step_body(step: DeployStep) -> Mapping[str, object]:
    """The JSON object of one step."""
    return {"at_us": step.at_us, "what": step.what, "text": step.text, "instance": step.instance}


def parse_deploy(value: object) -> DeployRecord:
    """The inverse of `deploy_body`. Raises ValueError for anything else."""
    found = _members(value, _RECORD_KEYS)
    return DeployRecord(
        number=_number(found["number"]),
        worker=_matching(found["worker"], _is_worker),
        kind=_member_of(DeployKind, found["kind"]),
        actor=_text(found["actor"], MAX_ACTOR),
        message=_text(found["message"], MAX_MESSAGE),
        asked_us=_number(found["asked_us"]),
        begun_us=_or_none(_number, found["begun_us"]),
        ended_us=_or_none(_number, found["ended_us"]),
        outcome=_member_of(DeployOutcome, found["outcome"]),
        why=_text(found["why"]),
        hint=_text(found["hint"]),
        release=_or_none(_release, found["release"]),
        before=_or_none(_release, found["before"]),
        revision=_or_none(_revision, found["revision"]),
        is_dirty=_flag(found["is_dirty"]),
        was_stable=_flag(found["was_stable"]),
        steps=_steps(found["steps"]),
    )


def is_release(text: str) -> bool:
    """Whether a release can be called so."""
    return _RELEASE.fullmatch(text) is not None


_RECORD_KEYS: Final = frozenset(DeployRecord.__slots__)
_STEP_KEYS: Final = frozenset(DeployStep.__slots__)

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)


def _members(value: object, keys: Collection[str]) -> Mapping[str, object]:
    """An object with these keys and no others."""
    if not isinstance(value, dict) or value.keys() != keys:
        raise ValueError(f"an object with {', '.join(sorted(keys))} is expected")
    return value


def _steps(value: object) -> tuple[DeployStep, ...]:
    if not isinstance(value, list) or len(value) > MAX_STEPS:
        raise ValueError(f"a list of at most {MAX_STEPS} steps is expected")
    return tuple(map(_step, value))


def _step(value: object) -> DeployStep:
    found = _members(value, _STEP_KEYS)
    return DeployStep(
        at_us=_number(found["at_us"]),
        what=_matching(found["what"], STEPS.__contains__),
        text=_text(found["text"]),
        instance=_or_none(_instance, found["instance"]),
    )


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _LAST_NUMBER:
        raise ValueError("a number is expected, which is not negative")
    return value


def _instance(value: object) -> int:
    number = _number(value)
    if not 1 <= number <= _LAST_INSTANCE:
        raise ValueError(f"no instance has the number {number}")
    return number


def _text(value: object, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(f"a text of at most {most} characters is expected")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is expected")
    return value


def _matching(value: object, is_one: Callable[[str], bool]) -> str:
    text = _text(value)
    if not is_one(text):
        raise ValueError(f"{ascii(text)[:60]} is not expected here")
    return text


def _release(value: object) -> str:
    return _matching(value, is_release)


def _revision(value: object) -> str:
    return _matching(value, lambda text: _REVISION.fullmatch(text) is not None)


def _is_worker(text: str) -> bool:
    return _WORKER.fullmatch(text) is not None


def _member_of(kinds: type[_E], value: object) -> _E:
    return kinds(_text(value))


def _or_none(parse: Callable[[object], _T], value: object) -> _T | None:
    return None if value is None else parse(value)
