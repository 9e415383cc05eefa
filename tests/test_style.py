"""The whole tree passes its linters and both type checkers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKS = {
    "ruff-check": ("ruff", "check", "--no-cache", "."),
    "ruff-format": ("ruff", "format", "--no-cache", "--check", "."),
    "mypy": ("mypy", "--no-error-summary"),
    "pyright": ("pyright",),
}


@pytest.mark.short("ruff-check", "ruff-format", "mypy")  # pyright takes as long as a hundred other tests
@pytest.mark.parametrize("command", CHECKS.values(), ids=CHECKS)
async def test_the_tree_is_clean(command: tuple[str, ...]) -> None:
    await check(command)


async def check(command: tuple[str, ...]) -> None:
    program = Path(sys.executable).parent / command[0]
    process = await asyncio.create_subprocess_exec(
        program, *command[1:], cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
