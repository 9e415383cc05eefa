"""What a worker's type, or the program of its command, presets: YAML texts by dotted key. `{name}`
stands for the worker's name.

A preset overrides the table's defaults; `defaults:` of tqunits.yaml and worker.yaml override a
preset. The program counts only if no type but exec is written: a written type is the author's
choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tqunits.config import programs
from tqunits.model import Fetch, Profile, WorkerType

_JIT = {"sandbox": "jit"}

_WHOLE = {"proxy.buffer_requests": "true"}
"""PHP's built-in server and most WSGI servers find a request's body by Content-Length, and see no
chunked one."""

PRESETS: Mapping[WorkerType, Mapping[str, str]] = {
    WorkerType.GO: {"build.command": "[go, build, -o, bin/{name}, ./src]", "command": "[bin/{name}]"},
    WorkerType.PYTHON: {"command": "[python3, src/main.py]", **_WHOLE},
    WorkerType.NODE: {"command": "[node, src/main.js]", **_JIT},
    WorkerType.BUN: {"command": "[bun, run, index.ts]", **_JIT},
    WorkerType.DENO: {"command": "[deno, run, --allow-net, --allow-env, --allow-read, main.ts]", **_JIT},
    WorkerType.JAVA: {"command": "[java, -cp, bin, Main]", **_JIT},
    WorkerType.RUBY: {"command": '[puma, --bind, "tcp://127.0.0.1:${WORKER_PORT}"]'},
    WorkerType.PHP: {
        "command": '[php, -q, -d, error_log=syslog, -S, "127.0.0.1:${WORKER_PORT}", -t, public]',
        **_WHOLE,
    },
    WorkerType.STATIC: {},
    WorkerType.EXEC: {},
}

BY_FILE: Mapping[WorkerType, tuple[str, Mapping[str, str]]] = {
    WorkerType.NODE: ("package-lock.json", {"build.command": "[npm, rebuild]"}),
    WorkerType.JAVA: ("src/Main.java", {"build.command": "[javac, -d, bin, src/Main.java]"}),
}
"""What a type presets besides, if the worker's folder has this file: a worker without dependencies
needs no build."""

BY_PROGRAM: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("node", "nodejs", "npm", "npx", "yarn", "pnpm", "bun", "bunx", "deno", "java", "dotnet"), _JIT),
    **dict.fromkeys(("php", "gunicorn", "waitress-serve", "flask", "django-admin"), _WHOLE),
}
"""What a program presets, by its name (config/programs.py)."""

FETCHES: Mapping[WorkerType, Fetch] = {
    WorkerType.NODE: Fetch(
        needs="package-lock.json",
        command=("npm", "ci", "--ignore-scripts"),
        offline=(("npm_config_offline", "true"),),
    ),
    WorkerType.GO: Fetch(needs="go.sum", command=("go", "mod", "download"), offline=(("GOPROXY", "off"),)),
}
"""The first step of a preset build, which loads dependencies. It runs none of the loaded code: only
the build does, which has no network."""


def of_program(worker_type: WorkerType, command: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """The name of the command's program, and what it presets for a worker of that type."""
    program = programs.program(command) if worker_type is WorkerType.EXEC else None
    return (program.name, BY_PROGRAM.get(program.name, {})) if program is not None else ("", {})


def of_sandbox(worker_type: WorkerType, command: Sequence[str]) -> Profile:
    """The preset profile, to which relaxations without a profile are added."""
    _, texts = of_program(worker_type, command)
    return Profile({**PRESETS[worker_type], **texts}.get("sandbox", Profile.STANDARD))
