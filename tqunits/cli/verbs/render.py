"""Print the unit files that install would write.

Each file comes after a line with its path, so the whole can be read, searched and compared. With NAME... only the
files of these workers. Nothing is written, and no privilege is needed; ports are those that are installed, or that an
install would assign now.

With --out DIR the files are written below DIR instead, at their paths on the host: for a review, an image, or
'systemd-analyze --root=DIR verify'. With --systemd VERSION they are rendered for another host's systemd.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from tqunits.cli.context import Context
from tqunits.cli.judged import assigned_ports, judge
from tqunits.cli.requested import Requested
from tqunits.cli.selection import nearest
from tqunits.errors import ConfigurationError, ExitStatus, NoSuchWorker, UsageError
from tqunits.host import target
from tqunits.host.observed_files import observe_files
from tqunits.host.sources import load
from tqunits.model import Configuration, Target, Worker, WorkerType
from tqunits.system import files
from tqunits.units import addresses, name
from tqunits.units.render import RenderedFile, render, sockets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The files of a configuration, and the workers they are for."""

    workers: tuple[Worker, ...]
    files: tuple[RenderedFile, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits render`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, or its unit; all files when none is given")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write the files below DIR")
    parser.add_argument("--systemd", metavar="VERSION", help="for that version of systemd (252 or newer)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print or write them."""
    rendered = render_configured(context, arguments.names, systemd=_version(arguments.systemd))
    chosen = rendered.files if not arguments.names else only(rendered.files, {w.name for w in rendered.workers})
    if arguments.json:
        context.output.json("render", 1, files=[_json(file) for file in chosen])
    for file in chosen:
        if arguments.out:
            files.write_atomically(arguments.out / file.path.relative_to("/"), file.content, file.mode)
        elif not arguments.json:
            context.output.raw(f"# {file.path}\n{file.content}\n")
    if arguments.out:
        context.output.message(f"{len(chosen)} file{'s' if len(chosen) != 1 else ''} written below {arguments.out}")
    return ExitStatus.OK


def render_configured(context: Context, names: Collection[str], *, systemd: int | None = None) -> Rendered:
    """Every file of the configuration, and the workers of these names (all, when there are none).

    What an install would refuse is said, and rendered all the same, but for a worker that can have no port. Raises
    ConfigurationError for what is wrong in the YAML, NoSuchWorker for a name that is not in it.
    """
    loaded = load(context.root, context.layout, trust=context.trust)
    configuration = loaded.configured()
    if configuration.broken and (not names or set(_workers(names)) & set(configuration.broken)):
        raise ConfigurationError(loaded.diagnostics)
    before = observe_files(context.layout)
    refused = judge(configuration, context.layout, before).refusals
    context.output.diagnostics((*loaded.diagnostics, *(refusal.note() for refusal in refused)))
    assigned = assigned_ports(configuration, before)
    lacking = {refusal.worker for refusal in assigned.refusals}
    configuration = replace(configuration, workers=tuple(w for w in configuration.workers if w.name not in lacking))
    requested = Requested(configuration, context.layout, before, user_mode=context.user_mode)
    templates = files.read_templates(context.layout)
    host = _target(context, systemd)
    sockets = sockets_of(configuration.server, context.layout, addresses.installed(before))
    rendered = render(configuration, host, assigned.ports, templates, requested.copies, sockets)
    return Rendered(workers=_named(names, configuration), files=rendered)


def only(rendered: Collection[RenderedFile], workers: Collection[str]) -> tuple[RenderedFile, ...]:
    """The files of these workers' own."""
    return tuple(file for file in rendered if file.unit and name.worker_of(file.unit) in workers)


def _json(file: RenderedFile) -> dict[str, str | None]:
    return {"path": str(file.path), "mode": f"{file.mode:04o}", "unit": file.unit, "content": file.content}


def _target(context: Context, systemd: int | None) -> Target:
    host = target.current(context.layout, user_mode=context.user_mode)
    return host if systemd is None else replace(host, systemd=systemd)


def _workers(names: Collection[str]) -> list[str]:
    return [name.worker_of(text) or text for text in names]


def _named(names: Collection[str], configuration: Configuration) -> tuple[Worker, ...]:
    workers = {w.name: w for w in configuration.workers if w.type is not WorkerType.STATIC}
    wanted = _workers(names)
    for worker in wanted:
        if worker not in workers:
            raise NoSuchWorker(f"no configured worker is called {worker!r}", hint=nearest(worker, workers))
    return tuple(worker for key, worker in workers.items() if not wanted or key in wanted)


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not target.OLDEST <= int(text) < 1000:
        raise UsageError(f"--systemd {text}: not a version of systemd from {target.OLDEST}", hint="such as 252 or 257")
    return int(text)
