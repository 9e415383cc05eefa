"""A hint is correct: a user who follows it gets no further finding."""

from __future__ import annotations

import re

import pytest

from tqunits.config.directives import DIRECTIVES, REFUSED
from tqunits.config.passthrough import INSTEAD
from tqunits.config.reject import did_you_mean

from .parsing import Mistake, api, errors, server, workers
from .test_commands import REFUSED as COMMANDS
from .test_mistakes import IN_WORKER
from .test_server_mistakes import IN_SERVER

_SAYS = re.compile(
    r"did you mean '([^']+)'\?|(?:for a unit of this host )?write (?:at most )?([^\s,:;]+)(?: for .*| if .*|, .*)?"
    r"|(?:.* )?such as ([^\s{]+?)(?:,.*| or .*)?|.*'tqunits docs command' lists them; write (\S+) if .*"
    r"|with listen: \w+ there is (\S+)|leave it out: this one's own is (\S+)"
)
_WRONG = re.compile(r"'([^']*)'")
_SEVERAL = frozenset(
    {"write", "one", "both", "the", "at", "more", "less", "it", "a", "digits", "each", "them", "<", ""}
)


def suggestion(mistake: Mistake) -> str | None:
    """The text that a hint suggests in the place of the wrong one, if it suggests one."""
    found = _SAYS.fullmatch(mistake.hint or "")
    text = next((part for part in found.groups() if part), None) if found else None
    if text is not None and text.startswith('"'):
        return text
    return None if text is None or text in _SEVERAL or text.startswith(("{", "[", "'")) else text


def applied(mistake: Mistake, text: str) -> str:
    """The file with the suggestion in the place of the mistake."""
    lines = mistake.yaml.split("\n")
    line = lines[mistake.line - 1]
    before, after = line[: mistake.column - 1], line[mistake.column - 1 :]
    if text.startswith('"'):
        return mistake.yaml.replace(text.replace("${", "$").replace("}", "").strip('"'), text)
    quoted = [part for part in _WRONG.findall(mistake.message) if part and part in after]
    wrong = quoted[0] if quoted else re.match(r"['\"]?([^,\]}'\"]+)", after)[1]  # type: ignore[index]
    lines[mistake.line - 1] = before + after.replace(wrong, text, 1)
    return "\n".join(lines)


def of_command(command: str, place: str, message: str, hint: str | None) -> Mistake:
    line, column = map(int, place.split(":"))
    return Mistake(f"command: {command}\npath: /a", line, column, message, hint)


OF_COMMANDS = {key: of_command(*refused) for key, refused in COMMANDS.items()}
IN_FILES = {**IN_WORKER, **OF_COMMANDS}
ELSEWHERE_TOLD = ("unknown-key-of-a-group",)  # below
SUGGESTED = {key: m for key, m in IN_FILES.items() if suggestion(m) and key not in ELSEWHERE_TOLD}


@pytest.mark.parametrize("mistake", SUGGESTED.values(), ids=SUGGESTED)
def test_what_a_hint_says_passes(mistake: Mistake) -> None:
    text = suggestion(mistake)
    assert text is not None
    yaml = applied(mistake, text)
    assert errors(api(yaml).diagnostics) == [], yaml


SUGGESTED_TO_SERVER = {
    key: m
    for key, m in IN_SERVER.items()
    if suggestion(m) and not key.startswith("tls-hsts")  # has no certificate
}


@pytest.mark.parametrize("mistake", SUGGESTED_TO_SERVER.values(), ids=SUGGESTED_TO_SERVER)
def test_what_a_hint_says_passes_in_tqunits_yaml(mistake: Mistake) -> None:
    text = suggestion(mistake)
    assert text is not None
    yaml = applied(mistake, text)
    assert errors(server(yaml).diagnostics) == [], yaml


def test_most_of_what_is_said_is_tried() -> None:
    assert len(SUGGESTED) > 30


ALSO = {
    "the shell": (
        "path: /a\ncommand: npm ci && exec node x.js",
        'path: /a\ncommand: ["sh", "-c", "npm ci && exec node x.js"]',
    ),
    "a variable before the program": (
        "path: /a\ncommand: NODE_ENV=production node x.js",
        "path: /a\ncommand: node x.js\nenvironment:\n  NODE_ENV: production",
    ),
    "a dollar sign": ("path: /a\ncommand: bin/a $WEB", "path: /a\ncommand: bin/a $$WEB"),
    "several lines": ("path: /a\ncommand: |\n  bin/a\n  -x", "path: /a\ncommand: >\n  bin/a\n  -x"),
    "a group's key": ("path: /a\ntype: go\nmemory_max: 1G", "path: /a\ntype: go\nlimits: {memory_max: 1G}"),
}


@pytest.mark.parametrize(("wrong", "right"), ALSO.values(), ids=ALSO)
def test_what_longer_hints_say_passes(wrong: str, right: str) -> None:
    assert errors(api(wrong).diagnostics) != []
    assert errors(api(right).diagnostics) == []


def test_a_unit_is_suggested_only_where_no_worker_is_meant() -> None:
    files = {"api": "path: /api\ntype: go\ndepends: [dbb]", "db": "path: /db\ntype: go"}
    message = "depends.requires: there is no worker 'dbb'"
    assert errors(workers(files).diagnostics) == [("api.yaml:3:11", message, "did you mean 'db'?")]
    assert errors(workers({**files, "api": files["api"].replace("dbb", "db")}).diagnostics) == []


ELSEWHERE = (
    "UMask",
    "KillMode",
    "ExecReload",
    "WatchdogSec",
    "Slice",
    "Delegate",
    "PIDFile",
    "RootDirectory",
    "OOMPolicy",
    "Personality",
    "StandardOutput",
    "Conflicts",
    "OnFailure",
)


@pytest.mark.parametrize("name", [*ELSEWHERE, *REFUSED, *INSTEAD])
@pytest.mark.parametrize("section", DIRECTIVES)
def test_no_directive_is_taken_for_another(section: str, name: str) -> None:
    ((_, _, hint),) = errors(api(f"path: /a\ntype: go\nunit: {{{section}: {{{name}: x}}}}").diagnostics)
    assert "did you mean" not in (hint or "")


@pytest.mark.parametrize("name", [name for names in DIRECTIVES.values() for name in names])
def test_a_directive_misspelled_is_suggested_in_its_section(name: str) -> None:
    section = next(section for section, names in DIRECTIVES.items() if name in names)
    wrong = name[:2] + name[3] + name[2] + name[4:] if len(name) > 4 and name[2] != name[3] else name.upper()
    ((_, _, hint),) = errors(api(f"path: /a\ntype: go\nunit: {{{section}: {{{wrong}: x}}}}").diagnostics)
    assert hint == f"did you mean '{name}'?"


def test_far_words_are_not_near() -> None:
    assert did_you_mean("UMask", ["NUMAMask"]) is None
    assert did_you_mean("memory", ["memory_high"]) == "did you mean 'memory_high'?"
    assert did_you_mean("pyhton", ["python", "php"]) == "did you mean 'python'?"
