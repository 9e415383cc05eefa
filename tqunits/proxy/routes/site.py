"""Files that the router sends itself: those in a worker's public/, whether or not the worker runs.

A worker's folder belongs to the worker's author. So the last folder on the path that only root can
change is kept open (system/published.py), and the rest is walked name by name (openat(2)), without
links. Only regular files that everybody may read are sent: the router itself may read more, such as
files for a worker's group. Files are opened with O_NONBLOCK, because a FIFO would stop the whole
router.

A changed file takes effect at once, and so does a new top folder, or one that a link of root's
switches to, such as another release of the worker: one stat(2) of the path shows it. Other changes
(the mode of a folder above, a link of root's into another user's folder, the first release) take
effect within a second: at a request, once a second at most, the top folder is looked up anew, which
costs as much as two requests.

There are no directory listings. Reading from a cold disk blocks the loop, as in nginx without aio.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, NamedTuple

from tqunits.errors import TqunitsError
from tqunits.http.coding import Coding, accepted
from tqunits.http.fields import RequestFields
from tqunits.http.filenames import file_names
from tqunits.http.media import media_of
from tqunits.http.representation import Question, Reply, Representation, moved, refused, reply
from tqunits.http.target import Target
from tqunits.routing.released_files import ReleasedFiles
from tqunits.system.published import Root, complaint, find, served, switched_at

INDEX: Final = b"index.html"

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_ABSENT: Final = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EACCES,
        errno.EPERM,
        errno.ENXIO,
        errno.ENODEV,
        errno.EINVAL,  # a ".." below the last folder of root's
    )
)
"""The file does not exist or is not for everybody: a link, a socket, a file that others may not
read. Any other error is the host's."""


class Answer(NamedTuple):
    """A response: its whole head, then `length` bytes of the file from `offset`.

    The receiver closes `descriptor`; -1: there is no body. If the file has become shorter
    meanwhile, sendfile(2) sends nothing more, and only a cut connection tells the client.
    """

    status: int
    head: bytes
    descriptor: int = -1
    offset: int = 0
    length: int = 0


class Unsent(NamedTuple):
    """Why no file is sent, for the operator."""

    why: str
    odd: bool = False  # somebody may have meant the file to be sent


NO_FILE: Final = "There is no such file."
"""The text for the client, whatever the reason."""

REFUSALS: Final = {
    405: "files take GET and HEAD only",
    412: "a condition of the request does not hold",
    416: "a range outside of the file",
}

_NOTHING: Final = Unsent("nothing has that name")
_OTHER_METHOD: Final = Unsent("files take GET and HEAD only")
_UNSENT_NAME: Final = Unsent(
    "no hidden file, no PHP program, no encoded slash, nothing outside of static.prefix is sent"
)
_CLOSED_FILE: Final = Unsent("others may not read it: chmod o+r", odd=True)
_CLOSED_FOLDER: Final = Unsent("others may not enter a folder on the way: chmod o+x", odd=True)
_NO_INDEX: Final = Unsent("a folder without an index.html that others may read: folders are not listed")
_NO_FILE: Final = Unsent("neither a file nor a folder", odd=True)
_BY_ERROR: Final = {
    errno.ELOOP: Unsent("a symbolic link, which is not followed", odd=True),
    errno.ENOTDIR: Unsent("a symbolic link, which is not followed, or no folder, on the way", odd=True),
    errno.EACCES: _CLOSED_FOLDER,
    errno.EPERM: _CLOSED_FOLDER,
}


class Site:
    """One folder of files, and its place in the URI space."""

    __slots__ = ("_alone", "_closed", "_directory", "_looked", "_prefix", "_release", "_root", "_second", "_since")

    def __init__(self, directory: str, prefix: str, release: ReleasedFiles | None = None, *, alone: bool) -> None:
        """`directory`: absolute. `prefix`: "/" or "/assets", after the route's. `release`: what is
        served instead, once there is one. `alone`: there is no program."""
        self._directory = directory
        self._release = release
        self._prefix = b"" if prefix == "/" else prefix.encode("ascii")
        self._alone = alone
        self._root: Root | None = None
        self._second = b""  # in which the top folder was looked up, as a Date
        self._since = 0  # when its release was switched to, in seconds since 1970; 0: it is in none
        self._closed: Unsent | None = None  # why nothing in it is served
        self._looked = b""  # the second in which that was found

    def answer(
        self, method: bytes, path: bytes, fields: RequestFields, *, target: Target, date: bytes, close: bool
    ) -> Answer | Unsent:
        """The response to a request, or why no file is sent: then the program answers, or 404.

        `path`: canonical, without the route's prefix. `target` has the client's own path and the
        query. Raises OSError when the host fails (no descriptors, a broken disk), which is a 503
        and not a 404.
        """
        question = Question(method == b"GET", fields, target, date, close)
        if not question.get and method != b"HEAD":
            return _bodiless(refused(question)) if self._alone else _OTHER_METHOD
        names = self._names(path)
        if names is None:
            return _UNSENT_NAME
        try:
            return self._look_up(names, question)
        except OSError as error:
            if error.errno in _ABSENT:
                return self._why_closed(date) or _BY_ERROR.get(error.errno or 0, _NOTHING)
            raise

    def _why_closed(self, second: bytes) -> Unsent | None:
        """Why nothing in the folder is served; None when that is not so. Looked up once a second,
        when a file was not found."""
        if second != self._looked:
            self._looked = second
            why = complaint(self._directory, self._release)
            self._closed = Unsent(why, odd=True) if why else None
        return self._closed

    def _names(self, path: bytes) -> list[bytes] | None:
        prefix = self._prefix
        if not prefix:
            return file_names(path)
        if not path.startswith(prefix):
            return None
        rest = path[len(prefix) :] or b"/"
        return file_names(rest) if rest[0] == 0x2F else None

    def _look_up(self, names: list[bytes], question: Question) -> Answer | Unsent:
        """Raises OSError."""
        root = self._root
        if question.date != self._second or (root is not None and not root.stands()):
            root = self._find(question.date)
        if root is None:
            return self._why_closed(question.date) or _NOTHING
        first = folder = root.descriptor
        try:
            for name in (*root.names, *names[:-1]):
                above, folder = folder, _enter(folder, name)
                if above != first:
                    os.close(above)
            if names[-1]:
                return _named(folder, names[-1], question, self._since)
            return _of_folder(folder, question, self._since)
        finally:
            if folder != first:
                os.close(folder)

    def _find(self, second: bytes) -> Root | None:
        """The top folder as it is now; None: there is none that may be served. Raises OSError."""
        self._root, self._second = None, b""  # its descriptor is closed, and a failure must not count for this second
        self._since = switched_at(self._release)  # before it is opened: later, the time could be that of the next
        try:
            self._root = find(served(self._directory, self._release))
        except TqunitsError:
            pass
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
        self._second = second
        return self._root


