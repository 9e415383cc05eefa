"""Builds a wheel of the checkout, as `python -m build` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "tqunits", "unit-templates", "packaging")


def built(factory: pytest.TempPathFactory, **environment: str) -> Path:
    """Built from a copy of the checkout, because setuptools leaves its own folders beside the
    sources. With TQUNITS_INTERPRETED="1" it is built without extensions."""
    source, out = factory.mktemp("source") / "tree", factory.mktemp("wheel")
    _copy_sources(source)
    argv = ["-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", str(out), str(source)]
    python(*argv, cwd=source, **environment)
    return next(out.glob("tqunits-*.whl"))


def python(*arguments: str, cwd: Path, **environment: str) -> str:
    """The output of a program of the tests' virtual environment."""
    return output(sys.executable, *arguments, cwd=cwd, **environment)


def output(*argv: str | Path, cwd: Path, **environment: str) -> str:
    """The output of a program that gets these variables, and none of the tests' own."""
    variables = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment}
    done = subprocess.run(argv, cwd=cwd, env=variables, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _copy_sources(target: Path) -> None:
    target.mkdir()
    for name in SOURCES:
        subprocess.run(["cp", "-a", str(ROOT / name), str(target)], check=True)
    for extension in target.rglob("*.so"):
        extension.unlink()
