"""The manager's answers at its control socket (control/manager_protocol.py has the paths).

Everybody may connect, because an operator needs no group of ours; who asks is told by the kernel
(SO_PEERCRED), and decides what may be asked (rights.py). Answers about states are made of frozen
records and of what the kernel counts for each instance, so none waits for systemd. Answers that
wait (for a change, a line, a job) end when their client goes. The number of connections is bounded
for each user: a hostile one can neither hold up the manager nor make it grow.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from socket import socket
from typing import Final

from tqunits import __version__
from tqunits.control import deploy_protocol, manager_protocol, protocol
from tqunits.control.manager_protocol import METHODS, Meant
from tqunits.control.protocol import Body, Problem
from tqunits.control.server import MAX_CLIENTS, PATIENCE, LocalServer
from tqunits.host.running_release import running_release
from tqunits.http.head import RequestHead
from tqunits.manager import file_times, watch_body
from tqunits.manager.announcements import Announcements
from tqunits.manager.callers import Callers
from tqunits.manager.deploy_answers import DeployAnswers
from tqunits.manager.deploy_desk import Deploys
from tqunits.manager.file_times import FileTimes
from tqunits.manager.journal_reader import JournalReader
from tqunits.manager.operating import operable, operate
from tqunits.manager.readiness_file import ReadinessFile
from tqunits.manager.recent_changes import RecentChanges
from tqunits.manager.registry import Registry
from tqunits.manager.rights import Caller
from tqunits.manager.usage import usage_of
from tqunits.manager.watching import Watching
from tqunits.model import Instance
from tqunits.system.bus import Bus
from tqunits.units import name

MAX_OF_A_USER: Final = 8
"""Connections at once of a user who is neither root nor the manager itself."""

_EVERYBODY: Final = 0o666


class ManagerAnswers:
    """The server of the control socket."""

    def __init__(
        self,
        place: Path | socket,
        registry: Registry,
        events: RecentChanges,
        readiness: ReadinessFile,
        bus: Bus,
        journal: Announcements,
        deploys: Deploys | None = None,
        watching: Watching | None = None,
        *,
        runtime: PurePosixPath,
    ) -> None:
        """`place`: the path of a new socket, or systemd's socket. `deploys`, `watching`: None with
        --user. `runtime`: the layout's."""
        self._registry = registry
        self._since = time.time_ns() // 1000
        self._deploys = None if deploys is None else DeployAnswers(deploys, self._since, self._tell)
        self._watching = watching
        self._events = events
        self._readiness = readiness
        self._runtime = runtime
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._files = FileTimes(self._thread, lambda: registry.records.values())  # noqa: PLW0108 - an install makes another mapping
        self._bus = bus
        self._journal = journal
        self._callers = Callers(registry.operators)
        self._reader = JournalReader(user_mode=bus.user_mode)
        self.server = LocalServer(
            place,
            self._answer,
            mode=_EVERYBODY,
            max_clients=MAX_CLIENTS,
            max_of_a_user=MAX_OF_A_USER,
            patience=PATIENCE,
            max_body=deploy_protocol.MAX_ASKED_DEPLOY,
            ends_with_client=True,
        )

    def close(self) -> None:
        """Answer no more."""
        self.server.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._callers.close()

    async def _answer(self, head: RequestHead, data: bytes, uid: int) -> tuple[str, bytes]:
        target = head.target.decode("latin-1")
        if target == manager_protocol.RELEASE:
            _require(head, b"GET")
            found: Body = {"release": __version__, "pid": os.getpid(), "since_us": self._since}
        else:
            found = await self._found(head, target, data, await self._callers.who(uid))
        return protocol.JSON, protocol.encoded(found)

    async def _found(self, head: RequestHead, target: str, data: bytes, caller: Caller) -> Body:
        """The answer to who may ask for something."""
        path = target.partition("?")[0]
        if path in deploy_protocol.PATHS:
            return await self._deployed(head, target, data, caller)
        if target in METHODS:
            _require(head, b"POST")
            return await self._operated(target, data, caller)
        _require(head, b"GET")
        if path == manager_protocol.LOGS:
            return await self._logs(target, caller)
        if target == manager_protocol.INSTANCES:
            self._tell(caller, target)
            return await self._instances(caller)
        if target == manager_protocol.WATCHES:
            self._tell(caller, target)
            return {"watches": []} if self._watching is None else watch_body.answer(self._watching, caller)
        after, wait_us = manager_protocol.events_question(target)
        self._tell(caller, path)
        return await self._changes(caller, after, wait_us / 1e6)

    async def _deployed(self, head: RequestHead, target: str, data: bytes, caller: Caller) -> Body:
        """What is about deploys."""
        if self._deploys is None:
            raise Problem(409, "with --user workers run from their folders: 'tqunits --user restart' takes a change")
        is_question = target.partition("?")[0] == deploy_protocol.DEPLOYS
        _require(head, b"GET" if is_question else b"POST")
        if is_question:
            return await self._deploys.asked(target, caller)
        body = protocol.asked(data)
        if target == deploy_protocol.PRUNE:
            return await self._deploys.pruned(body, caller)
        return self._deploys.accepted(body, caller)

    async def _instances(self, caller: Caller) -> Body:
        """All of one moment that he may know of, but for the files, which are looked at first."""
        files = await self._files.now()
        bodies = [
            {
                **record.body(),
                "release": running_release(record.place.whose, self._runtime),
                **usage_of(record.seen.cgroup).body(),
                "files": file_times.body(files.get(record.place.whose)),
            }
            for record in self._registry.records.values()
            if caller.operates(record.place.whose.worker) and not record.rests
        ]
        return {"last_event": self._events.last, "instances": bodies}

    async def _changes(self, caller: Caller, after: int, seconds: float) -> Body:
        """The changes that he may know of. A change of others' workers does not end the wait."""
        until = time.monotonic() + seconds
        while True:
            changes = await self._events.wait(after, until - time.monotonic())
            first, last = self._events.first, self._events.last
            found = [change.body() for change in changes if caller.operates(change.whose.worker)]
            if found or not changes or time.monotonic() >= until:
                return {"first_event": first, "last_event": last, "since_us": self._since, "events": found}
            after = last

    async def _logs(self, target: str, caller: Caller) -> Body:
        question = manager_protocol.logs_question(target)
        caller.require(question.meant.workers)
        instances = self._meant(question.meant)
        self._tell(caller, manager_protocol.LOGS, question.meant.workers, str(question.meant))
        units = dict.fromkeys(unit for whose in instances for unit in name.journals_of(whose))
        return await self._reader.read(caller.uid, list(units), question)

    async def _operated(self, target: str, data: bytes, caller: Caller) -> Body:
        question = manager_protocol.job_question(protocol.asked(data))
        caller.require(question.meant.workers)
        found = self._meant(question.meant)
        instances = operable(found, self._registry.records, METHODS[target])
        if question.meant.single and instances != found:
            raise Problem(404, "a surge is started by a roll alone, and stopped while it runs")
        self._tell(caller, target, question.meant.workers, str(question.meant))
        return await operate(self._bus, self._readiness, METHODS[target], instances, question.wait_us)

    def _meant(self, meant: Meant) -> tuple[Instance, ...]:
        """The installed instances that a request is about. Raises Problem for one that is not."""
        here = self._registry.records
        missing = [str(each) for each in meant.single if each not in here]
        found = meant.single or tuple(whose for whose in here if whose.worker == meant.worker)
        if missing or not found:
            raise Problem(404, f"not installed: {', '.join(missing) or meant.worker}")
        return found

    def _tell(self, caller: Caller, path: str, workers: Collection[str] = (), meant: str = "") -> None:
        """Write an operator's request to the journal; root's are nobody's to watch. `meant`: the
        instances of these workers that it names; "" for all."""
        if caller.is_operator:
            self._journal.asked(caller.actor, path, meant or ",".join(workers), workers)


def _require(head: RequestHead, method: bytes) -> None:
    if head.method != method:
        raise Problem(405, f"use {method.decode()}")
