"""Print the unit files that install would write.

Each file comes after a line with its path, so the whole can be read, searched and compared. With
NAME... only the files of these workers. Nothing is written, and no privilege is needed; ports are
those that are installed, or that an install would assign now.

With --out DIR the files are written below DIR instead, at their paths on the host: for a review, an
image, or 'systemd-analyze --root=DIR verify'. With --systemd VERSION they are rendered for another
host's systemd.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from tqunits.cli.context import Context
from tqunits.cli.selection import workers_meant
from tqunits.errors import ExitStatus, UsageError
from tqunits.host import this_host
from tqunits.host.rendered import Rendered, only, rendered, sketched
from tqunits.system import files
from tqunits.units.rendering import RenderedFile


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits render`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="worker, or its unit; all files when none is given")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write the files below DIR")
    parser.add_argument("--systemd", metavar="VERSION", help="for that version of systemd (252 or newer)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print or write them."""
    found = render_configured(context, arguments.names, systemd=_version(arguments.systemd))
    chosen = found.files if not arguments.names else only(found.files, {w.name for w in found.workers})
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
    """Every file of the configuration, and the workers of these names; says what an install would
    refuse. Raises as host/rendered.py does.
    """
    wanted = workers_meant(names)
    sketch = sketched(context.premises, wanted)
    context.output.diagnostics(sketch.findings)
    return rendered(sketch, context.premises, wanted, systemd=systemd)


def _json(file: RenderedFile) -> dict[str, str | None]:
    return {"path": str(file.path), "mode": f"{file.mode:04o}", "unit": file.unit, "content": file.content}


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not this_host.OLDEST <= int(text) < 1000:
        message = f"--systemd {text}: not a version of systemd from {this_host.OLDEST}"
        raise UsageError(message, hint="such as 252 or 257")
    return int(text)
