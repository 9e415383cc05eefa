"""A manager for the tests of the verbs about deploys: a real server at a real socket that answers
as a script says, and a context whose host lies in a folder.

Run as a program (FOLDER VERB ARGUMENT...) it is the verb alone, in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TypeVar

from operation import drop_in

from tqunits.cli.context import Context
from tqunits.cli.output import Output, standard_output
from tqunits.control import deploy_protocol, protocol
from tqunits.control.deploy_protocol import (
    DeployOrder,
    HistoryQuestion,
    Progressed,
    ProgressQuestion,
    Pruned,
    PruneQuestion,
)
from tqunits.control.protocol import Body, Problem
from tqunits.control.server import LocalServer
from tqunits.http.head import RequestHead
from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.lifecycle.deploys import DeployKind, DeployOutcome, DeployRecord, DeployStep
from tqunits.light_dataclass import dataclass

SOME_S = 20.0
ID = "0123456789ab"
OTHER = "ba9876543210"
SINCE = 77

WAITING = DeployRecord(
    number=5,
    worker="api",
    kind=DeployKind.DEPLOY,
    actor="1000/ann",
    asked_us=1_700_000_000_000_000,
    before=OTHER,
)


def step(text: str, instance: int | None = None) -> DeployStep:
    return DeployStep(at_us=1, what="note", text=text, instance=instance)


def running(record: DeployRecord, *texts: str) -> DeployRecord:
    """The record after these steps."""
    steps = (*record.steps, *map(step, texts))
    return replace(record, outcome=DeployOutcome.RUNNING, begun_us=1_000_000, steps=steps)


def ended(record: DeployRecord, outcome: DeployOutcome, *, why: str = "", hint: str = "") -> DeployRecord:
    runs = outcome in {DeployOutcome.DONE, DeployOutcome.UNCHANGED} and record.kind is not DeployKind.BUILD
    times = replace(record, begun_us=1_000_000, ended_us=3_500_000)
    return replace(times, outcome=outcome, release=ID, why=why, hint=hint, was_stable=runs)


def changed(last_event: int, *records: DeployRecord, since: int = SINCE) -> Progressed:
    return Progressed(last_event, since, records)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(Context):
    """A context whose host is not this one."""

    place: Layout

    @property
    def layout(self) -> Layout:
        return self.place


def layout_in(folder: Path) -> Layout:
    root = PurePosixPath(folder)
    return replace(SYSTEM_LAYOUT, units=root / "units", state=root / "state", runtime=root / "run")


def context_in(folder: Path, output: Output, *, user_mode: bool = False) -> Context:
    """The context of a command on the host that lies in this folder."""
    return Elsewhere(root=None, user_mode=user_mode, output=output, place=layout_in(folder))


def install(folder: Path, *instances: str) -> None:
    """Instances as install leaves them."""
    for instance in instances:
        path = folder / f"units/tq-worker@{instance}.service.d/10-tqunits.conf"
        path.parent.mkdir(parents=True)
        path.write_text(drop_in(instance.partition(":")[0]))


T = TypeVar("T")
Answer = Progressed | Problem | Callable[[], Progressed]
Accepted = Sequence[DeployRecord] | Problem


class Peer:
    """The manager. A question for changes gets the next answer of the script; None drops the
    connection."""

    def __init__(
        self,
        folder: Path,
        *,
        accepted: Accepted | Callable[[DeployOrder], Accepted] = (),
        script: Sequence[Answer | None] = (),
        history: Sequence[DeployRecord] | Problem = (),
        pruned: Mapping[str, Pruned] | Problem | None = None,
    ) -> None:
        self.orders: list[DeployOrder] = []
        self.questions: list[HistoryQuestion | ProgressQuestion] = []
        self.prunes: list[PruneQuestion] = []
        self._accepted, self._history, self._pruned = accepted, history, pruned or {}
        self._script = list(script)
        place = Path(layout_in(folder).manager_socket)
        place.parent.mkdir(parents=True, exist_ok=True)
        self.server = LocalServer(
            place,
            self._answer,
            mode=0o600,
            max_clients=4,
            patience=SOME_S,
            max_body=deploy_protocol.MAX_ASKED_DEPLOY,
        )

    async def _answer(self, head: RequestHead, data: bytes, _: int) -> tuple[str, bytes]:
        target = head.target.decode("ascii")
        body = self._done(target, protocol.asked(data)) if head.method == b"POST" else self._told(target)
        return protocol.JSON, protocol.encoded(body)

    def _done(self, target: str, body: Body) -> Body:
        if target == deploy_protocol.PRUNE:
            self.prunes.append(deploy_protocol.prune_question(body))
            return deploy_protocol.pruned_body(_or_raise(self._pruned))
        assert target == deploy_protocol.DEPLOY
        order = deploy_protocol.deploy_order(body)
        self.orders.append(order)
        accepted = self._accepted(order) if callable(self._accepted) else self._accepted
        return deploy_protocol.deploys_body(_or_raise(accepted))

    def _told(self, target: str) -> Body:
        question = deploy_protocol.deploys_question(target)
        self.questions.append(question)
        if isinstance(question, HistoryQuestion):
            return deploy_protocol.deploys_body(_or_raise(self._history))
        answer = self._script.pop(0)
        if answer is None:
            raise ConnectionResetError
        found = _or_raise(answer() if callable(answer) else answer)
        rows = [(found.last_event, record) for record in found.deploys]
        return deploy_protocol.progress_body(rows, found.last_event, found.since_us)


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[Peer]:
    await peer.server.start()
    try:
        yield peer
    finally:
        peer.server.close()


@dataclass(frozen=True, slots=True)
class Said:
    """What a verb has printed, and its exit status."""

    status: int
    out: str
    err: str


def verb(folder: Path, line: Sequence[str], output: Output | None = None) -> Said:
    """Run a verb against the manager of that folder. Raises TqunitsError; what was said before that
    is in `output`."""
    out, err = io.StringIO(), io.StringIO()
    status = _run(folder, line, output or Output(out, err))
    return Said(status, out.getvalue(), err.getvalue())


def _run(folder: Path, line: Sequence[str], output: Output) -> int:
    context = context_in(folder, output)
    module = import_module(f"tqunits.cli.verbs.{line[0]}")
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return int(module.run(parser.parse_args(line[1:]), context))


def _or_raise(answer: T | Problem) -> T:
    if isinstance(answer, Problem):
        raise answer
    return answer


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    sys.exit(_run(Path(sys.argv[1]), sys.argv[2:], standard_output()))
