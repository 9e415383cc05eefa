"""What `doctor` says about the watch: whether changes of files are noticed of all workers of which
the installed files say that they are watched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from tqunits.cli.watch_words import FolderWatched
from tqunits.host.diagnosis import Finding, ok, problem, warning
from tqunits.units.vanished import sentence

_CHECK: Final = "watch"
_LOOK: Final = "'systemctl status tq-manager' and 'journalctl -u tq-manager' tell why"


def findings(
    meant: Collection[str],
    told: Mapping[str, FolderWatched] | None,
    limit: tuple[int, str] | None,
    *,
    is_all: bool,
) -> Iterator[Finding]:
    """`meant`: who is to be watched. `told`: what the manager says; None: it does not answer.
    `limit`: how many folders one user may watch, and the setting. `is_all`: the manager tells this
    user of all workers, so that no answer means that it is away."""
    if not meant or (told is None and not is_all):  # no answer may be a refusal, which says nothing
        return
    if told is None:
        yield problem(_CHECK, f"the manager does not answer, so changes are not noticed: {sentence(meant)}", _LOOK)
        return
    missing = [worker for worker in meant if worker not in told] if is_all else []
    if missing:
        yield problem(_CHECK, f"changes of their files are not noticed: {sentence(missing)}", _LOOK)
    found = [finding for _, each in sorted(told.items()) for finding in _of_one(each)]
    yield from found
    folders = sum(each.folders for each in told.values())
    if limit is not None and folders > limit[0] * 3 // 4:
        more = f"'sysctl -w {limit[1]}={2 * limit[0]}' allows more"
        yield warning(_CHECK, f"{folders} folders are watched, and {limit[1]} is {limit[0]}", more)
    elif not found and not missing:
        yield ok(_CHECK, f"changes in {folders} folders of {len(told)} workers are noticed")


def _of_one(watched: FolderWatched) -> Iterator[Finding]:
    worker = watched.worker
    if watched.state == "broken":
        yield problem(_CHECK, f"{worker}: {watched.trouble}", "'tqunits deploy' needs no watch")
    elif watched.trouble:
        yield warning(_CHECK, f"{worker}: {watched.trouble}", f"'tqunits show {worker}' tells more")
    elif watched.state == "polls":
        yield warning(
            _CHECK, f"{worker}: its folder is looked at every few seconds: {watched.why}", "a change takes longer"
        )
