"""The programs that `tqunits init` writes: the least that keeps the worker contract, for somebody
to begin from.

Each listens where its worker.yaml (start_files.py) says, sends a response at once and not its head
first (of two sends the second waits for the acknowledgement of the first: 40 ms on a kept TCP
connection), keeps connections, answers /health, and on SIGTERM finishes what it has begun. Nothing
but the runtime is needed; `{name}` is the worker's name.
"""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.model import WorkerType

_GO = r"""// The worker {name}: says hello.
package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func hello(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	io.WriteString(w, "hello from {name}\n")
}

func health(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "well\n")
}

func run() error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	listener, err := net.Listen("unix", os.Getenv("WORKER_SOCKET"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", hello)
	mux.HandleFunc("/health", health)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-stop.Done()
		stopped <- server.Shutdown(context.Background()) // waits for the requests that run
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return <-stopped
}

func main() {
	log.SetFlags(0) // the journal knows the time
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
"""

_PYTHON = r'''"""The worker {name}: says hello."""

import signal
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from weakref import WeakSet

PAGES = {"/": b"hello from {name}\n", "/health": b"well\n"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    wbufsize = -1  # buffered: head and body leave in one send

    def do_GET(self) -> None:
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # an unread body is no further request
        body = PAGES.get(self.path.partition("?")[0])
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def address_string(self) -> str:
        return "-"  # a Unix socket has no address of the other end

    def log_request(self, *_: object) -> None:
        pass  # the router logs requests; errors still go to stderr


class Server(ThreadingHTTPServer):
    daemon_threads = False  # at its end it waits for the requests that run

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket = listener
        self.connections: WeakSet[socket.socket] = WeakSet()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def server_close(self) -> None:
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # an idle one ends
        super().server_close()


with Server(socket.socket(fileno=3)) as server:  # from systemd: sd_listen_fds(3)
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
    server.serve_forever()
'''

_NODE = r"""// The worker {name}: says hello.
"use strict";

const http = require("node:http");

const pages = new Map([
  ["/", "hello from {name}\n"],
  ["/health", "well\n"],
]);

const server = http.createServer((request, response) => {
  const page = pages.get(request.url.split("?", 1)[0]);
  response.statusCode = page ? 200 : 404;
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(page ?? "not found\n");
});

server.listen(process.env.WORKER_SOCKET);

process.on("SIGTERM", () => {
  server.keepAliveTimeout = 1; // ms: a connection ends with the request that runs on it, and the process with the last
  server.close();
  server.closeIdleConnections();
});
"""

_BUN = r"""// The worker {name}: says hello.
const server = Bun.serve({
  unix: process.env.WORKER_SOCKET,
  routes: {
    "/": () => new Response("hello from {name}\n"),
    "/health": () => new Response("well\n"),
  },
  fetch: () => new Response("not found\n", { status: 404 }),
});

process.on("SIGTERM", async () => {
  await server.stop(); // waits for the requests that run
  process.exit();
});
"""

_PHP = r"""<?php

// The worker {name}: says hello. 'php -S' brings what is no file of public/ here.

declare(strict_types=1);

$page = match (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    '/' => "hello from {name}\n",
    '/health' => "well\n",
    default => null,
};

if ($page === null) {
    http_response_code(404);
}
header('Content-Type: text/plain; charset=utf-8');
echo $page ?? "not found\n";
"""

_JAVA = r"""import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/** The worker {name}: says hello. */
public final class Main {
    private static final Map<String, String> PAGES = Map.of("/", "hello from {name}\n", "/health", "well\n");

    public static void main(String[] arguments) throws IOException {
        System.setProperty("sun.net.httpserver.nodelay", "true"); // else a body waits 40 ms for its head's receipt
        int port = Integer.parseInt(System.getenv("WORKER_PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        ExecutorService threads = Executors.newCachedThreadPool();
        server.setExecutor(threads);
        server.createContext("/", Main::answer);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> finish(threads)));
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        String page = PAGES.get(exchange.getRequestURI().getPath());
        byte[] body = (page == null ? "not found\n" : page).getBytes(StandardCharsets.UTF_8);
        boolean isHead = exchange.getRequestMethod().equals("HEAD");
        try (exchange) {
            exchange.getResponseHeaders().set("Content-Type", "text/plain; charset=utf-8");
            exchange.sendResponseHeaders(page == null ? 404 : 200, isHead ? -1 : body.length);
            if (!isHead) {
                exchange.getResponseBody().write(body);
            }
        }
    }

    /** Waits for the requests that run; SIGKILL comes after timeouts.stop of worker.yaml. */
    private static void finish(ExecutorService threads) {
        threads.shutdown();
        try {
            threads.awaitTermination(1, TimeUnit.HOURS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
"""

_DENO = r"""// The worker {name}: says hello.
const pages = new Map([
  ["/", "hello from {name}\n"],
  ["/health", "well\n"],
]);

const server = Deno.serve(
  { path: Deno.env.get("WORKER_SOCKET")! },
  (request) => {
    const page = pages.get(new URL(request.url).pathname);
    return page
      ? new Response(page)
      : new Response("not found\n", { status: 404 });
  },
);

Deno.addSignalListener("SIGTERM", async () => {
  await server.shutdown(); // waits for the requests that run
  Deno.exit();
});
"""

_RUBY = r"""# frozen_string_literal: true

# The worker {name}: says hello.

PAGES = { "/" => "hello from {name}\n", "/health" => "well\n" }.freeze

run(lambda do |env|
  page = PAGES[env["PATH_INFO"]]
  [page ? 200 : 404, { "content-type" => "text/plain; charset=utf-8" }, [page || "not found\n"]]
end)
"""

_STATIC = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name}</title>
<h1>hello from {name}</h1>
"""

PROGRAMS: Mapping[WorkerType, Mapping[str, str]] = {
    WorkerType.GO: {"go.mod": "module {name}\n\ngo 1.19\n", "src/main.go": _GO},
    WorkerType.PYTHON: {"src/main.py": _PYTHON},
    WorkerType.NODE: {"src/main.js": _NODE},
    WorkerType.BUN: {"index.ts": _BUN},
    WorkerType.PHP: {"public/index.php": _PHP},
    WorkerType.JAVA: {"src/Main.java": _JAVA},
    WorkerType.DENO: {"main.ts": _DENO},
    WorkerType.RUBY: {"config.ru": _RUBY},
    WorkerType.STATIC: {"public/index.html": _STATIC},
}
"""Path below the worker's folder -> text. Of exec nobody knows more than its worker.yaml."""
