"""A program whose output a coroutine reads, and which ends with it (process.py has those that are
waited for).

It gets no input, a fixed environment, and nothing of ours but its output. Leaving the `async with`
kills it and waits for its end, also when the coroutine is cancelled: no process is left behind.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tqunits.errors import TqunitsError

_CHUNK: Final = 65536  # a pipe's capacity on Linux (pipe(7))

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class Child:
    """One run of a program."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv

    async def __aenter__(self) -> Child:
        """Raises TqunitsError when it can not be started."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=_ENVIRONMENT, cwd="/", limit=_CHUNK
            )
        except OSError as error:
            raise TqunitsError(f"{self._argv[0]} can not be started: {error.strerror}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.shield(self._process.wait())

    async def read(self) -> bytes:
        """What it writes next; b"": it writes no more."""
        assert self._process.stdout
        return await self._process.stdout.read(_CHUNK)

    async def status(self) -> int:
        """Its exit status, once it has ended."""
        return await self._process.wait()
