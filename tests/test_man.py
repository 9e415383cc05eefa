"""The man pages: as generated, complete, and clean for those who set them."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from commands import commands

from tqunits.config.setting import File
from tqunits.config.settings import SETTINGS

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "packaging/man"
PAGES = ("tqunits.1", "tqunits-worker.yaml.5", "tqunits.yaml.5")


async def output(*argv: str | Path, **environment: str) -> tuple[str, str]:
    """What a program that must succeed says: stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
    )
    stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    return stdout.decode(), stderr.decode()


async def as_text(page: str) -> str:
    """The page as a reader sees it, without line ends."""
    text, _ = await output("groff", "-man", "-Tutf8", "-rHY=0", "-P-cbou", SHIPPED / page)
    return re.sub(r"\s+", " ", text.replace("\N{HYPHEN}", "-").replace("\N{MINUS SIGN}", "-"))


@pytest.mark.parametrize("page", PAGES)
async def test_the_shipped_page_is_the_generated_one(tmp_path: Path, page: str) -> None:
    await output(sys.executable, SHIPPED / "generate.py", tmp_path, PYTHONPATH=str(ROOT))
    generated = (tmp_path / page).read_text(encoding="utf-8")
    if os.environ.get("TQUNITS_UPDATE_GOLDEN"):
        (SHIPPED / page).write_text(generated, encoding="utf-8")
    shipped = (SHIPPED / page).read_text(encoding="utf-8")
    assert shipped == generated, "run this test again with TQUNITS_UPDATE_GOLDEN=1"


@pytest.mark.parametrize("page", PAGES)
async def test_groff_has_nothing_to_say(page: str) -> None:
    assert shutil.which("groff"), "needs groff-base, as man itself does"
    _, warnings = await output("groff", "-man", "-Tutf8", "-ww", "-z", SHIPPED / page)
    assert warnings == ""


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_left_to_fill_in(page: str) -> None:
    assert not re.search(r"@[A-Z]+@", (SHIPPED / page).read_text(encoding="utf-8"))


async def test_every_verb_and_every_option_is_explained() -> None:
    text = await as_text("tqunits.1")
    for command in commands():
        assert re.search(rf" {command.name} ", text), command.name
        for flag in (flag for option in command.options for flag in option.flags):
            assert flag in text, f"{command.name} {flag}"


@pytest.mark.parametrize(("file", "page"), [(File.WORKER, "tqunits-worker.yaml.5"), (File.SERVER, "tqunits.yaml.5")])
async def test_every_setting_is_explained(file: File, page: str) -> None:
    text = await as_text(page)
    assert [row.key for row in SETTINGS if row.file is file and row.key not in text] == []


@pytest.mark.parametrize("status", range(7))
def test_every_exit_status_is_explained(status: int) -> None:
    assert f"\n.TP\n.B {status}\n" in (SHIPPED / "tqunits.1").read_text(encoding="utf-8")
