"""A FastAPI application as a worker."""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI(default_response_class=PlainTextResponse)


@app.get("/")
async def hello() -> str:
    return "fastapi"


@app.get("/health")
async def health() -> str:
    return "well"


@app.get("/slow")
def slow() -> str:
    return Path(os.environ["STATE_DIRECTORY"], "go").read_text()