class _File(NamedTuple):
    """An open file or folder, and its status when it was opened."""

    descriptor: int
    status: os.stat_result

    @property
    def is_public(self) -> bool:
        """Whether it is a file that everybody may read."""
        return stat.S_ISREG(self.status.st_mode) and self.status.st_mode & stat.S_IROTH != 0

    @property
    def is_open_folder(self) -> bool:
        """Whether it is a folder that everybody may enter."""
        return stat.S_ISDIR(self.status.st_mode) and self.status.st_mode & stat.S_IXOTH != 0

    @property
    def objection(self) -> Unsent:
        """Why it is not sent: it is neither a file that everybody may read nor a folder with an
        index."""
        if stat.S_ISREG(self.status.st_mode):
            return _CLOSED_FILE
        if stat.S_ISDIR(self.status.st_mode):
            return _NO_INDEX if self.is_open_folder else _CLOSED_FOLDER
        return _NO_FILE


def _enter(above: int, name: bytes) -> int:
    """Open a folder below another. Raises OSError; ENOTDIR for a symbolic link, EACCES if others
    may not enter."""
    folder = os.open(name, _FOLDER, dir_fd=above)
    try:
        if os.fstat(folder).st_mode & stat.S_IXOTH:
            return folder
    except OSError:
        os.close(folder)
        raise
    os.close(folder)
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _named(folder: int, name: bytes, question: Question, since: int) -> Answer | Unsent:
    """The file of that name in a folder; a redirect to it with a slash, if it is a folder with an
    index. Raises OSError."""
    file = _open(folder, name)
    if file.is_public:
        return _send(folder, name, file, question, since)
    try:
        is_site = file.is_open_folder and _has_index(file.descriptor)
    finally:
        os.close(file.descriptor)
    return _bodiless(moved(question)) if is_site else file.objection


def _of_folder(folder: int, question: Question, since: int) -> Answer | Unsent:
    """The index of a folder. The URI must end with a slash, because relative links in the index
    depend on it."""
    if not question.target.path.endswith(b"/"):
        return _bodiless(moved(question)) if _has_index(folder) else _NO_INDEX
    index = _open_regular(folder, INDEX)
    return _NO_INDEX if index is None else _send(folder, INDEX, index, question, since)


def _send(folder: int, name: bytes, original: _File, question: Question, since: int) -> Answer:
    """Answer with the file or its sibling; close what is not used. Raises OSError."""
    media = media_of(name)
    file, coding = _sibling(folder, name, original, question) if media.shrinks else (original, None)
    status, head, span = reply(
        Representation(file.status.st_size, file.status.st_mtime_ns, media, coding, since),
        question,
    )
    if span.length:
        return Answer(status, head, file.descriptor, *span)
    os.close(file.descriptor)
    return Answer(status, head)


def _sibling(folder: int, name: bytes, file: _File, question: Question) -> tuple[_File, Coding | None]:
    """The compressed sibling that the client prefers, instead of the file; otherwise the file.
    Raises OSError.

    Their times are not compared, because copying a folder gives files any order. A program that
    writes a file anew has to write its siblings, too.
    """
    for coding in accepted(question.fields.values(b"accept-encoding")):
        try:
            sibling = _open_regular(folder, name + coding.suffix)
        except OSError:
            os.close(file.descriptor)
            raise
        if sibling is not None:
            os.close(file.descriptor)
            return sibling, coding
    return file, None


def _open(folder: int, name: bytes) -> _File:
    """Raises OSError; ELOOP for a symbolic link."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        return _File(descriptor, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise


def _open_regular(folder: int, name: bytes) -> _File | None:
    """The file, if everybody may read it; otherwise None. Raises OSError when the host fails."""
    try:
        file = _open(folder, name)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    if file.is_public:
        return file
    os.close(file.descriptor)
    return None


def _has_index(folder: int) -> bool:
    index = _open_regular(folder, INDEX)
    if index is not None:
        os.close(index.descriptor)
    return index is not None


def _bodiless(said: Reply) -> Answer:
    return Answer(said.status, said.head)
