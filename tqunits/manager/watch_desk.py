"""Follows which workers are installed and watched, and has what changes in their folders take
effect by itself.

A change of sources is deployed as by `tqunits deploy`, so it is in the history, can be followed,
and takes its turn like any other. What needs root, tq-apply does. What is watched stands in the
installed files, so the manager reads no YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tqunits.host.watched_files_alone import watched_files_alone
from tqunits.layout import Layout
from tqunits.manager.folder_look import WatchSubject
from tqunits.manager.registry import Registry
from tqunits.manager.watched_files import WatchedFiles
from tqunits.manager.watched_worker import Acts, WatchedWorker
from tqunits.manager.worker_watch import WatchTools


class WatchDesk:
    """All watches of a host."""

    def __init__(
        self, registry: Registry, acts: Acts, layout: Layout, tools: WatchTools, on_rest: Callable[[], None]
    ) -> None:
        """`on_rest` is called when all is done about a change of a worker."""
        self._on_rest = on_rest
        self._registry = registry
        self._acts = acts
        self._layout = layout
        self._tools = tools
        self._kept = WatchedFiles(layout)
        self._workers: dict[str, WatchedWorker] = {}

    @property
    def workers(self) -> Mapping[str, WatchedWorker]:
        """Those that are watched."""
        return self._workers

    @property
    def acting(self) -> frozenset[str]:
        """Those of which something has changed, and not all is done about it."""
        return frozenset(worker for worker, watched in self._workers.items() if not watched.rests)

    def follow(self) -> None:
        """Other workers may be installed than before, or watched in another way."""
        wanted = {subject.worker: (subject, made_of) for subject, made_of in self._subjects()}
        for worker in self._workers.keys() - wanted.keys():
            self._workers.pop(worker).close()
            self._kept.forget(worker)
        for worker, (subject, made_of) in wanted.items():
            if worker not in self._workers:
                self._workers[worker] = WatchedWorker(subject, self._tools, self._kept, self._acts, self._on_rest)
            self._workers[worker].follow(subject, made_of)

    def look_again(self) -> None:
        """All may have changed."""
        for watched in self._workers.values():
            watched.watch.look_again()

    def close(self) -> None:
        """Watch no more. What was begun goes on."""
        for watched in self._workers.values():
            watched.close()
        self._workers.clear()

    def _subjects(self) -> Iterable[tuple[WatchSubject, str]]:
        """Each with the hash of the settings that are installed."""
        for whose, record in self._registry.records.items():
            place = record.place
            if whose.number == 1 and place.watch is not None:
                subject = WatchSubject(worker=whose.worker, source=place.source, copied=place.copied, note=place.watch)
                yield subject, place.source_hash
        for worker, alone in watched_files_alone(self._layout).items():
            yield WatchSubject(worker=worker, source=alone.source, note=alone.note), alone.source_hash
