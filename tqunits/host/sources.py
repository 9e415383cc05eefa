"""Finds and reads the files of the configuration, and finds out who can change them.
config/parse.py parses them.

Only regular files are read, and a symbolic link as the last component is not followed: root reads
these files and shows lines with errors, so a worker.yaml that is a link to /etc/shadow would show
that file. Reading never blocks (a FIFO is refused) and is bounded. A file that can not be read is a
finding like any other, so one run shows them all.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tqunits.config.findings import has_errors
from tqunits.config.parse import ServerResult, Text, WorkerText, parse_server, parse_workers
from tqunits.config.presets import BY_FILE
from tqunits.errors import ConfigurationError, Diagnostic, Mark, Severity
from tqunits.host.configuration_files import CONFIGURATION, DROP_INS, MAX_BYTES, MAX_DROP_INS, is_drop_in
from tqunits.layout import WORKER_YAML, Layout
from tqunits.light_dataclass import dataclass
from tqunits.model import Configuration, NotRoots
from tqunits.system.ownership import anchor, first_not_roots, open_below

MAX_WORKERS = 2000
"""Ten times what the product is for, and more than one port range holds."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Loaded:
    """`configuration` holds the workers without errors; None when tqunits.yaml has an error.

    `workers`: name -> worker.yaml, also of workers with errors. `not_roots`: the first file that
    others than root can change, among those that decide about all workers; with -C also among the
    workers' files.
    """

    configuration: Configuration | None
    diagnostics: tuple[Diagnostic, ...]
    workers: Mapping[str, PurePosixPath]
    not_roots: NotRoots | None = None

    def configured(self) -> Configuration:
        """The configuration. Raises ConfigurationError, with every finding, when there is none."""
        if self.configuration is None:
            raise ConfigurationError(self.diagnostics)
        return self.configuration

    def errors_of(self, names: Iterable[str]) -> tuple[Diagnostic, ...]:
        """The errors in the files of these workers."""
        paths = {str(self.workers[name]) for name in names}
        errors = (finding for finding in self.diagnostics if finding.severity is Severity.ERROR)
        return tuple(finding for finding in errors if finding.mark is not None and finding.mark.file in paths)

    def warnings_of(self, names: Collection[str]) -> tuple[Diagnostic, ...]:
        """The warnings in the files of these workers, and in the files that concern all workers."""
        others = {str(path) for name, path in self.workers.items() if name not in names}
        warnings = (finding for finding in self.diagnostics if finding.severity is Severity.WARNING)
        return tuple(finding for finding in warnings if finding.mark is None or finding.mark.file not in others)


@dataclass(frozen=True, slots=True)
class Edit:
    """A drop-in of tqunits.yaml as it would be; without content it would be gone."""

    path: Path
    content: bytes | None


def load(root: Path | None, layout: Layout, *, trust: bool = False, edit: Edit | None = None) -> Loaded:
    """Read everything below `root` (-C DIR), or from the layout's own folders. Errors and missing
    files are findings, never exceptions.

    `trust`: all requests in these files count as root's. `edit`: takes the place of that file. Who
    could change it is for the caller to find out.
    """
    findings: list[Diagnostic] = []
    server, not_roots = _server(root, layout, findings, edit)
    server = _judged(server, root, not_roots, trust=trust)
    found = _Workers(Path(server.server.workers.directory), findings)
    result = parse_workers(found.texts, server)
    configuration = None if has_errors(findings) else result.configuration
    if configuration is not None:
        configuration = replace(configuration, broken=tuple(sorted({*configuration.broken, *found.unread})))
    of_workers = (text.not_roots for text in found.texts) if root is not None else ()
    return Loaded(
        configuration=configuration,
        diagnostics=(*findings, *found.findings, *server.diagnostics, *result.diagnostics),
        workers={**found.unread, **{text.name: text.text.path for text in found.texts}},
        not_roots=None if trust else next((n for n in (not_roots, *of_workers) if n is not None), None),
    )


def workers_directory(root: Path | None, layout: Layout) -> Path:
    """The folder that contains the workers' folders; the default when tqunits.yaml has an error."""
    return Path(_server(root, layout, [])[0].server.workers.directory)


def drop_ins_folder(root: Path | None, layout: Layout) -> Path:
    """The folder of the drop-ins of tqunits.yaml."""
    return _configuration_folder(root, layout) / DROP_INS


