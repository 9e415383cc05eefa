// admin: a worker in Node 18 or later, no packages; copy it and begin.
//
// It shows what its process uses. With the credential `admin_password` (see worker.yaml) it asks for that password.
// It listens where it is told, answers /health, logs one JSON line per request, and on SIGTERM finishes what it has begun.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const { WORKER_PORT, WORKER_SOCKET, WORKER_ROUTE = "/", CREDENTIALS_DIRECTORY } = process.env;
const IDLE_MS = 150_000; // longer than the router's timeouts.idle (120 s): the side that sends the requests closes first
const SLOW_MS = 1_000;
const CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// One line of JSON; the journal takes <N> as its priority and removes it (sd-daemon(3)). Synchronous: none is lost.
function log(priority, message, fields = {}) {
  fs.writeSync(2, `<${priority}>${JSON.stringify({ message, ...fields })}\n`);
}

function escape(text) {
  return String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

// The password, or null when worker.yaml gives none: the page is open then.
function readPassword() {
  if (!CREDENTIALS_DIRECTORY) return null;
  try {
    return fs.readFileSync(path.join(CREDENTIALS_DIRECTORY, "admin_password"), "utf8").trim();
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

const password = readPassword();

// Digests have one length and tell nothing by the time it takes to compare them.
function allowed(request) {
  if (password === null) return true;
  const [scheme, value = ""] = (request.headers.authorization ?? "").split(" ", 2);
  const given = Buffer.from(value, "base64").toString().replace(/^[^:]*:/, "");
  const digest = (text) => crypto.createHash("sha256").update(text).digest();
  return scheme.toLowerCase() === "basic" && crypto.timingSafeEqual(digest(given), digest(password));
}

function page(request) {
  const prefix = (request.headers["x-forwarded-prefix"] ?? WORKER_ROUTE).replace(/\/$/, "");
  const memory = process.memoryUsage();
  const rows = {
    process: process.pid,
    node: process.version,
    "up for": `${Math.round(process.uptime())} s`,
    "resident memory": `${Math.round(memory.rss / 1048576)} MiB`,
    heap: `${Math.round(memory.heapUsed / 1048576)} MiB`,
  };
  const cells = Object.entries(rows).map(([name, value]) => `<tr><th>${escape(name)}<td>${escape(value)}`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>admin</title><h1>admin</h1>
<table>${cells.join("")}</table><p><a href="${escape(prefix)}/slow">slow</a></html>\n`;
}

function answer(request, response, status, type, text, headers = {}) {
  const body = request.method === "HEAD" ? "" : text;
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(text),
    "Content-Security-Policy": CSP,
    ...headers,
    ...(server.listening ? {} : { Connection: "close" }),
  });
  response.end(body);
  log(6, "request", { method: request.method, path: request.url, status });
}

function serve(request, response) {
  const reply = (...rest) => answer(request, response, ...rest);
  request.resume(); // no route reads a body
  const route = request.url.split("?", 1)[0];
  if (route === "/health") return reply(200, "text/plain", "ok\n");
  if (!["GET", "HEAD"].includes(request.method)) return reply(405, "text/plain", "GET only\n", { Allow: "GET, HEAD" });
  if (!allowed(request)) return reply(401, "text/plain", "who are you?\n", { "WWW-Authenticate": "Basic realm=admin" });
  if (route === "/slow") return setTimeout(() => reply(200, "text/plain", "ok\n"), SLOW_MS);
  if (route === "/") return reply(200, "text/html; charset=utf-8", page(request), { "Cache-Control": "no-store" });
  return reply(404, "text/plain", "not found\n");
}

const server = http.createServer(
  { keepAliveTimeout: IDLE_MS, headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 65_536 },
  serve,
);

if (WORKER_SOCKET) fs.rmSync(WORKER_SOCKET, { force: true }); // left by a crash
server.listen(WORKER_SOCKET ? { path: WORKER_SOCKET } : { host: "127.0.0.1", port: Number(WORKER_PORT) }, () => {
  if (WORKER_SOCKET) fs.chmodSync(WORKER_SOCKET, 0o660); // the folder's group is the router's
  log(6, "listening", { address: server.address() });
  if (password === null) log(5, "no credential admin_password: everybody may look");
});

process.on("SIGTERM", () => {
  server.close(() => log(6, "stopped")); // no new connections; with the last one gone, the process ends
  server.closeIdleConnections();
});
