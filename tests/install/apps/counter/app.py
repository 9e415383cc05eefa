"""A Flask application that counts in Redis."""

import os
from pathlib import Path

import redis
from flask import Flask

app = Flask(__name__)
store = redis.Redis()


@app.get("/")
def count() -> str:
    return f"request {store.incr('requests')}"


@app.get("/health")
def health() -> str:
    store.ping()
    return "well"


@app.get("/slow")
def slow() -> str:
    return Path(os.environ["STATE_DIRECTORY"], "go").read_text()