def drop_in_content(path: Path) -> bytes | None:
    """What is in a drop-in of tqunits.yaml; None when it is not there.

    Raises ConfigurationError when it can not be read, or is a link.
    """
    findings: list[Diagnostic] = []
    text = _read(path, findings)
    if findings:
        raise ConfigurationError(tuple(findings))
    return None if text is None else text.content


def scaled_elsewhere(root: Path | None, layout: Layout, file: Path) -> Mapping[str, Mark | None]:
    """The workers of which tqunits.yaml and its drop-ins, except this one, say the number of
    instances; and where the number stands that counts."""
    found = _server(root, layout, [], Edit(file, None))[0].scale
    return {worker: value.origin.mark for worker, value in found.items()}


def _configuration_folder(root: Path | None, layout: Layout) -> Path:
    return Path(layout.configuration) if root is None else root / "config"


def _server(
    root: Path | None, layout: Layout, findings: list[Diagnostic], edit: Edit | None = None
) -> tuple[ServerResult, NotRoots | None]:
    folder = _configuration_folder(root, layout)
    main = _read(folder / CONFIGURATION, findings)
    drop_ins = _drop_ins(folder / DROP_INS, findings, edit)
    there = (text.path for text in (main, *drop_ins) if text is not None)
    read = [path for path in there if edit is None or Path(path) != edit.path]
    result = parse_server(
        main,
        drop_ins,
        source=PurePosixPath(folder / CONFIGURATION),
        root=None if root is None else PurePosixPath(root),
        workers=layout.workers,
    )
    if root is not None:
        read.append(PurePosixPath(root))
    not_roots = (found for path in read if (found := first_not_roots(path)) is not None)
    return result, next(not_roots, None)


def _judged(result: ServerResult, root: Path | None, not_roots: NotRoots | None, *, trust: bool) -> ServerResult:
    """The server, with who can change the way to the workers. Grants count only where they are
    root's."""
    server, findings = result.server, result.diagnostics
    way = first_not_roots(server.workers.directory)
    if server.grants and (root is not None or not_roots is not None or way is not None):
        why = str(not_roots or way or "this is not /etc/tqunits")
        message, hint = f"grants: none of them counts: {why}", "see 'tqunits docs grants'"
        findings = (*findings, _warning(server.origins["grants"].mark, message, hint))
        server = replace(server, grants={})
    server = replace(server, workers=replace(server.workers, not_roots=way), trusted=trust)
    return replace(result, server=server, diagnostics=findings)


def _drop_ins(folder: Path, findings: list[Diagnostic], edit: Edit | None) -> list[Text]:
    names = {name for name in _names(folder, findings) if is_drop_in(name)}
    if edit is not None:
        names = names - {edit.path.name} if edit.content is None else names | {edit.path.name}
    if len(names) > MAX_DROP_INS:
        findings.append(_error(folder, f"more than {MAX_DROP_INS} drop-ins", "put them together"))
    paths = (folder / name for name in sorted(names)[:MAX_DROP_INS])
    return [text for path in paths if (text := _drop_in(path, findings, edit)) is not None]


def _drop_in(path: Path, findings: list[Diagnostic], edit: Edit | None) -> Text | None:
    if edit is not None and edit.content is not None and path == edit.path:
        return Text(path=PurePosixPath(path), content=edit.content)
    return _read(path, findings)


class _Workers:
    """Reads the workers' files. A file that can not be read is an error of that worker. Without the
    folder there are no workers."""

    def __init__(self, directory: Path, common: list[Diagnostic]) -> None:
        self.texts: list[WorkerText] = []
        self.unread: dict[str, PurePosixPath] = {}
        self.findings: list[Diagnostic] = []
        names = [name for name in _names(directory, common, required=True) if not name.startswith(".")]
        if len(names) > MAX_WORKERS:
            common.append(_error(directory, f"more than {MAX_WORKERS} folders of workers", "the rest is not read"))
        for name in names[:MAX_WORKERS]:
            self._read(directory / name)

    def _read(self, folder: Path) -> None:
        source = folder / WORKER_YAML
        not_roots = first_not_roots(source)
        before = len(self.findings)
        text = _read(source, self.findings, by=_open_roots if not_roots is None else _open_workers)
        if text is not None:
            with suppress(OSError):  # the file has just been removed
                _warn_of_folders(folder, self.findings)
            here, present = PurePosixPath(folder), _present(folder)
            self.texts.append(
                WorkerText(name=folder.name, folder=here, text=text, not_roots=not_roots, present=present)
            )
        elif len(self.findings) > before:
            self.unread[folder.name] = PurePosixPath(source)
        else:
            self._look_elsewhere(folder, source)

    def _look_elsewhere(self, folder: Path, source: Path) -> None:
        """A worker.yaml in another place is an error: whoever put it there believes that it
        counts."""
        places = (source.with_suffix(".yml"), folder / "worker.yaml", folder / "worker.yml")
        found = next((place for place in places if os.path.isfile(place)), None)  # noqa: PTH113 - is_file() may raise
        if found is not None:
            words = ["mkdir", "-p", str(source.parent), "&&"] if found.parent != source.parent else []
            hint = " ".join(
                word if word == "&&" else shlex.quote(word) for word in [*words, "mv", str(found), str(source)]
            )
            self.findings.append(_error(found, f"this file is not read: a worker's is {WORKER_YAML}", hint))
            self.unread[folder.name] = PurePosixPath(found)


