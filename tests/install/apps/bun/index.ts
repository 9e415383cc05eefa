// A Bun program as a worker.
import { readFile } from "node:fs/promises";

Bun.serve({
  hostname: "127.0.0.1",
  port: process.env.PORT,
  idleTimeout: 60,
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/health":
        return new Response("well");
      case "/slow":
        return new Response(await readFile(`${process.env.STATE_DIRECTORY}/go`));
      default:
        return new Response("bun");
    }
  },
});
