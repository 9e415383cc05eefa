"""What bench/init compares with: the hello-world server of each runtime's own documentation, on a
port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tqunits.model import WorkerType


@dataclass(frozen=True, slots=True)
class Hello:
    """A program. `{port}` in its command and its text is the port."""

    file: str
    text: str
    command: Sequence[str]
    build: Sequence[str] = ()


HELLOS: Mapping[WorkerType, Hello] = {
    WorkerType.GO: Hello(  # net/http, ListenAndServe
        "main.go",
        """package main

import (
	"io"
	"log"
	"net/http"
)

func main() {
	helloHandler := func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "Hello, world!\\n")
	}
	http.HandleFunc("/", helloHandler)
	log.Fatal(http.ListenAndServe("127.0.0.1:{port}", nil))
}
""",
        ["./hello"],
        ["go", "build", "-o", "hello", "main.go"],
    ),
    WorkerType.PYTHON: Hello(  # http.server; with its backlog of 5 it loses connections at this load
        "hello.py",
        """from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"Hello, world!\\n")

ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
""",
        ["python3", "hello.py"],
    ),
    WorkerType.NODE: Hello(  # Introduction to Node.js
        "hello.js",
        """const { createServer } = require('node:http');

const server = createServer((req, res) => {
  res.statusCode = 200;
  res.setHeader('Content-Type', 'text/plain');
  res.end('Hello World');
});

server.listen({port}, '127.0.0.1');
""",
        ["node", "hello.js"],
    ),
    WorkerType.BUN: Hello(  # Bun.serve
        "hello.ts",
        """Bun.serve({
  hostname: "127.0.0.1",
  port: {port},
  routes: { "/": () => new Response("Welcome to Bun!") },
});
""",
        ["bun", "run", "hello.ts"],
    ),
    WorkerType.PHP: Hello("index.php", '<?php\necho "Hello World";\n', ["php", "-S", "127.0.0.1:{port}", "-t", "."]),
    WorkerType.JAVA: Hello(  # package com.sun.net.httpserver
        "Hello.java",
        """import com.sun.net.httpserver.*;
import java.io.*;
import java.net.*;

class Hello {
    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", {port}), 0);
        server.createContext("/", t -> {
            String response = "This is the response";
            t.sendResponseHeaders(200, response.length());
            OutputStream os = t.getResponseBody();
            os.write(response.getBytes());
            os.close();
        });
        server.setExecutor(null); // creates a default executor
        server.start();
    }
}
""",
        ["java", "-cp", ".", "Hello"],
        ["javac", "Hello.java"],
    ),
    WorkerType.DENO: Hello(  # Deno.serve
        "hello.ts",
        'Deno.serve({ hostname: "127.0.0.1", port: {port} }, () => new Response("Hello, world"));\n',
        ["deno", "run", "--allow-net", "hello.ts"],
    ),
    WorkerType.RUBY: Hello(
        "config.ru",
        'run ->(env) { [200, {"content-type" => "text/plain"}, ["Hello, world"]] }\n',
        ["puma", "--bind", "tcp://127.0.0.1:{port}"],
    ),
}
