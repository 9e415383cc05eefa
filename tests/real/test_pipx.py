"""pipx installs the wheel away from the checkout, with all that it needs from PyPI: the command,
the router compiled, man pages, completions and templates."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from built_wheel import ROOT, built

from tqunits import __version__

PIPX = ROOT / "build/real/bin/pipx"
ROUTER = "import tqunits.proxy.downstream.client as it; print(it.__file__)"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheel, home = built(tmp_path_factory), tmp_path_factory.mktemp("home")
    folders = {"PIPX_HOME": "pipx", "PIPX_BIN_DIR": "bin", "PIPX_MAN_DIR": "man"}
    environment = {**os.environ, **{name: str(home / folder) for name, folder in folders.items()}}
    python = ["--python", "/usr/bin/python3"]
    done = subprocess.run(
        [PIPX, "install", *python, wheel], env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def output(home: Path, *argv: str | Path) -> str:
    """Of a program that is run in a folder away from the checkout."""
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(home)}
    done = subprocess.run(argv, cwd=home, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_the_router_and_the_pages_are_there(home: Path) -> None:
    command, environment = home / "bin/tqunits", home / "pipx/venvs/tqunits"
    assert output(home, command, "--version") == f"tqunits {__version__}\n"
    assert output(home, environment / "bin/python", "-I", "-c", ROUTER).endswith(".so\n")
    assert Path(output(home, "man", "-M", home / "man", "-w", "tqunits-install").strip()).is_relative_to(home)
    shell = environment / "share/bash-completion/completions/tqunits.bash"
    assert output(home, command, "completion", "bash") == shell.read_text(encoding="utf-8")


def test_it_renders_a_worker_by_its_own_templates(home: Path) -> None:
    command, site = home / "bin/tqunits", home / "site"
    site.mkdir()
    output(home, command, "-C", site, "init", "api", "--type", "static")
    output(home, command, "-C", site, "init", "shop", "--type", "python")
    assert "[Service]" in output(home, command, "-C", site, "render", "shop")
