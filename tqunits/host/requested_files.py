"""The files that a worker's YAML names: whether they may be used, and their content. Nobody else
can choose what is read here.

A path that only root can change leads to what root put there, and the unit names that path. In any
other path a folder may at any moment contain a link to /etc/shadow, a FIFO, or a hard link to a
stranger's file. So such a file is opened from the last folder of root's, name by name and without
links. The open file is examined before it is read, and `install` copies exactly what was read.
Nothing is opened twice.

With --user the units have no more rights than the user, and name the files themselves.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import field
from pathlib import Path

from tqunits.alone.variables import MAX_BYTES, Mistake, Reading
from tqunits.errors import Diagnostic, Mark, Severity
from tqunits.light_dataclass import dataclass
from tqunits.model import Grant, Listen, Worker
from tqunits.system.ownership import Anchor, anchor, is_only_for, open_below
from tqunits.units import credentials
from tqunits.units.credentials import Source
from tqunits.units.grants import NONE, may_name
from tqunits.units.refusal import place
from tqunits.units.unitfile import Copy

MAX_TOTAL = 1 << 20
"""The limit of all credentials of a unit with their names: systemd's CREDENTIALS_TOTAL_SIZE_MAX."""

_ROOT = frozenset({0})
_KINDS = {
    stat.S_ISLNK: "is a symbolic link, which is not followed",
    stat.S_ISDIR: "is a folder",
    stat.S_ISFIFO: "is a FIFO",
    stat.S_ISSOCK: "is a socket",
    stat.S_ISCHR: "is a device",
    stat.S_ISBLK: "is a device",
}
_ITSELF = "put the file itself there"
_PROTECT = "sysctl fs.protected_hardlinks=1"


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that others than root can change. `content` is None where the file is refused or we
    may not read it.

    Even then the unit names the copy, never the path, which may lead anywhere when the unit starts.
    """

    copy: Copy
    content: bytes | None = field(repr=False)
    is_unseen: bool = False  # its folder is closed to the calling user, so it may also be root's


@dataclass(frozen=True, slots=True)
class Looked:
    """The outcome for the files of one worker."""

    taken: tuple[Taken, ...]
    findings: tuple[Diagnostic, ...]

    @property
    def error(self) -> Diagnostic | None:
        """Why the worker could not start with these files; None when it can."""
        return next((finding for finding in self.findings if finding.severity is Severity.ERROR), None)


def look(worker: Worker, grant: Grant = NONE, *, user_mode: bool, missing: Severity = Severity.ERROR) -> Looked:
    """Look at every file that this worker names, and read what may be read.

    `grant`: what a worker that is not root's may name outside of its folder. `missing`: the
    severity of a file that does not exist.
    """
    files = [
        _RequestedFile(worker, source, grant, user_mode=user_mode, missing=missing)
        for source in credentials.sources(worker)
    ]
    findings = [finding for file in files for finding in file.findings]
    total = sum(len(file.source.id) + file.size for file in files)
    if total > MAX_TOTAL:
        message = f"the files of environment_file and credentials hold {total} bytes together"
        mark = place(worker, files[-1].source.setting)
        findings.append(_finding(Severity.ERROR, mark, message, "systemd takes up to 1 MiB"))
    return Looked(tuple(file.taken for file in files if file.taken), tuple(findings))


class _Refused(Exception):
    """Why a file is not taken."""

    def __init__(self, reason: str, hint: str, severity: Severity = Severity.ERROR) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.severity = severity


class _RequestedFile:
    """One file, with its findings."""

    def __init__(self, worker: Worker, source: Source, grant: Grant, *, user_mode: bool, missing: Severity) -> None:
        self.source = source
        self._granted = grant.environment_files if source.has_variables else grant.credentials
        self._worker = worker
        self.findings: list[Diagnostic] = []
        self.taken: Taken | None = None
        self.size = 0
        self._limit = MAX_BYTES if source.has_variables else MAX_TOTAL
        self._mark = place(worker, source.setting, item=source.item)
        self._is_copied = not user_mode
        self._knows_all = user_mode or os.geteuid() == 0
        try:
            self._look()
        except FileNotFoundError:
            self._refuse(_Refused("is not there", "the worker does not start without it", missing))
        except PermissionError:
            self._unreadable()
        except OSError as error:
            self._refuse(_reason(error))
        except _Refused as refused:
            self._refuse(refused)
        if self._is_copied and self.taken is None:
            self.taken = Taken(Copy(source.id, source.path, 0), None)

    def _look(self) -> None:
        if self._is_copied:
            self._refuse_request()
        with anchor(self.source.path, users=_ROOT) as found:
            if found.is_roots:
                self._is_copied = False
            with _opened(found) as file:
                self._judge(file, found)

    def _refuse_request(self) -> None:
        """The owner of a worker may have his own files read for it, but not root's or another
        worker's."""
        if may_name(self._worker, self._granted, self.source.path):
            return
        folder, not_roots = self._worker.folder, self._worker.not_roots
        reason = f"lies outside of {folder}, so it needs a grant, for the worker is not root's: {not_roots}"
        hint = f"put it below {folder}, give the worker to root, or grant it: tqunits docs grants"
        raise _Refused(reason, hint, Severity.ERROR if self._knows_all else Severity.NOTE)

    def _judge(self, file: _OpenFile, found: Anchor) -> None:
        status = os.fstat(file.descriptor)
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        if not (self._is_copied or self.source.has_variables):
            return  # folders and sockets are allowed too: systemd.exec(5), LoadCredential=
        _refuse_kind(status)
        if self._is_copied:
            _refuse_owner(status, file.folder, in_roots=len(found.rest) == 1)
        self._read(file, Copy(self.source.id, self.source.path, status.st_mtime_ns))

    def _read(self, file: _OpenFile, copy: Copy) -> None:
        if self._is_copied:
            self.taken = Taken(copy, None)
        content = file.read(self._limit + 1)
        if len(content) > self._limit:
            raise _Refused(f"is larger than {self._limit // 1024} KiB", "a secret or a page of variables is not")
        self.size = len(content)
        if self._is_copied:
            self.taken = Taken(copy, content)
        if self.source.has_variables:
            reading = Reading(content, has_port=self._worker.listen is Listen.TCP)
            self.findings += (self._in_file(Severity.ERROR, mistake) for mistake in reading.mistakes)
            self.findings += (self._in_file(Severity.WARNING, doubt) for doubt in reading.doubts)

    def _unreadable(self) -> None:
        """Without root's rights more can not be known; root installs."""
        if self._knows_all:
            self._refuse(_Refused("can not be read: permission denied", "look at its owner and its mode"))
            return
        if self._is_copied and self.taken is None:
            self.taken = Taken(Copy(self.source.id, self.source.path, 0), None, is_unseen=True)
        message = f"{self.source.setting}: {self.source.path} can not be read by you, so it was not checked"
        self.findings.append(_finding(Severity.NOTE, self._mark, message, "run this as root to check it too"))

    def _refuse(self, refused: _Refused) -> None:
        self.taken, self.size = None, 0
        message = f"{self.source.setting}: {self.source.path} {refused.reason}"
        self.findings.append(_finding(refused.severity, self._mark, message, refused.hint))

    def _in_file(self, severity: Severity, mistake: Mistake) -> Diagnostic:
        """A finding without the line itself, because it may be a secret."""
        mark = Mark(self.source.path, mistake.line, mistake.column)
        return _finding(severity, mark, mistake.message, mistake.hint)


