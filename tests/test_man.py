"""The man pages: they are the generated ones, complete, found for every verb, and free of warnings
from the formatters."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from commands import commands
from manual import FILES, PAGES, SHIPPED, SOURCES, Kind, of_kind, text_of

from setup import man_pages
from tqunits.alone import verdicts
from tqunits.alone.variables import RESERVED
from tqunits.cli.main import VERBS, main
from tqunits.config.setting import File
from tqunits.config.settings import SETTINGS
from tqunits.control import protocol
from tqunits.errors import ExitStatus
from tqunits.layout import SYSTEM_LAYOUT
from tqunits.model import Profile, Relaxation

ROOT = Path(__file__).parent.parent
VERB_NAMES = [verb.name for group in VERBS for verb in group.verbs]
CONTRACT = "tqunits-contract.7"
TOOLS = {"groff": "groff-base", "man": "man-db", "lexgrog": "man-db", "mandoc": "mandoc"}
PATH = re.compile(r"(?<![\w@$}.*-])/(?:etc|run|srv|var/(?:lib|cache|log))/(?:tqunits|systemd|sysusers\.d)[\w./*@-]*")
NO_DATE = "WARNING: missing date"
"""A page has the date of its package: a date of its own could be forgotten."""

REFERENCE = re.compile(r"\b(tqunits(?:-[a-z.]+|\.yaml)?)\((\d)\)")


async def output(*argv: str | Path, **environment: str) -> tuple[str, str]:
    """The output (stdout, stderr) of a program that must succeed."""
    assert shutil.which(argv[0]), f"needs {TOOLS.get(str(argv[0]), argv[0])}: .ci/packages"
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


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """share/man as the packages install it."""
    prefix = tmp_path_factory.mktemp("prefix")
    for folder, pages in man_pages().items():
        (prefix / folder).mkdir(parents=True)
        for page in pages:
            shutil.copy(ROOT / page, prefix / folder)
    return prefix / "share/man"


async def test_the_shipped_pages_are_the_generated_ones(tmp_path: Path) -> None:
    await output(sys.executable, SHIPPED / "generate.py", tmp_path, PYTHONPATH=str(ROOT))
    if os.environ.get("TQUNITS_UPDATE_GOLDEN"):
        for page in tmp_path.iterdir():
            shutil.copy(page, SHIPPED)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    differing = [page for page in FILES if (tmp_path / page).read_bytes() != (SHIPPED / page).read_bytes()]
    assert differing == [], "run this test again with TQUNITS_UPDATE_GOLDEN=1"


@pytest.mark.parametrize("page", PAGES)
async def test_those_who_set_it_have_nothing_to_say(page: str) -> None:
    assert (await output("groff", "-man", "-Tutf8", "-ww", "-z", SHIPPED / page))[1] == ""
    assert (await output("man", "--warnings", "-E", "UTF-8", "-l", SHIPPED / page))[1] == ""
    assert shutil.which("mandoc"), "needs mandoc: .ci/packages"
    said, _ = await output("sh", "-c", 'mandoc -Tlint -Wwarning "$0" || :', SHIPPED / page)
    assert [line for line in said.splitlines() if NO_DATE not in line] == []


@pytest.mark.parametrize("page", PAGES)
async def test_what_it_is_for_is_found(page: str) -> None:
    """whatis(1) and apropos(1) read the section NAME in this way."""
    said, _ = await output("lexgrog", SHIPPED / page)
    assert f'"{page.rpartition(".")[0]} - ' in said


@pytest.mark.parametrize("page", PAGES)
def test_it_has_the_sections_of_its_kind(page: str) -> None:
    sections = re.findall(r"^\.SH (.*)$", text_of(page), re.MULTILINE)
    order = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "EXIT STATUS",
        "JSON",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    ]
    found = [section for section in sections if section in order]
    assert {"NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"} <= set(found)
    assert found == [section for section in order if section in found]
    assert page.endswith((".5", ".7")) or {"SYNOPSIS", "EXIT STATUS"} <= set(found)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_left_to_fill_in(page: str) -> None:
    assert not re.search(r"@[A-Za-z_. ]+@", text_of(page))


@pytest.mark.parametrize("verb", VERB_NAMES)
async def test_a_verb_has_a_page_that_explains_it(verb: str, manual: Path) -> None:
    text, _ = await output("man", "-P", "cat", "-E", "UTF-8", "-M", manual, f"tqunits-{verb}", MANWIDTH="200")
    (command,) = (command for command in commands() if command.name == verb)
    (page,) = (group.page for group in VERBS if verb in {each.name for each in group.verbs})
    assert text.startswith(page.upper().replace("YAML", "yaml"))
    assert re.search(rf"^ +{verb}( |$)", text, re.MULTILINE)
    for flag in (flag for option in command.options for flag in option.flags if "--help" not in option.flags):
        assert re.search(rf"{flag}\b", text), flag


async def test_every_reference_leads_to_a_page(manual: Path) -> None:
    sources = [*PAGES, *sorted(str(path) for path in (ROOT / "unit-templates").iterdir())]
    named = {found for page in PAGES for found in REFERENCE.findall(await as_text(page))}
    named |= {
        found for path in sources[len(PAGES) :] for found in REFERENCE.findall(Path(path).read_text(encoding="utf-8"))
    }
    assert len(named) >= len(PAGES)
    assert [page for page in sorted(named) if not (manual / f"man{page[1]}" / ".".join(page)).exists()] == []


@pytest.mark.parametrize("line", [["--help"], ["help"]], ids=" ".join)
def test_the_help_names_every_page(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == ExitStatus.OK
    named = {f"{name}.{section}" for name, section in REFERENCE.findall(capsys.readouterr().out)}
    assert named == set(PAGES)


@pytest.mark.parametrize("line", [["help", "stop"], ["stop", "--help"]], ids=" ".join)
def test_the_help_of_a_verb_names_its_page(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(line)
    said = capsys.readouterr().out
    assert said.startswith("usage: tqunits stop ")
    assert said.splitlines()[-1] == "The manual page is tqunits-start(1)."


@pytest.mark.parametrize(("file", "page"), [(File.WORKER, "tqunits-worker.yaml.5"), (File.SERVER, "tqunits.yaml.5")])
async def test_every_setting_is_explained(file: File, page: str) -> None:
    text, rows = await as_text(page), [row for row in SETTINGS if row.file is file]
    assert [row.key for row in rows if row.key not in text] == []
    headings = re.findall(r"^\.SS (.*)$", text_of(page), re.MULTILINE)
    assert sorted(headings) == sorted({row.group for row in rows} - {""})


def test_every_exit_status_is_explained() -> None:
    assert listed("tqunits.1", r"\d+") >= {str(int(status)) for status in ExitStatus}
    gates = {str(number) for name, number in vars(verdicts).items() if name.isupper() and number >= verdicts.UNHEALTHY}
    assert listed(CONTRACT, r"\d+") == gates


async def test_the_contract_names_all_that_a_program_finds() -> None:
    text = await as_text(CONTRACT)
    assert [name for name in sorted(RESERVED) if name not in text] == []
    assert listed(CONTRACT, "[a-z-]+") >= {each.value for each in (*Profile, *Relaxation)}


async def test_the_router_page_names_all_that_its_sockets_answer() -> None:
    text = await as_text("tqunits-proxy.8")
    asked = (protocol.STATUS, protocol.METRICS, protocol.PAUSE, protocol.RESUME, protocol.MAINTENANCE)
    assert [path for path in asked if f" {path}" not in text] == []
    records = (protocol.Status, protocol.WorkerStatus, protocol.EndpointStatus)
    names = {field.name for record in records for field in fields(record)}
    assert names == set(re.findall(r"^\\fI(\w+)\\fR$", text_of("tqunits-proxy.8"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
async def test_every_path_of_ours_is_one_of_the_layouts(page: str) -> None:
    layout = SYSTEM_LAYOUT
    known = [str(getattr(layout, field.name)) for field in fields(layout)]
    known += [str(layout.control_socket("N")), "/var/log/tqunits/left-out.json"]
    named = PATH.findall(await as_text(page))
    assert [path for path in named if not path.startswith(tuple(known))] == []


def test_every_example_is_of_a_kind_that_a_test_runs() -> None:
    """YAML in config/test_man_yaml.py, the others in install/test_man_examples.py."""
    assert all(of_kind(kind) for kind in Kind)
    (program,) = of_kind(Kind.PROGRAM)
    assert program.page == CONTRACT


def test_no_source_is_longer_than_a_reader_has_patience_for() -> None:
    lines = {source.name: source.read_text(encoding="utf-8").splitlines() for source in SOURCES}
    assert {name for name, text in lines.items() if len(text) > 250} == set()


def listed(page: str, pattern: str) -> set[str]:
    """The heads of those lists of the page that are written in this way."""
    heads = re.findall(r"^\.TP\n\\fB(.*?)\\fR$", text_of(page), re.MULTILINE)
    return {head for head in (head.replace("\\-", "-") for head in heads) if re.fullmatch(pattern, head)}
