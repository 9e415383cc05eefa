"""The changes of a plan in files, as `diff -u` shows them. Of a secret only the fact that it
changes is shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import PurePosixPath

from tqunits.model import account_of
from tqunits.units import accounts
from tqunits.units.steps import Discard, Give, Plan, Rehome, RemoveFile, Step, Unshadow, WriteFile


def unified_diff(plan: Plan) -> str:
    """The changes of a plan in files, as `diff -u` shows them, and in accounts, whose files are not
    ours."""
    return "".join(line for step in plan.steps for line in file_diff(step))


def file_diff(step: Step) -> Iterator[str]:
    """The change of one file, line by line; for a secret only that it changes."""
    match step:
        case WriteFile(file=file, before=before) if file.is_secret:
            return _sizes(file.path, before, file.content)
        case RemoveFile(path=path, before=before, is_secret=True):
            return _sizes(path, before, None)
        case WriteFile(file=file, before=before):
            return _lines(file.path, before, file.content)
        case RemoveFile(path=path, before=before):
            return _lines(path, before, None)
        case Rehome(workers=workers):  # running workers are not known here, so every worker with such a home is named
            homeless = f"has the home {accounts.NO_HOME} once nothing of it runs (a restart by install, a stop)"
            return (f"# {account_of(worker)} {homeless}\n" for worker in workers)
        case Give(folders=folders):
            return (f"# {each} becomes the worker's to write\n" for each in folders)
        case Discard(paths):
            return (f"# {path} is removed: nothing reads it\n" for path in paths)
        case Unshadow():
            return iter(("# runtime drop-ins of limits are removed, which a run that was cut off has left\n",))
        case _:
            return iter(())


def _sizes(path: PurePosixPath, before: str | None, after: str | None) -> Iterator[str]:
    """A secret: only that it changes."""
    for lead, text in (("---", before), ("+++", after)):
        yield f"{lead} {'/dev/null' if text is None else path}\n"
    old, new = (0 if text is None else len(text.encode("utf-8", "surrogateescape")) for text in (before, after))
    yield f"# {old} bytes become {new}; what they are is not shown\n"


def _lines(path: PurePosixPath, before: str | None, after: str | None) -> Iterator[str]:
    old, new = ("/dev/null" if text is None else str(path) for text in (before, after))
    return difflib.unified_diff(_split(before), _split(after), old, new)


def _split(text: str | None) -> list[str]:
    return (text or "").splitlines(keepends=True)
