"""Helpers that parse texts; they return the model and the findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from tqunits.config.parse import ServerResult, Text, WorkersResult, WorkerText, parse_server, parse_workers
from tqunits.errors import Diagnostic, Severity
from tqunits.model import Worker

SERVER = PurePosixPath("/etc/tqunits/tqunits.yaml")
WORKERS = PurePosixPath("/srv/tqunits/workers")


_SESSIONS = ("-d", "session.save_path=${STATE_DIRECTORY}", "-d", "session.gc_probability=1")
SANDBOXED = (*_SESSIONS, "-d", "pcre.jit=0", "-d", "opcache.jit_buffer_size=0")
"""The options that PHP gets in the sandboxes that it has by default."""

QUIET = ("-q", "-d", "error_log=syslog")
"""The options in the command of its type, before those that `php:` sets."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A file, and the only error that it must give."""

    yaml: str
    line: int
    column: int
    message: str
    hint: str | None


def text(path: str | PurePosixPath, content: str | bytes, *, writable_by_others: bool = False) -> Text:
    """A file."""
    raw = content.encode() if isinstance(content, str) else content
    return Text(path=PurePosixPath(path), content=raw, writable_by_others=writable_by_others)


def worker_text(name: str, content: str | bytes) -> WorkerText:
    """A worker's file; findings call it NAME.yaml, for short."""
    return WorkerText(name=name, folder=WORKERS / name, text=text(f"{name}.yaml", content), not_roots=None)


def server(content: str = "", *drop_ins: str) -> ServerResult:
    """tqunits.yaml and its drop-ins."""
    extra = [text(f"{at}.yaml", drop_in) for at, drop_in in enumerate(drop_ins)]
    return parse_server(text("tqunits.yaml", content), extra, source=SERVER, root=None)


def workers(contents: dict[str, str], common: str = "") -> WorkersResult:
    """Several workers, and tqunits.yaml."""
    return parse_workers([worker_text(name, content) for name, content in contents.items()], server(common))


def api(content: str | bytes) -> WorkersResult:
    """One worker, called api."""
    return parse_workers([worker_text("api", content)], server())


def valid(content: str, common: str = "") -> Worker:
    """The only worker, which is valid."""
    result = workers({"api": content}, common)
    assert result.configuration is not None, shown(result.diagnostics)
    return result.configuration.workers[0]


def shown(findings: tuple[Diagnostic, ...]) -> list[tuple[str, str, str | None]]:
    """Place, message and hint of each finding."""
    return [(str(f.mark), f.message, f.hint) for f in findings]


def errors(findings: tuple[Diagnostic, ...]) -> list[tuple[str, str, str | None]]:
    """Place, message and hint of each error."""
    return shown(tuple(f for f in findings if f.severity is Severity.ERROR))
