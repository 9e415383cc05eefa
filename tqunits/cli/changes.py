"""What install, apply, diff and uninstall have done, or would do, as --json prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from tqunits.cli.output import diagnostic_json
from tqunits.cli.results import ending_json
from tqunits.cli.wording import describe
from tqunits.errors import Diagnostic
from tqunits.host.installation import Installation, Outlook
from tqunits.host.live import Difference
from tqunits.host.prepare import Prepared
from tqunits.host.remove import Removal
from tqunits.late_pattern import late_pattern
from tqunits.model import account_of
from tqunits.units import steps
from tqunits.units.filediff import file_diff

_WORD = late_pattern(r"(?<!^)(?=[A-Z])")


def installation(done: Installation) -> Mapping[str, object]:
    """The members of `tqunits.install`, but for the exit status."""
    prepared, plan = done.prepared, done.plan
    skipped = {lack.worker for lack in prepared.skipped}
    return {
        "steps": [step_json(step) for step in (*plan.builds, *plan.steps)],
        "built": [{"worker": one.worker, "done": one.worker not in skipped} for one in plan.builds],
        **_left_out(prepared),
        "lost": list(prepared.lost),
        "masked": list(plan.masked),
        "pending": list(plan.pending),
        "orphans": list(plan.orphans),
        "limits": [_limit(difference) for difference in done.differing],
        "jobs": [ending_json(each) for each in done.endings],
    }


def difference(found: Outlook, of_server: Iterable[Diagnostic]) -> Mapping[str, object]:
    """The members of `tqunits.diff`, except the exit status. `of_server`: further findings, about
    the router."""
    plan = found.plan
    return {
        "files": [file for step in plan.steps for file in _file(step)],
        "accounts": [account_of(w) for step in plan.steps if isinstance(step, steps.Rehome) for w in step.workers],
        "folders": [str(one) for step in plan.steps if isinstance(step, steps.Give) for one in step.folders],
        "builds": [{"worker": one.worker, "command": list(one.command), "reason": one.reason} for one in plan.builds],
        "leftovers": [str(path) for step in plan.steps if isinstance(step, steps.Discard) for path in step.paths],
        **_left_out(found.prepared, (*of_server, *found.obstacles)),
        "orphans": list(plan.orphans),
    }


def removal(found: Removal) -> Mapping[str, object]:
    """The members of `tqunits.uninstall`, but for the exit status: of what was done, and of what
    would be."""
    return {
        "workers": list(found.plan.leaving),
        "steps": [step_json(step) for step in found.plan.steps],
        "folders": [str(folder) for folder in found.stored.folders],
        "users": list(found.stored.users),
        "jobs": [ending_json(each) for each in found.endings],
    }


def step_json(step: steps.Step | steps.Build) -> Mapping[str, object]:
    """One of `steps`. Its kind is one word for each class of steps: write-file, reload-daemon,
    start ..."""
    path, units = _object(step)
    return {
        "kind": _WORD.sub("-", type(step).__name__).lower(),
        "text": describe(step),
        "path": None if path is None else str(path),
        "units": list(units),
    }


def _object(step: steps.Step | steps.Build) -> tuple[PurePosixPath | None, tuple[str, ...]]:
    """The file, or the units, that a step is about."""
    match step:
        case steps.WriteFile(file=file):
            return file.path, ()
        case steps.RemoveFile(path=path) | steps.CreateUsers(path=path):
            return path, ()
        case steps.Enable() | steps.Disable() | steps.Start() | steps.Restart() | steps.Stop() | steps.Reload():
            return None, step.units
        case _:
            return None, ()


def _left_out(prepared: Prepared, of_server: Iterable[Diagnostic] = ()) -> Mapping[str, object]:
    findings = (*prepared.objections, *prepared.warnings, *of_server)
    return {
        "refused": list(prepared.excluded),
        "skipped": [{"worker": lack.worker, "reason": lack.reason, "hint": lack.hint} for lack in prepared.skipped],
        "diagnostics": [diagnostic_json(finding) for finding in findings],
    }


def _limit(found: Difference) -> Mapping[str, object]:
    return {
        "unit": found.unit,
        "directive": found.directive,
        "asked": found.asked,
        "actual": found.actual,
        "drop_in": str(found.drop_in) if found.drop_in else None,
    }


def _file(step: steps.Step) -> Iterator[Mapping[str, object]]:
    """A file that changes. Of a secret only the sizes are told: a hash would let a reader test
    guesses of a password."""
    before: str | None
    after: str | None
    match step:
        case steps.WriteFile():
            path, before, after, is_secret = step.file.path, step.before, step.file.content, step.file.is_secret
        case steps.RemoveFile():
            path, before, after, is_secret = step.path, step.before, None, step.is_secret
        case _:
            return
    yield {
        "path": str(path),
        "change": "remove" if after is None else "create" if before is None else "update",
        "secret": is_secret,
        "size_before": _size(before),
        "size_after": _size(after),
        "diff": None if is_secret else "".join(file_diff(step)),
    }


def _size(text: str | None) -> int | None:
    return None if text is None else len(text.encode("utf-8", "surrogateescape"))
