"""pipx installs the wheel outside the checkout, with its dependencies from PyPI.

Checked are the command, the compiled router, man pages, completions and templates.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from built_wheel import ROOT, built, output

from tqunits import __version__

PIPX = ROOT / "build/real/bin/pipx"
ROUTER = "import tqunits.proxy.downstream.client as it; print(it.__file__)"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheel, home = built(tmp_path_factory), tmp_path_factory.mktemp("home")
    folders = {"PIPX_HOME": "pipx", "PIPX_BIN_DIR": "bin", "PIPX_MAN_DIR": "man"}
    environment = {**os.environ, **{name: str(home / folder) for name, folder in folders.items()}}
    output(PIPX, "install", "--python", "/usr/bin/python3", wheel, cwd=home, **environment)
    return home


def test_the_command_the_router_and_the_pages_are_there(home: Path) -> None:
    command, environment = home / "bin/tqunits", home / "pipx/venvs/tqunits"
    assert output(command, "--version", cwd=home) == f"tqunits {__version__}\n"
    assert output(environment / "bin/python", "-I", "-c", ROUTER, cwd=home).endswith(".so\n")
    assert Path(output("man", "-M", home / "man", "-w", "tqunits-install", cwd=home).strip()).is_relative_to(home)
    shell = environment / "share/bash-completion/completions/tqunits.bash"
    assert output(command, "completion", "bash", cwd=home) == shell.read_text(encoding="utf-8")


def test_it_renders_a_worker_by_its_own_templates(home: Path) -> None:
    command, site = home / "bin/tqunits", home / "site"
    site.mkdir()
    output(command, "-C", site, "init", "shop", "--type", "python", cwd=home)
    assert "[Service]" in output(command, "-C", site, "render", "shop", cwd=home)
