"""Makes the workspace of a build and then executes the build: ExecStart= of tq-build@NAME.service,
and of its fetch.

    /usr/bin/python3 -I -S workspace.py [--copy FOLDER [--without LIST]]
        [--in COPY] [--at PLACE] [--needs FILE]
        WORKSPACE -- PROGRAM [ARGUMENT]...

The program runs in COPY (by default WORKSPACE/copy), and has WORKSPACE/tmp for temporary files.
With --copy, COPY becomes a copy of FOLDER and WORKSPACE/tmp is emptied. LIST is a file of paths
below FOLDER that builds have made, each with a NUL after it; they are not copied. PLACE is a second
path at which the copy is mounted; then the program runs there. With --needs nothing is run if the
copy does not have that file.

It runs as the build's own user in its sandbox, so it copies what that user may read, and reports
what it leaves out: a secret of the worker (0600) never gets into a workspace. Sockets, pipes and
devices are left out too. A file keeps its mode and its time, which make(1) needs; a link is copied
as a link.

Where the host has several processors, a build has all of them but one. A request of a worker finds
that one free. A weight (CPUWeight=) does not do that: it says who gets more of a processor, but who
wakes up waits for some milliseconds first.

Exit statuses: 203 the program can not be executed (systemd.exec(5)); 1 the folder can not be
copied; 2 the command line is wrong.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone.program import NotExecuted, become
else:  # with -I (isolated), Python does not look for modules beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    from program import NotExecuted, become

USAGE, NOT_COPIED = 2, 1
USE = "[--copy FOLDER [--without LIST]] [--in COPY] [--at PLACE] [--needs FILE] WORKSPACE -- PROGRAM [ARGUMENT]..."
OPTIONS = {"--copy", "--without", "--in", "--at", "--needs"}

MAX_DEPTH = 100
"""The depth of folders, the same as in the harvest. Each level needs two descriptors, of 1024."""

MAX_NAMED = 20
"""How many of the files that are left out are named."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def main(arguments: list[str]) -> int:
    """Execute the build. Returns an exit status when that fails, and prints the reason in one
    line."""
    try:
        options, workspace, program = parse(arguments)
        _leave_a_processor()
        work = options.get("--in", os.path.join(workspace, "copy"))  # noqa: PTH118 - pathlib costs more
        if "--copy" in options:
            _make(options["--copy"], workspace, work, options.get("--without"))
        os.chdir(options.get("--at", work))
        if "--needs" in options and not os.path.exists(options["--needs"]):  # noqa: PTH110 - the same
            return 0
        become(program, dict(os.environ))
    except NotExecuted as failure:
        say(str(failure))
        return failure.status
    except OSError as error:
        say(f"{error.filename}: {error.strerror}")
        return NOT_COPIED
    raise AssertionError


def parse(arguments: list[str]) -> tuple[dict[str, str], str, list[str]]:
    """The options, the workspace, the program. Raises NotExecuted."""
    end = arguments.index("--") if "--" in arguments[:-1] else 0
    *pairs, workspace = arguments[:end] or [""]
    options = dict(zip(pairs[::2], pairs[1::2], strict=False))
    if not workspace or len(pairs) != 2 * len(options) or not options.keys() <= OPTIONS:
        raise NotExecuted(USAGE, f"usage: {USE}")
    return options, workspace, arguments[end + 1 :]


def say(message: str) -> None:
    """Print a line for the journal. Control characters and invalid bytes of names are escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    sys.stderr.write(f"tqunits-workspace: {shown}\n")


def _leave_a_processor() -> None:
    processors = os.sched_getaffinity(0)
    if len(processors) > 1:
        os.sched_setaffinity(0, processors - {min(processors)})


def _make(folder: str, workspace: str, work: str, without: str | None) -> None:
    aside = os.path.join(workspace, "tmp")  # noqa: PTH118
    for path in (work, aside):  # emptied, not removed: the copy itself is a mount point
        os.makedirs(path, 0o700, exist_ok=True)  # noqa: PTH103
        emptied = ["find", path, "-mindepth", "1", "-delete"]  # find(1) works at any depth
        if os.spawnv(os.P_WAIT, "/usr/bin/find", emptied) != 0:  # noqa: S606
            raise NotExecuted(NOT_COPIED, f"{path} can not be emptied")
    try:
        source = os.open(folder, _FOLDER)
    except PermissionError:
        raise NotExecuted(
            NOT_COPIED, "the worker's folder is closed to the account of its builds: chmod o+rx"
        ) from None
    target = os.open(work, _FOLDER)
    copy = FolderCopy(_paths(without))
    copy.folder(source, target, "", 0)
    if copy.left_out > MAX_NAMED:
        say(f"and {copy.left_out - MAX_NAMED} more")


def _paths(listed: str | None) -> frozenset[str]:
    """The paths in a list; none if the file does not exist, because nothing was ever built."""
    try:
        with open(listed or os.devnull, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            return frozenset(file.read().split("\0"))
    except FileNotFoundError:
        return frozenset()


class FolderCopy:
    """The copying of one folder."""

    def __init__(self, without: frozenset[str]) -> None:
        self.without = without
        self.left_out = 0

    def folder(self, source: int, target: int, path: str, depth: int) -> None:
        """Copy the content of an open folder into another."""
        if depth > MAX_DEPTH:
            raise NotExecuted(NOT_COPIED, f"the folder has more than {MAX_DEPTH} folders in each other")
        with os.scandir(source) as entries:
            for entry in entries:
                here = f"{path}{entry.name}"
                if here in self.without:
                    continue
                try:
                    self._entry(entry.name, entry.stat(follow_symlinks=False), (source, target), here, depth)
                except PermissionError as error:
                    self._leave_out(here, error.strerror or "")

    def _entry(self, name: str, found: os.stat_result, places: tuple[int, int], path: str, depth: int) -> None:
        source, target = places
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(name, source, target)
        elif stat.S_ISDIR(found.st_mode):
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=source)
            try:
                os.mkdir(name, 0o700 | found.st_mode & 0o777, dir_fd=target)
                outer = os.open(name, _FOLDER, dir_fd=target)
                try:
                    self.folder(inner, outer, f"{path}/", depth + 1)
                finally:
                    os.close(outer)
            finally:
                os.close(inner)
        else:
            self._leave_out(path, "no file")

    def _leave_out(self, path: str, why: str) -> None:
        self.left_out += 1
        if self.left_out <= MAX_NAMED:
            say(f"{path} is left out: {why}")


def _copy_file(name: str, source: int, target: int) -> None:
    with os.fdopen(os.open(name, _READ, dir_fd=source), "rb") as reader:
        found = os.fstat(reader.fileno())
        mode = 0o600 | found.st_mode & 0o777
        with os.fdopen(os.open(name, _CREATE, mode, dir_fd=target), "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.utime(writer.fileno(), ns=(found.st_mtime_ns, found.st_mtime_ns))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
