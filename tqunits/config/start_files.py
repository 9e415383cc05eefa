"""The files that `tqunits init` writes: a short worker.yaml, and the smallest program that fulfils
the worker contract."""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.config.start_programs import PROGRAMS
from tqunits.layout import WORKER_YAML
from tqunits.model import WorkerType

_YAML = """\
# {name}: what this worker is for.
# 'tqunits docs' explains every setting, 'tqunits check' checks this file.

path: /{name}  # and all below it; the worker sees what follows
type: {type}
"""

_MORE = """\

# Take the '#' away from a setting to set it.
#health: {path: /health}  # answers 200 when the worker is ready
#limits: {memory_max: 512M, cpu_quota: 100%, tasks_max: 512}  # the kernel enforces them; 100% is one CPU's time
#credentials: {token: /etc/tqunits/secrets/{name}-token}  # read as $CREDENTIALS_DIRECTORY/token
"""

_ENVIRONMENT = """\
#environment: {LOG_LEVEL: info}
"""

_UNIX = """\
listen: unix  # on the socket $WORKER_SOCKET, which no other user can take; tcp: on $WORKER_PORT
"""
_HANDED = """\
listen: fd  # on a socket that systemd keeps open through a restart; tcp: on $WORKER_PORT
"""

_SETTINGS: Mapping[WorkerType, str] = {
    WorkerType.GO: f"# built from ./src to bin/{{name}}; write 'build' and 'command' for another layout\n{_UNIX}",
    WorkerType.PYTHON: f"# command: python3 src/main.py; write 'command' for another\n{_HANDED}",
    WorkerType.NODE: f"# command: node src/main.js; write 'command' for another\n{_UNIX}",
    WorkerType.BUN: f"# command: bun run index.ts; write 'command' for another\n{_UNIX}",
    WorkerType.PHP: """\
# command: php -S 127.0.0.1:${WORKER_PORT} -t public; write 'command' for another
environment: {PHP_CLI_SERVER_WORKERS: "2"}  # and one more process: three requests at a time; without it, one
stop_signal: SIGINT  # 'php -S' finishes what runs; SIGTERM would cut it off
""",
    WorkerType.JAVA: "# built from src/Main.java to bin; command: java -cp bin Main; write both for another layout\n",
    WorkerType.DENO: f"""\
command: [deno, run, --allow-net, --allow-env, --allow-read, "--allow-write=${{WORKER_SOCKET}}", main.ts]
{_UNIX}""",
    WorkerType.RUBY: f"""\
command: [puma, --bind, "unix://${{WORKER_SOCKET}}"]  # it runs config.ru
{_UNIX}""",
    WorkerType.STATIC: "# the router sends the files of public/, which everybody may read; no program runs\n",
    WorkerType.EXEC: 'command: ["bin/{name}"]  # listens on 127.0.0.1:$WORKER_PORT, finishes what runs on SIGTERM\n',
}
"""The settings for the program of start_programs.py. It listens on a Unix socket where it can: any
user could take a free port first, but the socket is the worker's own."""


def starting_files(name: str, worker_type: WorkerType) -> Mapping[str, str]:
    """Path below the worker's folder -> content."""
    yaml = _YAML.replace("{type}", worker_type.value) + _SETTINGS[worker_type]
    if worker_type is not WorkerType.STATIC:
        yaml += _MORE
    if "\nenvironment:" not in yaml and worker_type is not WorkerType.STATIC:
        yaml += _ENVIRONMENT
    files = {WORKER_YAML: yaml, **PROGRAMS.get(worker_type, {})}
    return {path: text.replace("{name}", name) for path, text in files.items()}
