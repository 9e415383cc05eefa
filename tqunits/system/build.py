"""Build a worker whose command is missing: in a sandboxed transient unit, by a user that exists for the build alone.

A build runs other people's code (a compiler's plug-ins, a package's install script). So it never runs as root or as
the worker, and never sees a secret: systemd makes a user for it (DynamicUser=), gives it a copy of the worker's folder
to write in, limits it, and removes it. What a build that succeeded has made is copied back by us, as root's, file by
file (harvest.py): only files that were not there before, and never through a link. systemd.exec(5), DynamicUser= and
ProtectSystem=.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tqunits.errors import TimedOut, TqunitsError
from tqunits.model import Worker
from tqunits.system import files, harvest
from tqunits.system.process import Completed, run

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where systemd looks for a command without a slash (systemd.service(5), COMMAND LINES), and what a worker gets."""

BUILD_TIMEOUT_S = 900
"""A cold build of a large Go or Node program takes minutes, not a quarter of an hour."""

_STOP_S = 120
"""Beyond it: systemd ends a build that takes too long, with SIGTERM and, 90 s later, with SIGKILL."""

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - to look out for, not to write to

_PACKAGES = {"go": "golang-go", "node": "nodejs", "npm": "npm", "php": "php-cli", "python3": "python3", "bun": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Why a worker can not run on this host as it is, and what helps."""

    worker: str
    reason: str
    hint: str | None = None


def command_missing(worker: Worker) -> bool:
    """Whether the worker's own program (a command with a slash) still has to be built."""
    return bool(worker.command) and "/" in worker.command[0] and not Path(worker.folder / worker.command[0]).exists()


def lacking(worker: Worker) -> Lacking | None:
    """What the host lacks to run, or to build, this worker; None when nothing."""
    if command_missing(worker):
        if not worker.build:
            return Lacking(
                worker=worker.name,
                reason=f"its command {worker.command[0]} does not exist",
                hint=f"build it, or give `build:` in {worker.source}",
            )
        return _program_missing(worker, worker.build[0], "to build it")
    return _program_missing(worker, worker.command[0], "to run it") if worker.command else None


def build(worker: Worker, *, user_mode: bool) -> Lacking | None:
    """Run the worker's build; gives what went wrong, or None when its command exists now."""
    try:
        return _build_for_oneself(worker) if user_mode else _build_apart(worker)
    except TimedOut as error:
        return Lacking(worker=worker.name, reason=f"its build is not done: {error}")


def remains(worker: str | None) -> tuple[Path, ...]:
    """What systemd keeps of the builds of one worker, or (None) of all: the compilers' caches, and links to them."""
    name = "tqunits" if worker is None else f"tqunits/builds/{worker}"
    kept = (Path(f"/var/{kind}/private/{name}") for kind in ("lib", "cache"))
    links = (Path(f"/var/{kind}/{name}") for kind in ("lib", "cache") if worker is not None)
    return (*kept, *links)


def _program_missing(worker: Worker, program: str, purpose: str) -> Lacking | None:
    if "/" in program or shutil.which(program, path=SEARCH_PATH):
        return None
    package = _PACKAGES.get(program)
    hint = f"apt install {package}" if package else f"install {program} where systemd finds it: {SEARCH_PATH}"
    return Lacking(worker=worker.name, reason=f"{program} is not installed, which it needs {purpose}", hint=hint)


def _workspace(worker: Worker) -> Path:
    """Where DynamicUser= keeps a StateDirectory= (systemd.exec(5)): root's eyes only, besides the build's."""
    return Path("/var/lib/private/tqunits/builds") / worker.name


def _sandboxed(worker: Worker) -> list[str]:
    """systemd-run's command line for the build. The copy is made inside, by the build's own user."""
    state = f"tqunits/builds/{worker.name}"
    properties = {
        "Description": f"Build of worker {worker.name}",
        "DynamicUser": "yes",
        "StateDirectory": state,
        "CacheDirectory": state,  # this worker's alone: nobody plants an object file in another one's build
        "Environment": f"HOME=/var/lib/{state} GOCACHE=/var/cache/{state}/go npm_config_cache=/var/cache/{state}/npm",
        "ProtectSystem": "strict",
        "ProtectHome": "tmpfs" if _is_hidden(worker) else "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "ProtectProc": "invisible",
        "ProtectKernelTunables": "yes",
        "ProtectControlGroups": "yes",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "RestrictSUIDSGID": "yes",
        "CPUWeight": "20",
        "MemoryMax": "50%",
        "TasksMax": "1024",
        "RuntimeMaxSec": str(BUILD_TIMEOUT_S),  # systemd's, so that no build goes on behind our back
        "Slice": "tq.slice",
    }
    if _is_hidden(worker):
        properties["BindReadOnlyPaths"] = str(worker.folder)
    options = [f"--property={key}={value}" for key, value in properties.items()]
    # "$STATE_DIRECTORY" is the shell's, set by systemd; the folder and the build are arguments, never shell text.
    script = 'cd "$STATE_DIRECTORY" && rm -rf work && cp -R "$1" work && cd work && shift && exec "$@"'
    shell = ["/bin/sh", "-c", script, "build", str(worker.folder), *worker.build]
    return [
        "systemd-run",
        f"--unit=tq-build@{worker.name}",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        *options,
        *shell,
    ]


def _is_hidden(worker: Worker) -> bool:
    """Whether ProtectHome= or PrivateTmp= hides the worker's folder, so that it must be bound in."""
    return any(worker.folder.is_relative_to(folder) for folder in _HIDDEN)


def _build_for_oneself(worker: Worker) -> Lacking | None:
    return _outcome(worker, run(worker.build, working_directory=Path(worker.folder), timeout_s=BUILD_TIMEOUT_S))


def _build_apart(worker: Worker) -> Lacking | None:
    done = run(_sandboxed(worker), timeout_s=BUILD_TIMEOUT_S + _STOP_S)
    try:
        if done.returncode == 0:
            harvest.bring_home(_workspace(worker) / "work", Path(worker.folder), last=worker.command[0])
    except (TqunitsError, OSError) as error:
        return Lacking(worker=worker.name, reason=f"what its build made is not taken over: {error}")
    finally:
        files.remove_tree(_workspace(worker))
    return _outcome(worker, done)


def _outcome(worker: Worker, done: Completed) -> Lacking | None:
    if done.returncode == 0 and not command_missing(worker):
        return None
    why = f"exited with status {done.returncode}" if done.returncode else f"did not make {worker.command[0]}"
    return Lacking(worker=worker.name, reason=f"its build {why}", hint=_tail(done.stderr or done.stdout))


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-10:])
