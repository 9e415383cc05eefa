"""Write a commented worker.yaml to start from, and the smallest program of that type that keeps the
contract.

Of type static, that is a first page. For exec there is no program: put yours into the folder.

WORKER is the name of a new worker in the folder of the workers, or, with a slash in it, the folder
to make it in. What is there already is never overwritten.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tqunits.cli.context import Context
from tqunits.config.reject import Reject
from tqunits.config.start_files import starting_files
from tqunits.config.words import worker_name
from tqunits.errors import ExitStatus, TqunitsError, UsageError
from tqunits.host.sources import workers_directory
from tqunits.model import WorkerType


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits init`."""
    parser.add_argument("worker", metavar="WORKER", help="a name, or a folder (with a slash in it)")
    types = [worker_type.value for worker_type in WorkerType]
    parser.add_argument("--type", choices=types, default=WorkerType.EXEC.value, help="the runtime (default: exec)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Write the files."""
    folder = _folder(arguments.worker, context)
    files = starting_files(_name(folder), WorkerType(arguments.type))
    existing = [path for path in files if (folder / path).exists()]
    if existing:
        raise TqunitsError(f"{folder / existing[0]} is there already", hint="init never overwrites")
    for path, content in files.items():
        _create(folder / path, content)
    if arguments.json:
        context.output.json("init", 1, worker=folder.name, files=[str(folder / path) for path in files])
    else:
        _tell(context, folder, list(files))
    return ExitStatus.OK


def _folder(worker: str, context: Context) -> Path:
    if "/" in worker:
        return Path(worker).absolute()
    return workers_directory(context.root, context.layout) / worker


def _name(folder: Path) -> str:
    try:
        return worker_name(folder.name)
    except Reject as error:
        raise UsageError(error.message, hint="a-z first, then a-z, 0-9, - and _; at most 24 characters") from error


def _create(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(content)


def _tell(context: Context, folder: Path, files: list[str]) -> None:
    for path in files:
        context.output.line(f"wrote {folder / path}")
    context.output.message("next:")
    if len(files) == 1:
        context.output.message(f"    put the program into {folder}")
    command = "tqunits --user" if context.user_mode else "tqunits"
    command += f" -C {context.root}" if context.root else ""
    context.output.message(f"    {command} check {folder.name}")
    context.output.message(f"    {'' if context.user_mode else 'sudo '}{command} install --now")
