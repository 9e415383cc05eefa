"""What the blog remembers: comments in SQLite, sessions in Redis when REDIS_URL is set and in
SQLite otherwise.

SQLite lives in the StateDirectory= that systemd makes for this user ($STATE_DIRECTORY): the only
folder we may write. Redis is spoken to by hand: two commands of its protocol (RESP) need no
library. A session is stored under the digest of its token: who reads the store can not take a
session over.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

LIFETIME = 86_400  # seconds that a session lasts
MAX_COMMENTS, MAX_SESSIONS = 1000, 10_000  # the oldest make room: a disk is not endless
MAX_REPLY = 65_536  # bytes of one Redis reply; a name is far shorter
PATIENCE = 2.0  # seconds for a database on this host

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS comment (id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS session (key TEXT PRIMARY KEY, name TEXT NOT NULL, expires REAL NOT NULL);
"""


class Sessions(Protocol):
    """Who is signed in. Both raise OSError or sqlite3.Error when the store does not answer."""

    def put(self, token: str, name: str) -> None: ...
    def get(self, token: str) -> str | None: ...


class Database:
    """SQLite: the comments, and the sessions where there is no Redis."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "blog.sqlite3"
        with self._open() as database:
            database.executescript(SCHEMA)

    def comments(self) -> list[tuple[str, str]]:
        with self._open() as database:
            return database.execute("SELECT name, text FROM comment ORDER BY id DESC LIMIT 50").fetchall()

    def add_comment(self, name: str, text: str) -> None:
        with self._open() as database:
            database.execute("INSERT INTO comment (name, text) VALUES (?, ?)", (name, text))
            database.execute("DELETE FROM comment WHERE id <= (SELECT max(id) FROM comment) - ?", (MAX_COMMENTS,))

    def put(self, token: str, name: str) -> None:
        with self._open() as database:
            database.execute("INSERT INTO session VALUES (?, ?, ?)", (_key(token), name, time.time() + LIFETIME))
            newest = "SELECT key FROM session WHERE expires > ? ORDER BY expires DESC LIMIT ?"
            database.execute(f"DELETE FROM session WHERE key NOT IN ({newest})", (time.time(), MAX_SESSIONS))  # noqa: S608

    def get(self, token: str) -> str | None:
        with self._open() as database:
            query = "SELECT name FROM session WHERE key = ? AND expires > ?"
            row = database.execute(query, (_key(token), time.time())).fetchone()
        return str(row[0]) if row else None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=PATIENCE)
        try:
            with database:  # one transaction
                yield database
        finally:
            database.close()


class Redis:
    """Sessions in redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], where several replicas share
    them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 6379)
        login = ("AUTH", unquote(parts.username or "default"), unquote(parts.password or ""))
        select = ("SELECT", parts.path.strip("/") or "0")
        self._preface = [login, select] if parts.password else [select]

    def put(self, token: str, name: str) -> None:
        self._ask("SET", f"blog:session:{_key(token)}", name, "EX", str(LIFETIME))

    def get(self, token: str) -> str | None:
        name = self._ask("GET", f"blog:session:{_key(token)}")
        return None if name is None else name.decode()

    def _ask(self, *command: str) -> bytes | None:
        with socket.create_connection(self._address, PATIENCE) as connection, connection.makefile("rb") as replies:
            connection.sendall(b"".join(_encode(words) for words in (*self._preface, command)))
            return [_decode(replies) for _ in (*self._preface, command)][-1]


def sessions(database: Database) -> Sessions:
    """The store that the environment asks for."""
    url = os.environ.get("REDIS_URL", "")
    return Redis(url) if url else database


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _encode(words: tuple[str, ...]) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def _decode(replies: BinaryIO) -> bytes | None:
    line = replies.readline(MAX_REPLY).rstrip(b"\r\n")
    match line[:1]:
        case b"+" | b":":
            return line[1:]
        case b"$" if (size := int(line[1:])) <= MAX_REPLY:
            return replies.read(size + 2)[:-2] if size >= 0 else None
        case _:
            raise ConnectionError(f"Redis said {line!r}")
