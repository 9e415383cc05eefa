"""The configuration's files: which there are, their bytes, and whose they are. What they mean is config/parse.py's.

Regular files only, without following a symbolic link in the last component: root reads them and shows the lines that
are wrong, so a worker.yaml that is a link to /etc/shadow would show that. Reading never blocks (a FIFO is refused) and
is bounded. What can not be read is a finding like any other: one run shows them all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqunits.config.findings import has_errors
from tqunits.config.parse import ServerResult, Text, WorkerText, parse_server, parse_workers
from tqunits.errors import ConfigurationError, Diagnostic, Mark, Severity
from tqunits.model import Configuration, Layout
from tqunits.system.ownership import anchor, first_not_roots, open_below

MAX_BYTES = 1024 * 1024
"""A worker.yaml with every key is 4 KiB; a file this long is something else."""

MAX_WORKERS = 2000
"""Ten times what the product is for, and more than one port range holds."""

MAX_DROP_INS = 100
"""More drop-ins than that nobody overlooks."""

CONFIGURATION = "tqunits.yaml"
DROP_INS = "tqunits.yaml.d"

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Loaded:
    """`configuration` is None when there is any error. `workers`: name -> worker.yaml, of wrong ones too."""

    configuration: Configuration | None
    diagnostics: tuple[Diagnostic, ...]
    workers: Mapping[str, PurePosixPath]


def load(root: Path | None, layout: Layout) -> Loaded:
    """Read everything: below `root` (-C DIR), else the layout's own. Raises nothing for what the files say or lack."""
    findings: list[Diagnostic] = []
    server = _server(root, layout, findings)
    texts = [*_workers(Path(server.server.workers.directory), findings)]
    result = parse_workers(texts, server)
    found = (*findings, *server.diagnostics, *result.diagnostics)
    return Loaded(
        configuration=None if has_errors(found) else result.configuration,
        diagnostics=found,
        workers={text.name: text.text.path for text in texts},
    )


def load_or_raise(root: Path | None, layout: Layout) -> tuple[Configuration, tuple[Diagnostic, ...]]:
    """The same, for whoever needs a valid one. Raises ConfigurationError with every finding."""
    loaded = load(root, layout)
    if loaded.configuration is None:
        raise ConfigurationError(loaded.diagnostics)
    return loaded.configuration, loaded.diagnostics


def workers_directory(root: Path | None, layout: Layout) -> Path:
    """The folder of the workers' folders; the default when tqunits.yaml is wrong."""
    return Path(_server(root, layout, []).server.workers.directory)


def _server(root: Path | None, layout: Layout, findings: list[Diagnostic]) -> ServerResult:
    folder = Path(layout.configuration) if root is None else root / "config"
    main = _read(folder / CONFIGURATION, findings)
    drop_ins = [_read(path, findings) for path in _drop_ins(folder / DROP_INS, findings)]
    return parse_server(
        main,
        [text for text in drop_ins if text is not None],
        source=PurePosixPath(folder / CONFIGURATION),
        root=None if root is None else PurePosixPath(root),
    )


def _drop_ins(folder: Path, findings: list[Diagnostic]) -> list[Path]:
    names = [name for name in _names(folder, findings) if name.endswith(".yaml") and not name.startswith(".")]
    if len(names) > MAX_DROP_INS:
        findings.append(_error(folder, f"more than {MAX_DROP_INS} drop-ins", "put them together"))
    return [folder / name for name in names[:MAX_DROP_INS]]


def _workers(directory: Path, findings: list[Diagnostic]) -> Iterator[WorkerText]:
    names = [name for name in _names(directory, findings, required=True) if not name.startswith(".")]
    if len(names) > MAX_WORKERS:
        findings.append(_error(directory, f"more than {MAX_WORKERS} folders of workers", "the rest is not read"))
    for name in names[:MAX_WORKERS]:
        source = directory / name / "config" / "worker.yaml"
        not_roots = first_not_roots(source)
        text = _read(source, findings, by=_open_workers)
        if text is not None:
            with suppress(OSError):  # it has just been removed
                _warn_of_folders(directory, name, findings)
            yield WorkerText(name=name, folder=PurePosixPath(directory / name), text=text, not_roots=not_roots)
        elif source.with_suffix(".yml").is_file():
            hint = f"rename it to {source}"
            findings.append(_finding(Severity.WARNING, source.with_suffix(".yml"), "this file is not read", hint))


def _names(folder: Path, findings: list[Diagnostic], *, required: bool = False) -> list[str]:
    """The names in a folder, sorted; a folder that is not there is empty."""
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


def _open_workers(path: Path) -> int:
    """Open a worker.yaml. A link of somebody else's is followed nowhere on the way, or it could show any folder's.

    A path that is root's all the way leads to the same file at any time. So a worker that counts as root's is read from
    root's file, although it has been looked at before.
    """
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
    """One file; None when it is not there, or when it is a finding."""
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
    _warn_of_owner(path, found, findings)
    return _text(path, content, found.st_mode, findings)


def _text(path: Path, content: bytes, mode: int, findings: list[Diagnostic]) -> Text | None:
    if len(content) > MAX_BYTES:
        findings.append(_error(path, f"is larger than {MAX_BYTES // 1024} KiB"))
        return None
    by_others = bool(mode & (stat.S_IWGRP | stat.S_IWOTH))
    return Text(path=PurePosixPath(path), content=content, writable_by_others=by_others)


def _warn_of_folders(directory: Path, name: str, findings: list[Diagnostic]) -> None:
    """Whoever may rename in one of these folders may put another worker.yaml in the place of this one."""
    known = {(directory / name / "config" / "worker.yaml").lstat().st_uid}  # has been said of the file
    for folder in (directory / name / "config", directory / name):
        found = folder.stat()
        if found.st_uid not in known:
            _warn_of_owner(folder, found, findings)
            known.add(found.st_uid)
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            message = "others may write in this folder: who can change its worker.yaml decides what runs here"
            findings.append(_finding(Severity.WARNING, folder, message, f"chmod go-w {folder}"))


def _warn_of_owner(path: Path, found: os.stat_result, findings: list[Diagnostic]) -> None:
    """Root installs what it says, reads the credentials it names: its owner may as good as read what root may."""
    if found.st_uid not in _trusted():
        message = f"it belongs to uid {found.st_uid}, who so decides what runs here and which files root reads for it"
        findings.append(_finding(Severity.WARNING, path, message, f"chown root: {path}"))


def _trusted() -> frozenset[int]:
    """Root, who runs this, and who has become root for it by sudo(8)."""
    caller = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return frozenset({0, os.geteuid(), *([int(caller)] if caller.isdecimal() else [])})


def _error(path: Path, message: str, hint: str | None = None) -> Diagnostic:
    return _finding(Severity.ERROR, path, message, hint)


def _finding(severity: Severity, path: Path, message: str, hint: str | None) -> Diagnostic:
    return Diagnostic(severity=severity, message=message, mark=Mark(str(path), 1, 1), hint=hint)
