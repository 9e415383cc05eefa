"""A Flask application as a worker: it answers with its name, has a health check, and answers /slow
when the test wants."""

import os
from pathlib import Path

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    print("asked")
    return "flask"


@app.get("/health")
def health() -> str:
    return "well"


@app.get("/slow")
def slow() -> str:
    return Path(os.environ["STATE_DIRECTORY"], "go").read_text()
