// A Deno program as a worker.
const go = `${Deno.env.get("STATE_DIRECTORY")}/go`;

Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, async (request) => {
  switch (new URL(request.url).pathname) {
    case "/health":
      return new Response("well");
    case "/slow":
      return new Response(await Deno.readTextFile(go));
    default:
      return new Response("deno");
  }
});