@dataclass(slots=True)
class _OpenFile:
    """A file that is open but can not be read yet, and its folder (None: only root can change the
    whole path)."""

    descriptor: int  # opened with O_PATH, so no device was touched and no FIFO has blocked
    folder: int | None

    def read(self, most: int) -> bytes:
        """Read the file that was examined. A new file of its name does not matter."""
        reading = os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(reading, "rb") as stream:
            return stream.read(most)

    def __enter__(self) -> _OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        if self.folder is not None:
            os.close(self.folder)


def _opened(found: Anchor) -> _OpenFile:
    if found.is_roots:
        return _OpenFile(os.dup(found.descriptor), None)
    folder = open_below(found.descriptor, found.rest[:-1], os.O_PATH | os.O_DIRECTORY)
    try:
        return _OpenFile(open_below(folder, found.rest[-1:], os.O_PATH), folder)
    except BaseException:
        os.close(folder)
        raise


def _refuse_kind(status: os.stat_result) -> None:
    for is_kind, reason in _KINDS.items():
        if is_kind(status.st_mode):
            raise _Refused(reason, _ITSELF)


def _refuse_owner(status: os.stat_result, folder: int | None, *, in_roots: bool) -> None:
    """Somebody who can not read a stranger's file could make a hard link to it here and have root
    read it.

    So the file's owner must be root or the owner of the folder; and it must have no second name,
    unless only its owner can make names here.
    """
    if folder is None:
        return
    around = os.fstat(folder)
    if status.st_uid not in {0, around.st_uid} and not in_roots:
        reason = f"belongs to uid {status.st_uid}, and its folder to uid {around.st_uid}"
        raise _Refused(reason, "give it to the owner of its folder, or to root")
    if status.st_uid == 0 != around.st_uid and not _links_are_protected():
        raise _Refused("is root's, in a folder of somebody else's who may have linked to it", _PROTECT)
    if status.st_nlink > 1 and not is_only_for(around, {status.st_uid}, descriptor=folder):
        raise _Refused("has more than one name (hard links)", "put a copy there, with a name of its own")


def _links_are_protected() -> bool:
    """Whether the kernel lets nobody link to a file that he may not write (proc(5),
    protected_hardlinks). Debian sets this."""
    try:
        return Path("/proc/sys/fs/protected_hardlinks").read_text(encoding="ascii").strip() != "0"
    except FileNotFoundError:
        return False


def _reason(error: OSError) -> _Refused:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return _Refused("is behind a symbolic link, or in what is no folder", _ITSELF)
    return _Refused(f"can not be read: {error.strerror}", _ITSELF)


def _finding(severity: Severity, mark: Mark, message: str, hint: str) -> Diagnostic:
    return Diagnostic(severity=severity, message=message, mark=mark, hint=hint)
