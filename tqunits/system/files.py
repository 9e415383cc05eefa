"""Files of the host: written whole or not at all, locked, read within bounds.

A rename(2) within a folder replaces one complete file by another, but only what is on the disk
survives a power cut. So the content is flushed before the rename, and the folder after it
(fsync(2): "does not necessarily ensure that the entry in the directory containing the file has also
reached disk"). A crash in between leaves a temporary file, which systemd and systemd-sysusers
ignore by its name, and `leftovers` knows by it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import tqunits
from tqunits.errors import TqunitsError
from tqunits.late_pattern import late_pattern
from tqunits.layout import Layout
from tqunits.units.name import is_unit_name

READ_LIMIT = 1 << 20
"""Bytes. Units, templates and YAML are much smaller than 1 MiB: a larger file is a mistake or an
attack."""

_SHOWN = 1000  # characters of another program's output, which has a line for each file

_TEMPORARY = late_pattern(r"\.tqunits-[0-9a-f]{16}\.tmp")


def write_atomically(path: Path, content: str, mode: int, *, keep_time: bool = False, group: int | None = None) -> None:
    """Write a file whole: at any moment, also after a power cut, the path has the old or the new
    content.

    Missing folders above it are made (0755). With `keep_time` the new file gets the old one's
    modification time. `group`: a gid; None: it is the caller's. Raises OSError.
    """
    make_folder(path.parent)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = temporary_name()
    time_ns = _time_of(path) if keep_time else None
    try:
        _write_new(temporary, content.encode("utf-8", "surrogateescape"), (mode, group), folder, time_ns)
        os.rename(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    finally:
        os.close(folder)


def temporary_name() -> str:
    """A name that no other file has, for a file that is renamed afterwards."""
    return f".tqunits-{os.urandom(8).hex()}.tmp"


def is_temporary(name: str) -> bool:
    """Whether `temporary_name` makes such names."""
    return _TEMPORARY.fullmatch(name) is not None


def write_secret(path: Path, content: str, mode: int) -> None:
    """The same, in a folder that only root may enter (0700), below another such folder."""
    make_folder(path.parent.parent.parent)
    make_folder(path.parent, mode=0o700)
    write_atomically(path, content, mode)


def remove(path: Path) -> None:
    """Remove a file, if it exists, and then its folder if that is an empty drop-in folder."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)
    if is_unit_name(path.parent.name.removesuffix(".d")):  # not sysusers.d, rules.d: those are the host's
        _remove_empty(path.parent)  # other drop-ins may be in it


def remove_secret(path: Path) -> None:
    """Remove a file of `write_secret`, and its two folders if they are empty then."""
    remove(path)
    _remove_empty(path.parent)
    _remove_empty(path.parent.parent)


def leftovers(folder: Path) -> list[Path]:
    """Temporary files that an interrupted `write_atomically` has left in this folder, or in folders
    directly below it."""
    found = [*folder.glob(".tqunits-*.tmp"), *folder.glob("*/.tqunits-*.tmp")]
    return [path for path in found if is_temporary(path.name)]


def remove_tree(folder: Path) -> None:
    """Remove a folder and everything in it, without following links; a link in its place is removed
    itself.

    It calls rm(1), which works at any depth: shutil.rmtree recurses and needs a descriptor for each
    level, and the owner of the folder could have made a thousand levels. Raises TqunitsError.
    """
    from tqunits.system.process import run  # with subprocess, 3 ms: most commands remove nothing

    done = run(["rm", "-rf", "--one-file-system", "--", str(folder)])
    if done.returncode != 0:
        raise TqunitsError(f"{folder} could not be removed: {done.stderr.strip()[-_SHOWN:]}")


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Make a folder and those above it with this mode, whatever the umask is, so that they survive
    a power cut."""
    missing = [f for f in (folder, *folder.parents) if not f.is_dir()]
    for each in reversed(missing):
        try:
            each.mkdir(mode=mode)
        except FileExistsError:  # another process was faster
            if not each.is_dir():
                raise
        else:
            each.chmod(mode)
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(folder: Path) -> None:
    """Flush the whole file system of a folder to the disk: for a tree of many files, which one by
    one would take a hundred times as long.

    It calls sync(1), because Python has no syncfs(2). That reports what could not be written (since
    Linux 5.8). Raises TqunitsError.
    """
    from tqunits.system.process import run  # as above

    done = run(["sync", "--file-system", "--", str(folder)])
    if done.returncode != 0:
        raise TqunitsError(f"{folder} could not be written to the disk: {done.stderr.strip()[-_SHOWN:]}")


class Held(TqunitsError):
    """Another process holds a lock."""

    def __init__(self, path: Path, holder: str) -> None:
        message = f"another tqunits is at work (process {holder}, lock {path})"
        super().__init__(message, hint="wait until it is done, and try again")


@contextmanager
def lock(path: Path, *, wait: bool | Callable[[str], None] = False, since: int | None = None) -> Iterator[bool]:
    """Hold the lock on this file, which is made if missing. The kernel releases it when the process
    ends. Yields whether it had to be waited for, or, with `since` (`last_turn` of before), whether
    another process has held it since then: both its begin and its end write to the file.

    Raises Held at once when another process holds it: two runs in a row would surprise more
    than an error. With `wait` the lock is waited for; a function is told first which process holds
    it. The file is closed to others, because flock(2) needs no right to write: who may open a lock
    file for reading may hold the lock for ever.
    """
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        holder = _lock(descriptor)
        if holder and not wait:
            raise Held(path, holder)
        if holder:
            if callable(wait):
                wait(holder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        has_changed = since is not None and os.fstat(descriptor).st_mtime_ns // 1000 != since
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        try:
            yield bool(holder) or has_changed
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def last_turn(path: Path) -> int:
    """When somebody last took or released the lock on this file, in µs since 1970; 0: nobody is
    known to have had it."""
    return made_us(path) or 0


def is_absent(path: Path | str) -> bool:
    """Whether nothing is there, not even a link. A path that we may not see counts as there."""
    return made_us(path) is None


def made_us(path: Path | str) -> int | None:
    """When it was last written, in µs since 1970; None when nothing is there, 0 when we may not see
    it."""
    try:
        return os.lstat(path).st_mtime_ns // 1000
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return 0


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file. Does not block on a FIFO, a folder or a device.

    Raises OSError, and TqunitsError for anything but a regular file of at most `most` bytes.
    """
    return read_opened(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), path, most)


