"""The files that `tqunits init` writes: a short worker.yaml to start from, and for Python a first program."""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.model import WorkerType

_YAML = """\
# {name}: what this worker is for.
# 'tqunits docs' explains every setting, 'tqunits check' checks this file.

path: /{name}  # and all below it
type: {type}
{program}
limits:                         # the kernel enforces them
  memory_max: 256M
  cpu_quota: 100%               # one CPU's time
  tasks_max: 128

health:
  path: /health                 # answers 200 when the worker is ready

#environment:
#  LOG_LEVEL: info
#credentials:                   # read as $CREDENTIALS_DIRECTORY/token
#  token: /etc/tqunits/secrets/{name}-token
"""

_PROGRAMS: Mapping[WorkerType, str] = {
    WorkerType.GO: "# built from ./src to bin/{name}; write 'build' and 'command' for another layout\n",
    WorkerType.PYTHON: "# command: python3 src/main.py; write 'command' for another\n",
    WorkerType.NODE: "# command: node src/main.js; write 'command' for another\n",
    WorkerType.BUN: "# command: bun run index.ts; write 'command' for another\n",
    WorkerType.PHP: "# command: php -S 127.0.0.1:$WORKER_PORT -t public; write 'command' for another\n",
    WorkerType.STATIC: "static:\n  directory: public\n",
    WorkerType.EXEC: 'command: ["bin/{name}"]         # listens on 127.0.0.1:$WORKER_PORT, ends on SIGTERM\n',
}

_PYTHON = '''\
"""The worker {name}: says hello."""

import os
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"well\\n" if self.path == "/health" else b"hello from {name}\\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["WORKER_PORT"])), Page).serve_forever()
'''


def starting_files(name: str, worker_type: WorkerType) -> Mapping[str, str]:
    """Path below the worker's folder -> content."""
    program = _PROGRAMS[worker_type].replace("{name}", name)
    yaml = _YAML.replace("{program}", program).replace("{type}", worker_type.value).replace("{name}", name)
    files = {"config/worker.yaml": yaml}
    if worker_type is WorkerType.PYTHON:
        files["src/main.py"] = _PYTHON.replace("{name}", name)
    return files
