"""What a request costs: nginx, HAProxy and `tqunits proxy` side by side, over the same origin.

    .venv/bin/python -m bench.router [--quick] [--json FILE] [--only CASE]...
        [--rounds N] [--seconds N] [--beside CHECKOUT]

Needs nginx, HAProxy, wrk and a C compiler. Each case runs in rounds, and in each round every peer
gets its turn, so that what else happens on the machine happens to all; the order is turned from
round to round. Figures are medians of the rounds, ratios are medians of the rounds' ratios to
nginx. `direct` is the load on the origin without a proxy: it shows what the load and the origin can
do at most. `relay in C, no HTTP` moves the bodies by splice(2) and does nothing else: what that
costs is the kernel's part, the floor of a proxy that splices. Nothing is pinned to a CPU. `others`
is how many CPUs were busy with things that do not belong to the benchmark: if that is not near 0,
trust the ratios of CPU time and little else. `--beside` has the router of another checkout run in
the same rounds, to tell what a change costs: `/beside` is the median of the rounds' ratios to it,
`range` the least and the greatest. How it is set up and what it gave is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bench.processes import output_of
from bench.router.load import IDLE, Case, Round, idle, measure, raise_descriptor_limit
from bench.router.peers import BESIDE, DIRECT, PROXIES, Certificate, Peer, missing, origin, relay, running
from bench.router.report import COLUMNS, IDLE_COLUMNS, Row, facts, heading, idle_rows, line, summary

HERE = Path(__file__).parent
K64, M1 = 64 << 10, 1 << 20
CASES = (
    *(Case(name=f"bare-{n}", head="bare", connections=n) for n in (1, 32, 256)),
    *(Case(name=f"browser-{n}", connections=n) for n in (1, 32, 256)),
    *(Case(name=f"varied-{n}", path="/api/vary", head="varied", connections=n) for n in (1, 32, 256)),
    Case(name="down-64k", path="/api/64k", bytes=K64),
    Case(name="down-1m", path="/api/1m", bytes=M1),
    Case(name="up-64k", upload=K64, bytes=K64),
    Case(name="up-1m", upload=M1, bytes=M1),
    Case(name="websocket-32", path="/api/ws", head="websocket"),
    Case(name="new-connections-32", head="close"),
    *(Case(name=f"tls-{n}", tls=True, connections=n) for n in (1, 32, 256)),
    Case(name="tls-down-1m", tls=True, path="/api/1m", bytes=M1),
    Case(name="tls-resumed-1", tls=True, head="resumed", connections=1),
    Case(name="two-32", processes=2),
    Case(name="two-256", processes=2, connections=256),
    Case(name="idle", head="idle", connections=IDLE),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, and where things lie."""

    rounds: int
    seconds: int
    folder: Path
    echo: Path
    beside: Path | None  # another checkout

    def proxies(self) -> tuple[str, ...]:
        return PROXIES if self.beside is None else (*PROXIES, BESIDE)

    def start(
        self, name: str, behind: Peer, *, processes: int = 1, certificate: Certificate | None = None
    ) -> contextlib.AbstractContextManager[Peer]:
        return running(name, processes, behind, self.folder, certificate=certificate, checkout=self.beside)


def main() -> int:
    """Measure, and print."""
    arguments = _parser().parse_args()
    cases = [c for c in CASES if not arguments.only or any(fnmatchcase(c.name, one) for one in arguments.only)]
    if not cases:
        print(f"no such case; there are: {', '.join(case.name for case in CASES)}", file=sys.stderr)
        return 2
    if absent := missing():
        print(f"not installed: {', '.join(absent)}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that every context ends
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="bench-router-") as folder:
        plan = Plan(
            arguments.rounds or (3 if arguments.quick else 5),
            arguments.seconds or (1 if arguments.quick else 2),
            Path(folder),
            _compiled("echo.c", Path(folder)),
            arguments.beside and arguments.beside.resolve(),
        )
        return _run(cases, plan, arguments.json)
    return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="three rounds of one second: to see that it works")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    parser.add_argument("--only", metavar="CASE", action="append", help="a case, or a pattern (browser-*); repeatable")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each case (5)")
    parser.add_argument("--seconds", type=int, metavar="N", help="length of a round (2)")
    parser.add_argument("--beside", metavar="CHECKOUT", type=Path, help="another checkout, compiled, as one more peer")
    return parser


def _compiled(source: str, folder: Path) -> Path:
    program = folder / source.removesuffix(".c")
    output_of(["cc", "-O2", "-o", str(program), str(HERE / source)])
    return program


def _run(cases: Sequence[Case], plan: Plan, file: Path | None) -> int:
    limit = raise_descriptor_limit()
    about = {**facts(), "descriptors": limit, "rounds": plan.rounds, "seconds": plan.seconds}
    print("\n".join(f"{name}: {value}" for name, value in about.items()), end="\n\n")
    rows: list[Row] = []
    rounds: dict[str, dict[str, list[Round]]] = {}
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(origin(_compiled("origin.c", plan.folder), plan.folder))
        certificate = Certificate.make(plan.folder)
        single = [stack.enter_context(plan.start(name, behind)) for name in (*plan.proxies(), DIRECT)]
        secured = [stack.enter_context(plan.start(name, behind, certificate=certificate)) for name in plan.proxies()]
        mover = stack.enter_context(relay(_compiled("relay.c", plan.folder), behind, plan.folder))
        print(heading(COLUMNS), flush=True)
        for case in (case for case in cases if case.head != "idle"):
            peers = secured if case.tls else [*single, mover] if case.bytes else single
            rounds[case.name] = _rounds(case, plan, behind, peers)
            rows += _said(summary(case, rounds[case.name]), COLUMNS)
        for case in (case for case in cases if case.head == "idle"):
            print("\n" + heading(IDLE_COLUMNS), flush=True)
            rows += _said(_idle(case, plan, behind), IDLE_COLUMNS)
    about["load_after"] = os.getloadavg()
    if file is not None:
        every = {case: {name: [asdict(r) for r in of] for name, of in peers.items()} for case, peers in rounds.items()}
        file.write_text(json.dumps({"machine": about, "medians": rows, "rounds": every}, indent=1) + "\n")
    return 0


def _rounds(case: Case, plan: Plan, behind: Peer, single: Sequence[Peer]) -> dict[str, list[Round]]:
    """All rounds of a case; before the first each peer has a second to warm up."""
    with contextlib.ExitStack() as stack:
        peers = list(single)
        if case.processes > 1:
            peers = [
                stack.enter_context(plan.start(name, behind, processes=case.processes))
                for name in (*plan.proxies(), DIRECT)
            ]
        for peer in peers:
            measure(case, peer, behind, seconds=1, echo=plan.echo)
        found: dict[str, list[Round]] = {peer.name: [] for peer in peers}
        for number in range(plan.rounds):
            turn = number % len(peers)
            for peer in peers[turn:] + peers[:turn]:
                found[peer.name].append(measure(case, peer, behind, seconds=plan.seconds, echo=plan.echo))
    return found


def _idle(case: Case, plan: Plan, behind: Peer) -> list[Row]:
    """Memory, of fresh processes: what a peer has kept from before is not what its connections
    cost."""
    found = {}
    for name in plan.proxies():
        with plan.start(name, behind) as peer:
            found[name] = idle(peer, case.connections)
    return idle_rows(case, found)


def _said(rows: list[Row], columns: Sequence[tuple[str, str, int]]) -> list[Row]:
    for row in rows:
        print(line(row, columns), flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
