"""What this host lacks to run a worker or to build it: the program, a compiler, a folder to
serve."""

from __future__ import annotations

import os
import shutil

from tqunits.config import php
from tqunits.light_dataclass import dataclass
from tqunits.model import Worker

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where systemd looks for a command without a slash (systemd.service(5), COMMAND LINES). A worker
and a build get the same PATH."""

_PACKAGES = {
    "go": "golang-go",
    "java": "default-jre-headless",
    "javac": "default-jdk-headless",
    "node": "nodejs",
    "npm": "npm",
    "php": "php-cli",
    "puma": "puma",
    "python3": "python3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Why a worker can not run on this host as it is, and what to do."""

    worker: str
    reason: str
    hint: str | None = None


def command_missing(worker: Worker) -> bool:
    """Whether the worker's own program (a command with a slash) is missing."""
    if not worker.command or "/" not in worker.command[0]:
        return False
    return not os.path.exists(worker.folder / worker.command[0])  # noqa: PTH110 - Path.exists() raises for some names


def lacking(worker: Worker) -> Lacking | None:
    """What the host lacks to run or build this worker; None when nothing."""
    if command_missing(worker):
        if not worker.build.command:
            return Lacking(
                worker=worker.name,
                reason=f"its command {worker.command[0]} does not exist",
                hint=f"build it, or give `build:` in {worker.source}",
            )
        return lacking_to_build(worker)
    missing = _program_missing(worker, worker.command[0], "to run it") if worker.command else None
    return missing or documents_missing(worker)


def documents_missing(worker: Worker) -> Lacking | None:
    """Whether the folder is missing that PHP's own server is to serve: the server would exit at
    once. A build may make the folder."""
    folder = php.served(worker.command)
    if folder is None or "$" in folder or worker.build.command or os.path.lexists(worker.folder / folder):
        return None
    hint = "make the folder, with index.php in it, or name another one: php.document_root, or -t in the command"
    return Lacking(worker=worker.name, reason=f"its folder {folder} does not exist, which php serves", hint=hint)


def is_missing(worker: Worker, path: str) -> bool:
    """Whether a path below the worker's folder is not there. What we may not look at counts as
    there."""
    try:
        os.lstat(worker.folder / path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def lacking_to_build(worker: Worker) -> Lacking | None:
    """What the host lacks to build this worker; None when nothing."""
    return _program_missing(worker, worker.build.command[0], "to build it")


def _program_missing(worker: Worker, program: str, purpose: str) -> Lacking | None:
    if "/" in program or shutil.which(program, path=SEARCH_PATH):
        return None
    package = _PACKAGES.get(program)
    hint = f"apt install {package}" if package else f"install {program} where systemd finds it: {SEARCH_PATH}"
    return Lacking(worker=worker.name, reason=f"{program} is not installed, which it needs {purpose}", hint=hint)
