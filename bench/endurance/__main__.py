"""What hostile clients and workers do to the router, and to others: nothing, is the promise; here
are the figures.

    .venv/bin/python -m bench.endurance [--only CASE]... [--nginx] [--soak REQUESTS] [--json FILE]

Each case starts a router of its own. An honest client asks steadily: its requests must all succeed,
and its latency is measured before, beside and after what the case does (cases.py). Memory is PSS
from smaps_rollup, descriptors are those of /proc/PID/fd without pipes, of which some are kept; of a
router of several processes both are sums. Then the soak (soak.py): requests of every kind, and
whether memory or descriptors grow. Exit status 1 when something was not as promised. `waited` is
the part of the time that the router was ready to run and got no CPU, `others` how many CPUs were
busy with what is neither the router nor its workers nor the bench: where they are not near 0,
latencies are the machine's. So are those that nginx has beside the same crowd (`--nginx`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from bench.endurance.cases import CASES, Case, Outcome
from bench.endurance.report import COLUMNS, NOTES, SOAK_COLUMNS, Row, heading, line, machine, row_of, violations
from bench.endurance.scene import Scene, staged
from bench.endurance.soak import REQUESTS, soak
from bench.router.load import raise_descriptor_limit

WARM_UP, BEFORE = 2.0, 6.0
"""Seconds."""


def main() -> int:
    """Measure, and print."""
    arguments = _parser().parse_args()
    cases = [c for c in CASES if not arguments.only or any(fnmatchcase(c.name, one) for one in arguments.only)]
    wants_soak = not arguments.only or "soak" in arguments.only
    if not cases and not wants_soak:
        print(f"no such case; there are: soak, {', '.join(case.name for case in CASES)}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that every context ends
    with contextlib.suppress(KeyboardInterrupt):
        peers = ["tqunits", "nginx"] if arguments.nginx else ["tqunits"]
        return _run(cases, peers, arguments.soak if wants_soak else 0, arguments.json)
    return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", metavar="CASE", action="append", help="a case, a pattern (slow-*), soak; repeatable")
    parser.add_argument("--soak", metavar="REQUESTS", type=int, default=REQUESTS, help=f"of the soak ({REQUESTS})")
    parser.add_argument("--nginx", action="store_true", help="each case with nginx in its place, too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there")
    return parser


def _run(cases: Sequence[Case], peers: Sequence[str], requests: int, file: Path | None) -> int:
    about = machine(raise_descriptor_limit())
    print("\n".join(f"{name}: {value}" for name, value in about.items()), end="\n\n")
    rows: list[Row] = []
    if cases:
        print(heading(COLUMNS), flush=True)
        for case in cases:
            for peer in peers:
                rows.append(asyncio.run(_hostile(case, peer)))
                print(line(rows[-1], COLUMNS), flush=True)
        print("\n" + heading(NOTES))
        print("\n".join(line(row, NOTES) for row in rows), flush=True)
    if requests:
        rows.append(asyncio.run(soak(requests)))
        print("\n" + heading(SOAK_COLUMNS) + "\n" + line(rows[-1], SOAK_COLUMNS))
    if file is not None:
        file.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    wrong = [f"{row['case']}: {text}" for row in rows for text in row["wrong"]]
    print("\n" + ("\n".join(wrong) or "all as promised"))
    return 1 if wrong else 0


async def _hostile(case: Case, peer: str) -> Row:
    """One case, from a fresh router to what is left of it."""
    limits = {"connections": case.connections, "descriptors": case.descriptors, "processes": case.processes}
    with tempfile.TemporaryDirectory(prefix="tqe") as folder:
        async with staged(Path(folder), **limits, kept=case.kept, fresh=case.fresh, peer=peer) as scene:
            await asyncio.sleep(WARM_UP)
            _, before = await scene.phase(asyncio.sleep(BEFORE))
            outcome, beside = await scene.phase(_guarded(case, scene))
            left = await scene.settled(before.peak.descriptors)
            _, after = await scene.phase(asyncio.sleep(BEFORE))
            name = case.name if peer == "tqunits" else f"  {peer}"
            row = row_of(name, before, beside, left, after, held=outcome.held)
            row |= {"about": case.about, "got": outcome.got, "tracebacks": scene.router.log().count("Traceback")}
            row["wrong"] = [*outcome.wrong, *violations(row, case.growth)] if peer == "tqunits" else []
            return row


async def _guarded(case: Case, scene: Scene) -> Outcome:
    """What goes wrong in a case is one of its findings."""
    try:
        return await case.run(scene)
    except (OSError, EOFError, RuntimeError, TimeoutError, ValueError) as error:
        return Outcome(wrong=[f"{type(error).__name__}: {error}"])


if __name__ == "__main__":
    sys.exit(main())
