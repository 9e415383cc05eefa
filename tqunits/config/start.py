"""The files that `tqunits init` writes: a short worker.yaml, and the smallest program that keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.model import WorkerType

_YAML = """\
# {name}: what this worker is for.
# 'tqunits docs' explains every setting, 'tqunits check' checks this file.

path: /{name}  # and all below it
type: {type}
{program}{listen}
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
    WorkerType.DENO: "# command: deno run with leave to listen, main.ts; write 'command' for another\n",
    WorkerType.JAVA: "# src/Main.java is built to bin, command: java -cp bin Main; write 'command' for another\n",
    WorkerType.RUBY: "# command: puma, with config.ru; write 'command' for another\n",
    WorkerType.PHP: "# command: php -S 127.0.0.1:${WORKER_PORT} -t public; write 'command' for another\n",
    WorkerType.STATIC: "static:\n  directory: public\n",
    WorkerType.EXEC: 'command: ["bin/{name}"]         # listens on 127.0.0.1:$WORKER_PORT, ends on SIGTERM\n',
}

_UNIX = """\
listen: unix                    # on the socket $WORKER_SOCKET, which no other user can take; tcp: on $WORKER_PORT
"""
_HANDED = """\
listen: fd                      # on a socket that systemd keeps open through a restart; tcp: on $WORKER_PORT
"""

_LISTEN: Mapping[WorkerType, str] = {
    WorkerType.GO: _UNIX,
    WorkerType.PYTHON: _HANDED,
    WorkerType.NODE: _UNIX,
    WorkerType.BUN: _UNIX,
}
"""What the program below does. A port belongs to whoever binds it first, a socket to the worker."""

_PYTHON = '''\
"""The worker {name}: says hello."""

import os
import signal
import socket
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

    def address_string(self) -> str:
        return "-"  # a Unix socket has no address of the other end


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = ThreadingHTTPServer(("", 0), Page, bind_and_activate=False)
server.socket = socket.socket(fileno=3)  # what systemd hands over begins with 3: sd_listen_fds(3)
server.serve_forever()
'''


_GO = """\
// The worker {name}: says hello.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "well") })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello from {name}") })
	listener, err := net.Listen("unix", os.Getenv("WORKER_SOCKET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := &http.Server{}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	<-stop.Done()
	server.Shutdown(context.Background())
}
"""

_NODE = """\
// The worker {name}: says hello.
const http = require("node:http");

const server = http.createServer((request, response) => {
  response.setHeader("Content-Type", "text/plain");
  response.end(request.url === "/health" ? "well\\n" : "hello from {name}\\n");
});
server.listen(process.env.WORKER_SOCKET);
process.on("SIGTERM", () => server.close(() => process.exit(0)));
"""

_BUN = """\
// The worker {name}: says hello.
const server = Bun.serve({
  unix: process.env.WORKER_SOCKET,
  fetch: (request) => new Response(new URL(request.url).pathname === "/health" ? "well\\n" : "hello from {name}\\n"),
});
process.on("SIGTERM", () => server.stop().then(() => process.exit(0)));
"""

_PHP = """\
<?php // The worker {name}: says hello. 'php -S' gives this file every path that is no file of public/.
header("Content-Type: text/plain");
echo $_SERVER["REQUEST_URI"] === "/health" ? "well\\n" : "hello from {name}\\n";
"""

_SOURCES: Mapping[WorkerType, Mapping[str, str]] = {
    WorkerType.GO: {"go.mod": "module {name}\n\ngo 1.19\n", "src/main.go": _GO},
    WorkerType.PYTHON: {"src/main.py": _PYTHON},
    WorkerType.NODE: {"src/main.js": _NODE},
    WorkerType.BUN: {"index.ts": _BUN},
    WorkerType.PHP: {"public/index.php": _PHP},
}


def starting_files(name: str, worker_type: WorkerType) -> Mapping[str, str]:
    """Path below the worker's folder -> content."""
    program = _PROGRAMS[worker_type].replace("{name}", name)
    yaml = (
        _YAML.replace("{program}", program)
        .replace("{listen}", _LISTEN.get(worker_type, ""))
        .replace("{type}", worker_type.value)
    )
    files = {"config/worker.yaml": yaml, **_SOURCES.get(worker_type, {})}
    return {path: text.replace("{name}", name) for path, text in files.items()}
