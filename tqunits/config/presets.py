"""What a worker's type presets: YAML texts by dotted key; `{name}` is the worker's name.

A preset wins over the table's defaults and loses against `defaults:` of tqunits.yaml and against worker.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.model import Fetch, WorkerType

_JIT = {"sandbox": "jit"}

_WHOLE = {"proxy.buffer_requests": "true"}
"""PHP's own server and most of WSGI know of a body by its Content-Length, and see none in what comes in chunks."""

PRESETS: Mapping[WorkerType, Mapping[str, str]] = {
    WorkerType.GO: {"build.command": "[go, build, -o, bin/{name}, ./src]", "command": "[bin/{name}]"},
    WorkerType.PYTHON: {"command": "[python3, src/main.py]", **_WHOLE},
    WorkerType.NODE: {"command": "[node, src/main.js]", **_JIT},
    WorkerType.BUN: {"command": "[bun, run, index.ts]", **_JIT},
    WorkerType.PHP: {"command": '[php, -S, "127.0.0.1:${WORKER_PORT}", -t, public]', **_WHOLE},
    WorkerType.STATIC: {},
    WorkerType.EXEC: {},
}

BY_FILE: Mapping[WorkerType, tuple[str, Mapping[str, str]]] = {
    WorkerType.NODE: ("package-lock.json", {"build.command": "[npm, rebuild]"}),
}
"""What a type presets besides, where the worker's folder has this file: who has no dependencies needs no build."""

FETCHES: Mapping[WorkerType, Fetch] = {
    WorkerType.NODE: Fetch(
        needs="package-lock.json",
        command=("npm", "ci", "--ignore-scripts"),
        offline=(("npm_config_offline", "true"),),
    ),
    WorkerType.GO: Fetch(needs="go.sum", command=("go", "mod", "download"), offline=(("GOPROXY", "off"),)),
}
"""The first step of a preset build. It runs no code of what it loads, so that only who has no network does."""
