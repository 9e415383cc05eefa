// An Express application as a worker.
const express = require("express");
const { readFile } = require("node:fs/promises");

const app = express();
app.get("/", (_, response) => response.send(`express in ${app.get("env")}`));
app.get("/health", (_, response) => response.send("well"));
app.get("/slow", async (_, response) => response.send(await readFile(`${process.env.STATE_DIRECTORY}/go`)));
app.listen(process.env.PORT, "127.0.0.1");