def _present(folder: Path) -> frozenset[str]:
    """Which of the files exist that presets depend on. They are not opened."""
    return frozenset(file for file, _ in BY_FILE.values() if os.path.lexists(f"{folder}/{file}"))


def _names(folder: Path, findings: list[Diagnostic], *, required: bool = False) -> list[str]:
    """The names in a folder, sorted. A missing folder counts as empty."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are enough
    except FileNotFoundError:
        if required:
            message = "the folder of the workers is not there"
            findings.append(_finding(Severity.WARNING, folder, message, "make it, or set workers.directory"))
    except OSError as error:
        findings.append(_error(folder, f"can not be read: {error.strerror}"))
    return []


def _open(path: Path) -> int:
    return os.open(path, _READ)


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _open_roots(path: Path) -> int:
    """Open a worker.yaml whose whole path has just been found to be root's: nobody else can have
    changed it since."""
    _refuse_link(path)
    return _open(path)


def _open_workers(path: Path) -> int:
    """Open a worker.yaml without following a link that another user made: it could lead to any
    file.

    The path was examined before it is opened. If only root can change it, it still leads to the
    same file. So root's file is read if and only if the worker counts as root's.
    """
    _refuse_link(path)
    with anchor(path) as found:
        if found.is_roots:
            return _open(path)
        try:
            return open_below(found.descriptor, found.rest, _READ)
        except NotADirectoryError:
            if not path.exists():
                raise
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def _read(path: Path, findings: list[Diagnostic], by: Callable[[Path], int] = _open) -> Text | None:
    """Read one file; None when it does not exist, or when it is a finding."""
    try:
        descriptor = by(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        reason = "is a symbolic link, which is not followed" if is_link else f"can not be read: {error.strerror}"
        findings.append(_error(path, reason, "put the file itself there" if is_link else None))
        return None
    try:
        return _content(path, descriptor, findings)
    finally:
        os.close(descriptor)


def _content(path: Path, descriptor: int, findings: list[Diagnostic]) -> Text | None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        findings.append(_error(path, "is no regular file"))
        return None
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        content = file.read(MAX_BYTES + 1)
    return _text(path, content, found.st_mode, findings)


def _text(path: Path, content: bytes, mode: int, findings: list[Diagnostic]) -> Text | None:
    if len(content) > MAX_BYTES:
        findings.append(_error(path, f"is larger than {MAX_BYTES // 1024} KiB"))
        return None
    by_others = bool(mode & (stat.S_IWGRP | stat.S_IWOTH))
    return Text(path=PurePosixPath(path), content=content, writable_by_others=by_others)


def _warn_of_folders(folder: Path, findings: list[Diagnostic]) -> None:
    """Warn of folders in which others may rename: they could put another worker.yaml in the place
    of this one."""
    for place in (f"{folder}/config", str(folder)):
        if os.stat(place).st_mode & (stat.S_IWGRP | stat.S_IWOTH):  # noqa: PTH116 - a Path costs more than the call
            message = "others may write in this folder: who can change its worker.yaml decides what runs here"
            findings.append(_finding(Severity.WARNING, Path(place), message, f"chmod go-w {place}"))


def _warning(mark: Mark | None, message: str, hint: str) -> Diagnostic:
    return Diagnostic(severity=Severity.WARNING, message=message, mark=mark, hint=hint)


def _error(path: Path, message: str, hint: str | None = None) -> Diagnostic:
    return _finding(Severity.ERROR, path, message, hint)


def _finding(severity: Severity, path: Path, message: str, hint: str | None) -> Diagnostic:
    return Diagnostic(severity=severity, message=message, mark=Mark(str(path), 1, 1), hint=hint)