def read_opened(descriptor: int, path: Path, most: int) -> bytes:
    """The same of what is open already, so that opening it has not blocked; it is closed. `path` is
    for the message."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TqunitsError(f"{path} is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(most + 1)
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise TqunitsError(f"{path}: longer than {most} bytes")
    return content


def read_text_if_exists(path: Path) -> str | None:
    """The text of a regular file, None when there is none. Bytes that are not UTF-8 survive a round
    trip.

    Raises TqunitsError when it is larger than READ_LIMIT.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a FIFO must not block
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(READ_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(content) > READ_LIMIT:
        raise TqunitsError(f"{path} is larger than {READ_LIMIT >> 20} MiB")
    return content.decode("utf-8", "surrogateescape")


def read_templates(layout: Layout) -> Mapping[str, str]:
    """The unit templates by file name: the administrator's where there is one, otherwise the
    package's.

    Raises TqunitsError when the package's own are missing.
    """
    own = _read_folder(_shipped("unit_templates", "unit-templates"))
    if not own:
        raise TqunitsError("the unit templates of tqunits are missing", hint="install the package again")
    return own | _read_folder(Path(layout.configuration) / "unit-templates")


def read_completion(name: str) -> str:
    """The shipped completion script with that file name. Raises TqunitsError when it is missing."""
    text = read_text_if_exists(_shipped("completions", "packaging/completions") / name)
    if text is None:
        raise TqunitsError(f"the completion script {name} of tqunits is missing", hint="install the package again")
    return text


def physical_memory() -> int:
    """The memory in bytes of which systemd takes a percentage: the machine's, or the container's
    limit if that is lower.

    As in systemd's physical_memory(): whole pages, and the limit at the root of the cgroup
    namespace.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    machine = os.sysconf("SC_PHYS_PAGES") * page
    limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # v2, v1
    text = next((t for t in map(read_text_if_exists, map(Path, limits)) if t), "max").strip()
    return min(machine, int(text) // page * page) if text.isdigit() else machine


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
        sync_folder(folder.parent)


def _write_new(name: str, content: bytes, access: tuple[int, int | None], folder: int, time_ns: int | None) -> None:
    mode, group = access
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb") as stream:
        stream.write(content)
        stream.flush()
        if group is not None:
            os.fchown(stream.fileno(), -1, group)
        os.fchmod(stream.fileno(), mode)  # open(2) would subtract the caller's umask
        if time_ns is not None:
            os.utime(stream.fileno(), ns=(time_ns, time_ns))
        os.fsync(stream.fileno())


def _time_of(path: Path) -> int | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return min(status.st_mtime_ns, status.st_ctime_ns)  # the new file's change time says nothing about the old content


def _lock(descriptor: int) -> str:
    """Take the lock. Returns the process that holds it instead; "" when it is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
    return ""


def _shipped(installed: str, checkout: str) -> Path:
    """A folder that is shipped: inside the installed package, or in the tree of a checkout."""
    package = Path(tqunits.__file__).resolve().parent
    inside = package / installed
    return inside if inside.is_dir() else package.parent / checkout


def _read_folder(folder: Path) -> dict[str, str]:
    texts = ((path.name, read_text_if_exists(path)) for path in sorted(folder.glob("*.j2")))
    return {name: text for name, text in texts if text is not None}
