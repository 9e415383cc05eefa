"""How an instance runs a release: its sandbox has the release at the path of the worker's folder.

    /var/lib/tqunits/releases/NAME/runs/K -> ../ID     a link of root's
    BindReadOnlyPaths=-/var/lib/tqunits/releases/NAME/runs/K:FOLDER

PID 1 follows the link once, when it makes the instance's sandbox (systemd.exec(5)). So no unit
changes with a release, an instance that runs keeps what it was started with, and a path that a
build has written into its results is right. Without the link (the "-") the instance runs from the
folder itself. Folders that the worker may write stay the real ones: they are mounted into the
release.

This is done where nobody but root can rename the folder, and where no other line of the sandbox is
about that path (`obstacle`). A worker of static files alone has no sandbox: the router follows the
link of number 1, for each request anew. In development mode nothing is done: each worker runs from
its folder, and links that are there from before mean nothing until the host is in production again.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from tqunits.model import Host, Instance, Relaxation, Worker, WorkerType
from tqunits.units import build_units, environment, quote, sandbox, unitfile
from tqunits.units.sandbox import Directives


def folder(worker: str, state: PurePosixPath) -> PurePosixPath:
    """The folder of a worker's releases, below the layout's folder `state`."""
    return state / "releases" / worker


def link(whose: Instance, state: PurePosixPath) -> PurePosixPath:
    """The link to the release that this instance runs from its next start on."""
    return folder(whose.worker, state) / "runs" / str(whose.number)


def link_numbers(worker: Worker) -> frozenset[int]:
    """The numbers of the links to releases that are in use besides the surge's: a replica's has its
    number, and that of files alone is 1, whatever `scaling` says of workers."""
    return frozenset({1} if worker.type is WorkerType.STATIC else (whose.number for whose in worker.instances))


def obstacle(worker: Worker, target: Host) -> str:
    """Why this worker can not run releases, as a clause; "" where it can."""
    if target.user_mode:
        return "with --user a worker runs from its folder"
    if worker.in_development:
        return "in development mode a worker runs from its folder"
    if worker.type is WorkerType.STATIC:
        return _obstacle_of_files(worker)
    if Relaxation.WRITABLE_CODE in worker.sandbox.relaxations:
        return "it may write its own folder (sandbox: writable-code)"
    if sandbox.is_hidden(worker):
        return f"its sandbox hides the folder above it: {worker.folder} lies below a home or a temporary folder"
    if not build_units.is_in_place(worker, target):
        return f"somebody else than root may rename a folder above {worker.folder}, or no unit can express this path"
    unmountable = (path for path in sandbox.writable_paths(worker) if not quote.is_mountable(path, target.systemd))
    path = next(unmountable, None)
    return "" if path is None else f"no unit can mount {path}, which it may write, into a release"


def served_part(worker: Worker) -> PurePosixPath | None:
    """The folder whose files the router serves, as it lies in a release of the worker; None: it
    serves none, or not those of a release.

    What lies outside of the worker's folder is in no release. Of a folder that the worker may write
    a release has an empty one: what it writes there is served, and only where it writes it.
    """
    served, folder = environment.served_folder(worker), worker.folder
    if served is None or ".." in served.parts or not served.is_relative_to(folder):
        return None
    written = (folder / path for path in worker.writable)
    is_written = any(served.is_relative_to(each) or each.is_relative_to(served) for each in written)
    return None if is_written else served.relative_to(folder)


def _obstacle_of_files(worker: Worker) -> str:
    if worker.build.command:
        return "nothing is built for a worker of static files alone"
    if served_part(worker) is None:
        return "its static.directory is outside of its folder, or `writable` is about it"
    return ""


def command_slot(worker: Worker) -> Instance:
    """Whose link a worker's `release.command` runs with: the surge's, also where there is none. No
    configured replica has it."""
    return Instance(worker.name, worker.scaling.min_workers + 1)


def mounted_slot(drop_in: str, worker: str, state: PurePosixPath) -> int | None:
    """The number of the instance whose link a drop-in of ours mounts; None when it mounts none."""
    above = f"-{link(Instance(worker), state).parent}/"
    rows = (row.value for row in unitfile.parse(drop_in) if row.name == "BindReadOnlyPaths")
    found = (value.removeprefix(above).partition(":")[0] for value in rows if value.startswith(above))
    return next((int(number) for number in found if number.isascii() and number.isdecimal()), None)


def directives(worker: Worker, whose: Instance, target: Host) -> Directives:
    """The directives in [Service]; none for a worker that can not run releases."""
    if obstacle(worker, target):
        return ()
    source = link(whose, target.layout.state)  # of names that need no quotes
    return (("BindReadOnlyPaths", f"-{source}:{quote.mount_word(str(worker.folder), target.systemd)}"),)
