"""A Flask application that accepts a million bytes: a larger body is answered with 413 before it is
read."""

from __future__ import annotations

from flask import Flask, request

application = Flask(__name__)
application.config["MAX_CONTENT_LENGTH"] = 1_000_000


@application.post("/upload")
def take() -> str:
    return str(len(request.get_data()))


@application.errorhandler(413)
def refuse(_error: Exception) -> tuple[str, int]:
    return "refused", 413
