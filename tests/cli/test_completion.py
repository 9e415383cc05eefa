"""The completion scripts in their shells; and the shipped scripts are those that the generator
makes."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from commands import Command, Kind, Option, Value, commands, typeable
from shells import SCRIPTS, bash, fish

from tqunits.cli.main import VERBS, main
from tqunits.cli.verbs.completion import FILES

SHIPPED = Path(__file__).parent.parent.parent / "packaging/completions"
WORKER = Value(name="NAME", kind=Kind.WORKER, many=True)
TABLE = (
    Command(
        name="start",
        help="start it's [all]: of them",
        options=(
            Option(flags=("--all",), help="all"),
            Option(flags=("--timeout",), help="wait", value=Value(name="SPAN")),
            Option(flags=("-o", "--output"), help="as", value=Value(name="FORM", choices=("json", "text"))),
        ),
        values=(WORKER,),
    ),
    Command(name="stop", help="stop", options=(), values=(WORKER,)),
    Command(name="init", help="begin", options=(), values=(Value(name="NAME"),)),
    Command(
        name="routes",
        help="read",
        options=(Option(flags=("--from",), help="file", value=Value(name="FILE", kind=Kind.FILE)),),
        values=(Value(name="SHELL", choices=("bash", "zsh")),),
    ),
)
DRIVER = """
source /dev/stdin
compopt() { :; }  # only the shell's own completion may call the real one
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_tqunits
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two workers in a checkout, two others installed, and folders that only an attacker would
    make."""
    for name in ("api", "blog", "$(touch pwned)", "a b", "Upper"):
        (tmp_path / "workers" / name / "config").mkdir(parents=True)
        (tmp_path / "workers" / name / "config/worker.yaml").touch()
    (tmp_path / "workers/no-worker").mkdir()
    for name in ("mine", "mine:2", "more", "`id`"):
        (tmp_path / "xdg/systemd/user" / f"tq-worker@{name}.service.d").mkdir(parents=True)
    (tmp_path / "data.json").touch()
    return tmp_path


async def output(argv: tuple[str, ...], text: str, folder: Path) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "xdg")},
    )
    stdout, _ = await process.communicate(text.encode())
    assert process.returncode == 0
    return stdout.decode().split("\n")


async def in_bash(line: str, folder: Path) -> set[str]:
    """What bash offers for this line (its words are split at single spaces; the last one is being
    typed)."""
    lines = await output(("bash", "--norc", "-c", DRIVER, "bash", *line.split(" ")), bash(TABLE), folder)
    return set(lines) - {""}


CASES = [
    pytest.param("tqunits ", {"start", "stop", "init", "routes"}, id="verbs"),
    pytest.param("tqunits st", {"start", "stop"}, id="verbs-begun"),
    pytest.param("tqunits --u", {"--user"}, id="global-options"),
    pytest.param("tqunits --user s", {"start", "stop"}, id="verb-after-an-option"),
    pytest.param("tqunits -C . s", {"start", "stop"}, id="verb-after-a-folder"),
    pytest.param("tqunits -C start s", {"start", "stop"}, id="a-folder-named-as-a-verb"),
    pytest.param("tqunits start --", {"--all", "--timeout", "--output"}, id="options-of-a-verb"),
    pytest.param("tqunits start --timeout ", set(), id="a-value-nobody-can-guess"),
    pytest.param("tqunits start -o ", {"json", "text"}, id="a-value-of-a-choice"),
    pytest.param("tqunits routes ", {"bash", "zsh"}, id="an-argument-of-a-choice"),
    pytest.param("tqunits routes --from da", {"data.json"}, id="a-file"),
    pytest.param("tqunits -C . start ", {"api", "blog"}, id="workers-of-a-checkout"),
    pytest.param("tqunits -C . stop b", {"blog"}, id="workers-begun"),
    pytest.param("tqunits --user stop ", {"mine", "more"}, id="workers-installed"),
    pytest.param("tqunits --user stop mine m", {"mine", "more"}, id="several-workers"),
    pytest.param("tqunits -C . init ", set(), id="a-new-name"),
    pytest.param("tqunits bogus ", set(), id="no-such-verb"),
]


@pytest.mark.parametrize(("line", "offered"), CASES)
async def test_bash_offers(root: Path, line: str, offered: set[str]) -> None:
    assert await in_bash(line, root) == offered
    assert not (root / "pwned").exists()


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("line", "offered"), CASES)
async def test_fish_offers(root: Path, line: str, offered: set[str]) -> None:
    script = f"{fish(TABLE)}\ncomplete -C '{line}'\n"
    lines = await output(("fish", "--no-config"), script, root)
    assert {line.partition("\t")[0] for line in lines} - {""} == offered
    assert not (root / "pwned").exists()


@pytest.mark.parametrize("shell", SCRIPTS)
async def test_each_shell_can_parse_its_script(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(SCRIPTS[shell](TABLE))
    await output((shell, "-n", str(path)), "", tmp_path)


def test_every_verb_is_described() -> None:
    assert [command.name for command in commands()] == [verb.name for group in VERBS for verb in group.verbs]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_shipped_script_is_the_generated_one(shell: str) -> None:
    generated = SCRIPTS[shell](typeable())
    path = SHIPPED / FILES[shell]
    if os.environ.get("TQUNITS_UPDATE_GOLDEN"):
        path.write_text(generated, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == generated, "run this test again with TQUNITS_UPDATE_GOLDEN=1"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_shipped_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == (SHIPPED / FILES[shell]).read_text(encoding="utf-8")
