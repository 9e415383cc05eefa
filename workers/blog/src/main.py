"""blog: a worker with state and sessions, in Python's standard library; copy it and begin.

Sign in with any name, leave a comment. What it shows: state that survives a restart
(StateDirectory=), sessions that several replicas share (Redis), and forms that neither another site
nor a hostile comment can abuse.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable
from html import escape
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from server import Connection, log, serve
from state import LIFETIME, Database, sessions

ROUTE = os.environ.get("WORKER_ROUTE", "/")
FOLDER = Path(os.environ.get("STATE_DIRECTORY", ".").split(":")[0])  # systemd joins several with ":"
MAX_NAME, MAX_TEXT = 40, 1000  # characters
PREFIX = re.compile(r"(/[A-Za-z0-9._~%-]+)*")  # goes into headers: nothing else may
HTML = "text/html; charset=utf-8"
SAFE = {
    "Content_Security_Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X_Content_Type_Options": "nosniff",
    "Cache_Control": "no-store",
}
HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><title>blog</title><h1>blog</h1>\n'
FORM = """<form method="post" action="{at}/{action}">
<label>{label} <input name="value" required maxlength="{limit}"></label><button>Send</button></form>
"""

DATABASE = Database(FOLDER)
SESSIONS = sessions(DATABASE)


class Blog(Connection):
    """GET / reads; POST /session signs in; POST /comment writes."""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/health":  # tells about this process: a restart would not cure a Redis that is away
                self.answer(200, "text/plain", "ok\n")
            case "/slow":
                time.sleep(1)  # a restart meanwhile loses nothing
                self.answer(200, "text/plain", "ok\n")
            case "/":
                self.guarded(self.page)
            case _:
                self.answer(404, "text/plain", "not found\n")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.body()
        if body is None:
            return
        action = {"/session": self.sign_in, "/comment": self.comment}.get(self.path)
        value = field(body)
        if action is None:
            self.answer(404, "text/plain", "not found\n")
        elif not self.same_origin():
            self.answer(403, "text/plain", "not from this page\n")
        elif not value:
            self.answer(400, "text/plain", "nothing to say\n")
        else:
            self.guarded(lambda: action(value))

    def page(self) -> None:
        name = self.visitor()
        comments = "".join(f"<p><b>{escape(who)}</b>: {escape(text)}" for who, text in DATABASE.comments())
        action, label, limit = ("comment", f"{name} says", MAX_TEXT) if name else ("session", "Your name", MAX_NAME)
        form = FORM.format(at=escape(self.prefix()), action=action, label=escape(label), limit=limit)
        self.answer(200, HTML, HEAD + form + comments + "</html>\n", **SAFE)

    def sign_in(self, name: str) -> None:
        token = secrets.token_urlsafe(32)
        SESSIONS.put(token, name[:MAX_NAME])
        secure = "; Secure" if self.headers.get("X-Forwarded-Proto") == "https" else ""
        cookie = f"session={token}; Path={self.prefix()}/; Max-Age={LIFETIME}; HttpOnly; SameSite=Strict{secure}"
        self.answer(303, "text/plain", "", Location=f"{self.prefix()}/", Set_Cookie=cookie)

    def comment(self, text: str) -> None:
        name = self.visitor()
        if name is None:
            return self.answer(403, "text/plain", "sign in first\n")
        DATABASE.add_comment(name, text)
        return self.answer(303, "text/plain", "", Location=f"{self.prefix()}/")

    def guarded(self, action: Callable[[], None]) -> None:
        """Act; a store that does not answer is a 503, and the router may ask again."""
        try:
            action()
        except (ConnectionError, TimeoutError, sqlite3.Error) as error:
            log(3, "the store does not answer", error=str(error))
            self.answer(503, "text/plain", "try again\n", Retry_After="1")

    def visitor(self) -> str | None:
        """The name of who is signed in."""
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        except CookieError:
            return None
        return SESSIONS.get(cookie.value) if cookie else None

    def same_origin(self) -> bool:
        """Whether the form was ours: browsers say where a request comes from, and another site can
        not forge it."""
        site, origin = self.headers.get("Sec-Fetch-Site"), self.headers.get("Origin")
        return site in (None, "same-origin") and (origin is None or urlsplit(origin).netloc == self.headers.get("Host"))

    def prefix(self) -> str:
        """Where the client sees us, "" at the top."""
        prefix = self.headers.get("X-Forwarded-Prefix", ROUTE).rstrip("/")
        return prefix if PREFIX.fullmatch(prefix) else ""


def field(body: bytes) -> str:
    """The one field of our forms, "" when it is not there."""
    try:
        return parse_qs(body.decode(), max_num_fields=1)["value"][0].strip()[:MAX_TEXT]
    except (ValueError, KeyError):
        return ""


if __name__ == "__main__":
    serve(Blog)
