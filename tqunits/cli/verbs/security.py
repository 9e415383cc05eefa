"""Show the exposure of each worker's sandbox.

The files are rendered as install would write them, and 'systemd-analyze security' scores each
worker: 0 has no access to anything, 10 is root without any sandbox. `standard` and `jit` stay below
1.5, `strict` below 1.0. Nothing has to be installed or running.

Exit status 1 when a worker is above --threshold. 'systemd-analyze security tq-worker@NAME.service'
tells the score of the installed unit, your own drop-ins included, line by line.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tqunits.cli.context import Context
from tqunits.cli.output import Cell, Output
from tqunits.cli.verbs.render import render_configured
from tqunits.errors import ExitStatus, TqunitsError, UsageError
from tqunits.host.rendered import Rendered
from tqunits.late_pattern import late_pattern
from tqunits.model import Worker
from tqunits.system.process import run as run_program
from tqunits.units import name
from tqunits.units.rendering import RenderedFile

TIMEOUT_S = 60.0
"""Three hundred units take a second; a host that needs a minute has another problem."""

_WORST = 10.0
_SCORE = late_pattern(r"exposure level for (\S+): ([0-9.]+) ")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits security`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, or its unit; all when none is given")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--threshold", metavar="N", help="fail when a worker is above N, such as 1.5")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Score and list them."""
    if context.user_mode:
        raise UsageError("security scores the system's units; your own manager's have your rights, and no user each")
    threshold = _threshold(arguments.threshold)
    rendered = render_configured(context, arguments.names)
    scores = exposures(rendered.files, [name.service(w.name) for w in rendered.workers])
    if arguments.json:
        context.output.json("security", 1, workers=[_json(w, scores) for w in rendered.workers])
    else:
        _print(rendered, scores, threshold, context.output)
    return ExitStatus.FAILED if any(score > threshold for score in scores.values()) else ExitStatus.OK


def exposures(rendered: Collection[RenderedFile], units: Collection[str]) -> Mapping[str, float]:
    """Unit -> exposure from 0 to 10. Raises TqunitsError when systemd-analyze can not tell."""
    if not units:
        return {}
    with TemporaryDirectory(prefix="tqunits-") as folder:
        for file in rendered:
            if file.unit:
                place = Path(folder) / (file.path.parent.name if file.path.suffix == ".conf" else "")
                place.mkdir(exist_ok=True)
                (place / file.path.name).write_text(file.content, encoding="utf-8")
        # The colon keeps the host's own units in view: slices and targets that ours name.
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "LC_ALL": "C.UTF-8"}
        argv = ["systemd-analyze", "--man=no", "--generators=no", "--no-pager", "security", "--offline=yes", *units]
        done = run_program(argv, environment=environment, timeout_s=TIMEOUT_S)
    scores = {unit: float(score) for unit, score in _SCORE.findall(done.stdout)}
    if set(scores) != set(units):
        raise TqunitsError(f"systemd-analyze security does not tell: {done.stderr.strip() or 'no score'}")
    return scores


def _print(rendered: Rendered, scores: Mapping[str, float], threshold: float, output: Output) -> None:
    rows = []
    for worker in rendered.workers:
        score = scores[name.service(worker.name)]
        style = "red" if score > threshold else ""
        sandbox = worker.sandbox
        holes = ",".join(hole.value for hole in sandbox.relaxations) or "-"
        rows.append([worker.name, sandbox.profile.value, holes, Cell(f"{score:.1f}", style)])
    output.table(["NAME", "PROFILE", "RELAXATIONS", "EXPOSURE"], rows)


def _json(worker: Worker, scores: Mapping[str, float]) -> Mapping[str, object]:
    return {
        "name": worker.name,
        "profile": worker.sandbox.profile.value,
        "relaxations": [hole.value for hole in worker.sandbox.relaxations],
        "exposure": scores[name.service(worker.name)],
    }


def _threshold(text: str | None) -> float:
    try:
        threshold = _WORST if text is None else float(text)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= _WORST:
        raise UsageError(f"--threshold {text}: not a number from 0 to 10", hint="such as 1.5")
    return threshold
