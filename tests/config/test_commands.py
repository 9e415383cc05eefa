"""Commands and variables: shell syntax is refused, placeholders are explained, and findings have
the place of the word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqunits import placeholders
from tqunits.config import shellwords
from tqunits.errors import Severity

from .parsing import api, errors, shown, valid

BY_SHELL = 'no shell runs it: put it in quotes if it is meant as it stands, or write ["sh", "-c", {}]'
LISTED = (
    '\'tqunits docs command\' lists them; write {} if it is meant as it stands; a shell has its own: ["sh", "-c", "…"]'
)

SHELL_LIKE: dict[str, tuple[str, str, str]] = {
    "and": ("npm ci && node x.js", "1:17", "&& is a shell's"),
    "or": ("a || b", "1:12", "|| is a shell's"),
    "pipe": ("node x.js | logger", "1:20", "| is a shell's"),
    "output": ("node x.js > /tmp/log", "1:20", "> is a shell's"),
    "appended": ("node x.js >> /tmp/log", "1:20", ">> is a shell's"),
    "input": ("node x.js < in", "1:20", "< is a shell's"),
    "errors": ("node x.js 2>&1", "1:20", "2>&1 is a shell's"),
    "within a word": ("node x.js>log", "1:19", "> is a shell's"),
    "next": ("cat a; node x.js", "1:15", "; is a shell's"),
    "background": ("node x.js &", "1:20", "& is a shell's"),
    "backquotes": ("node `hostname`", "1:15", "` is a shell's"),
    "backquotes in double quotes": ('node "`hostname`"', "1:16", "` is a shell's"),
    "subshell": ("(node x.js)", "1:10", "( is a shell's"),
}


@pytest.mark.parametrize(("command", "place", "message"), SHELL_LIKE.values(), ids=SHELL_LIKE)
@pytest.mark.parametrize("key", ["command", "build"])
def test_what_a_shell_would_do_is_refused_in_a_text(key: str, command: str, place: str, message: str) -> None:
    rest = "path: /a" if key == "command" else "path: /a\ntype: go"
    line, _, column = place.partition(":")
    name = "command" if key == "command" else "build.command"
    found = errors(api(f"{key}: {command}\n{rest}").diagnostics)
    hint = BY_SHELL.format('"' + command.replace('"', '\\"') + '"')
    assert found == [(f"api.yaml:{line}:{int(column) - len('command') + len(key)}", f"{name}: {message}", hint)]


REFUSED: dict[str, tuple[str, str, str, str | None]] = {
    "comment in quotes": (
        "'node x.js # runs'",
        "1:21",
        "has a comment in it",
        "remove it, or put it in quotes if it is meant",
    ),
    "home": ("~/bin/x", "1:10", "has a ~ in it, which only a shell knows", "write the folder's path in full"),
    "variable before it": (
        "NODE_ENV=production node x.js",
        "1:10",
        "'NODE_ENV=production' sets a variable, which only a shell does here",
        "write it below environment, as NODE_ENV: production",
    ),
    "variable before it in a list": (
        "[NODE_ENV=production, node]",
        "1:11",
        "'NODE_ENV=production' sets a variable, which only a shell does here",
        "write it below environment, as NODE_ENV: production",
    ),
    "exec": ("exec node x.js", "1:10", "exec is a word of the shell's, no program", "leave it out"),
    "source": (
        "source venv/bin/activate",
        "1:10",
        "source is a word of the shell's, no program",
        'write ["sh", "-c", "source …"]',
    ),
    "nothing in a list": ("['']", "1:11", "the program is ''", "write the program's name or path first"),
    "nothing in a text": ("'  '", "1:10", "'' is empty", 'write a list: ["program", "word"], or [] for none'),
    "a name that is none": (
        "['my program', x]",
        "1:11",
        "'my program' is no name of a program",
        "a program in the worker's folder is written with its path: ./my program",
    ),
    "a dot": ("[.., x]", "1:11", "'..' is no name of a program", None),
    "a folder": ("bin/", "1:10", "'bin/' is a folder, no program", "write the program's own path"),
    "systemd's prefix": ("['-/usr/bin/x']", "1:11", "'-/usr/bin/x' begins with -", "write /usr/bin/x"),
    "a long name": (
        "[bin/" + "x" * 256 + "]",
        "1:11",
        "'bin/" + "x" * 56 + "…' is too long for a path",
        "names have 255 bytes, paths 4095",
    ),
    "open quote": (
        "bin/api 'x",
        "1:18",
        "'bin/api 'x' has a quote that is not closed",
        'write a \' at its end, or a list: ["program", "word"]',
    ),
    "backslash": ("bin/api \\", "1:18", "has a backslash at its end", "remove it, or write it twice"),
    "control": ('["bin/api", "a\\x1bb"]', "1:22", "'a\x1bb' has the control character 0x1b in it", "remove it"),
    "noncharacter": (
        '["bin/api", "a\\uFDD0b"]',
        "1:22",
        "'a\ufdd0b' has the control character 0xfdd0 in it",
        "remove it",
    ),
    "carriage return": (
        '["bin/api", "a\\rb"]',
        "1:22",
        "'a\rb' has the control character 0x0d in it",
        "save the file with line feeds as line ends",
    ),
    "no braces": ("bin/api $PORT", "1:18", "$PORT is not put in without braces", "write ${PORT}"),
    "no braces in a list": (
        "[bin/api, --port=$PORT]",
        "1:27",
        "$PORT is not put in without braces",
        'write "--port=${PORT}"',
    ),
    "unknown": ("bin/api ${HOME}", "1:18", "${HOME} is no placeholder", LISTED.format("$${HOME}")),
    "unknown without braces": ("[bin/api, $WEB]", "1:20", "$WEB is no placeholder", LISTED.format("$$WEB")),
    "nearly": (
        "bin/api ${WORKER_PROT}",
        "1:18",
        "${WORKER_PROT} is no placeholder",
        "did you mean '${WORKER_PORT}'?; write $${WORKER_PROT} if it is meant as it stands",
    ),
    "a command's output": ("['bin/api', 'a$(hostname)']", "1:24", "$( is no placeholder", LISTED.format("$$(")),
    "not closed": ("['bin/api', '${PORT']", "1:22", "${ is no placeholder", LISTED.format("$${")),
    "no socket": (
        "bin/api ${WORKER_SOCKET}",
        "1:18",
        "${WORKER_SOCKET} has no value here",
        "with listen: tcp there is ${WORKER_PORT}",
    ),
    "no credentials": (
        "bin/api ${CREDENTIALS_DIRECTORY}/key",
        "1:18",
        "${CREDENTIALS_DIRECTORY} has no value here",
        "there are no credentials: write them below credentials",
    ),
    "in a script": (
        "[sh, -c, 'exec x $WORKER_SOCKET']",
        "1:27",
        "$WORKER_SOCKET has no value here",
        "with listen: tcp there is ${WORKER_PORT}",
    ),
}


@pytest.mark.parametrize(("command", "place", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_no_unit_can_say_or_nobody_puts_in_is_refused(
    command: str, place: str, message: str, hint: str | None
) -> None:
    found = errors(api(f"command: {command}\npath: /a").diagnostics)
    assert found == [(f"api.yaml:{place}", f"command: {message}", hint)]


TAKEN: dict[str, tuple[str, tuple[str, ...]]] = {
    "words": ("gunicorn  app:app", ("gunicorn", "app:app")),
    "single quotes": ("x 'a && b' 'c|d'", ("x", "a && b", "c|d")),
    "double quotes": ('x "a \\" b" "c;d"', ("x", 'a " b', "c;d")),
    "a quote in a word": ("x --a='b c'd", ("x", "--a=b cd")),
    "backslash": ("x a\\ b \\&", ("x", "a b", "&")),
    "call of a factory": ("gunicorn app:create_app()", ("gunicorn", "app:create_app()")),
    "option with a star": ("uvicorn --forwarded-allow-ips=*", ("uvicorn", "--forwarded-allow-ips=*")),
    "lone dollar signs": ("x '^a$' 'cost 5$' $1 a$$", ("x", "^a$", "cost 5$", "$1", "a$$")),
    "folded": (
        ">\n  gunicorn app:app\n  --bind 127.0.0.1:${PORT}\n",
        ("gunicorn", "app:app", "--bind", "127.0.0.1:${PORT}"),
    ),
    "folded and indented": (
        ">\n  gunicorn app:app\n    --workers 2\n\n    -x\n",
        ("gunicorn", "app:app", "--workers", "2", "-x"),
    ),
    "literal": ("|\n  gunicorn app:app \\\n    --workers 2\n", ("gunicorn", "app:app", "--workers", "2")),
    "literal and kept": ("|+\n\n  gunicorn app:app\n\n", ("gunicorn", "app:app")),
    "script": ("sh -c 'echo $HOME && exec node x.js'", ("sh", "-c", "echo $HOME && exec node x.js")),
    "script of a shell's shell": (
        "[/usr/bin/env, bash, -euo, pipefail, -c, 'x | y; echo $$']",
        ("/usr/bin/env", "bash", "-euo", "pipefail", "-c", "x | y; echo $$"),
    ),
    "script of several lines": ('[sh, -ec, "cd x\\nexec node y"]', ("sh", "-ec", "cd x\nexec node y")),
    "doubled": ("x $${HOME} $$PORT $$(y", ("x", "$${HOME}", "$$PORT", "$$(y")),
}


@pytest.mark.parametrize(("command", "words"), TAKEN.values(), ids=TAKEN)
def test_what_is_meant_as_it_stands_is_taken(command: str, words: tuple[str, ...]) -> None:
    result = api(f"path: /a\ncommand: {command}")
    assert shown(result.diagnostics) == []
    assert valid(f"path: /a\ncommand: {command}").command == words


def test_several_lines_are_several_commands() -> None:
    found = errors(api("path: /a\ncommand: |\n  npm ci\n  node x.js\n").diagnostics)
    message = "command: has several lines, which a shell would run one after the other"
    hint = "end each line but the last with a backslash, or begin the block with > and not with |"
    assert found == [("api.yaml:4:3", message, hint)]


def test_the_place_in_a_block_is_its_lines_own() -> None:
    found = errors(api("path: /a\ncommand: |\n  gunicorn \\\n    --bind :$PORT\n").diagnostics)
    assert found == [("api.yaml:4:13", "command: $PORT is not put in without braces", "write ${PORT}")]


SUSPECTS: dict[str, tuple[str, str, str]] = {
    "operator in a list": (
        "[node, x.js, '>', log]",
        "2:23",
        "command: > is given to the program as it stands",
    ),
    "background in a list": ("[node, x.js, '&']", "2:23", "command: & is given to the program as it stands"),
    "text for a list's program": ("[cat, '<<', END]", "2:16", "command: << is given to the program as it stands"),
    "star": ("ls *.txt", "2:13", "command: '*.txt' is given to the program as it stands"),
}


@pytest.mark.parametrize(("command", "place", "message"), SUSPECTS.values(), ids=SUSPECTS)
def test_what_is_seldom_meant_is_a_warning(command: str, place: str, message: str) -> None:
    findings = api(f"path: /a\ncommand: {command}").diagnostics
    assert [(str(f.mark), f.message, f.severity) for f in findings] == [
        (f"api.yaml:{place}", message, Severity.WARNING)
    ]


ENVIRONMENT: dict[str, tuple[str, str, str, str]] = {
    "unknown": (
        "A: 'x${TIME}'",
        "3:8",
        "A: ${TIME} is no placeholder",
        "'tqunits docs command' lists them; write $${TIME} if it is meant as it stands",
    ),
    "no braces": ("A: ':$PORT'", "3:8", "A: $PORT is not put in without braces", "write ${PORT}"),
    "no value": (
        "A: ${WORKER_SOCKET}",
        "3:6",
        "A: ${WORKER_SOCKET} has no value here",
        "with listen: tcp there is ${WORKER_PORT}",
    ),
    "taken": ("PORT: '80'", "3:3", "PORT is set by tqunits, for the worker listens on it", "set 'port' instead"),
    "taken always": (
        "WORKER_SOCKET: /x",
        "3:3",
        "WORKER_SOCKET is set by tqunits or systemd",
        "remove it: the worker gets it anyway where it applies",
    ),
    "bell": ('A: "a\\ab"', "3:6", "'a\ab' has the control character 0x07 in it", "remove it"),
}


@pytest.mark.parametrize(("entry", "place", "message", "hint"), ENVIRONMENT.values(), ids=ENVIRONMENT)
def test_a_variable_that_can_not_be_set_is_refused(entry: str, place: str, message: str, hint: str) -> None:
    found = errors(api(f"command: bin/api\nenvironment:\n  {entry}\npath: /a").diagnostics)
    assert found == [(f"api.yaml:{place}", f"environment: {message}", hint)]


def test_what_a_program_calls_its_own_is_its_own() -> None:
    names = ("LISTEN_ADDR", "WORKER_CONCURRENCY", "WORKER_ID", "LOGS_DIRECTORY")
    yaml = "path: /a\ncommand: bin/api\nlisten: unix\nenvironment:\n  PORT: '1'\n" + "".join(
        f"  {name}: x\n" for name in names
    )
    assert shown(api(yaml).diagnostics) == []
    assert dict(valid(yaml).environment) == {"PORT": "1", **dict.fromkeys(names, "x")}


def test_dollar_signs_of_a_password_and_lines_of_a_key_are_themselves() -> None:
    yaml = "path: /a\ncommand: bin/api\nenvironment:\n  A: 'pa$$word$x$(y)'\n  B: |\n    one\n    \ttwo\n"
    assert shown(api(yaml).diagnostics) == []
    assert valid(yaml).environment == (("A", "pa$$word$x$(y)"), ("B", "one\n\ttwo\n"))


def test_a_preset_that_does_not_fit_is_told_where_the_listening_is() -> None:
    found = errors(api("path: /a\ntype: php\nlisten: unix").diagnostics)
    assert found == [
        ("api.yaml:3:9", "command: ${WORKER_PORT} has no value here", "with listen: unix there is ${WORKER_SOCKET}")
    ]


def test_a_build_has_no_placeholders() -> None:
    found = errors(api("path: /a\ntype: go\nbuild: [make, 'PORT=${PORT}']").diagnostics)
    hint = 'write $${PORT} if it is meant as it stands; a shell has its own: ["sh", "-c", "…"]'
    assert found == [("api.yaml:3:21", "build.command: ${PORT} is not put in: a build has no placeholders", hint)]


RELEASE_WHY = "release.command listens nowhere, and has no runtime folder"
RELEASES: dict[str, tuple[str, str, str, str]] = {
    "port": ("[bin/up, '${WORKER_PORT}']", "3:29", "${WORKER_PORT} has no value here", RELEASE_WHY),
    "socket": ("[bin/up, '${WORKER_SOCKET}']", "3:29", "${WORKER_SOCKET} has no value here", RELEASE_WHY),
    "runtime folder": (
        "[sh, -c, 'up $RUNTIME_DIRECTORY']",
        "3:33",
        "$RUNTIME_DIRECTORY has no value here",
        RELEASE_WHY,
    ),
    "credentials": (
        "[bin/up, '${CREDENTIALS_DIRECTORY}']",
        "3:29",
        "${CREDENTIALS_DIRECTORY} has no value here",
        "there are no credentials: write them below credentials",
    ),
    "shell": (
        "bin/up && bin/on",
        "3:27",
        "&& is a shell's",
        BY_SHELL.format('"bin/up && bin/on"'),
    ),
}


@pytest.mark.parametrize(("command", "place", "message", "hint"), RELEASES.values(), ids=RELEASES)
def test_a_release_command_has_what_is_not_one_processs(command: str, place: str, message: str, hint: str) -> None:
    found = errors(api(f"path: /a\ntype: go\nrelease: {{command: {command}}}").diagnostics)
    assert found == [(f"api.yaml:{place}", f"release.command: {message}", hint)]


def test_a_release_command_is_words_with_placeholders() -> None:
    text = "path: /a\ntype: go\nrelease: {command: 'bin/up \"${STATE_DIRECTORY}/a b\" ${WORKER_MODE}'}"
    assert valid(text).release_command == ("bin/up", "${STATE_DIRECTORY}/a b", "${WORKER_MODE}")
    assert valid("path: /a\ntype: go").release_command == ()


def test_a_release_command_of_php_is_told_what_the_sandbox_needs() -> None:
    command = valid("path: /a\ntype: php\nrelease: {command: [php, artisan, migrate]}").release_command
    assert (command[0], command[-2:]) == ("php", ("artisan", "migrate"))
    assert "pcre.jit=0" in command


@given(st.text(alphabet="ab \t\n'\"\\$&|;<>`(){}#~*=2", max_size=12), st.booleans())
def test_any_text_is_split_or_refused_within_it(text: str, folded: bool) -> None:  # noqa: FBT001 - hypothesis calls it
    try:
        words = shellwords.split(text, folded=folded)
    except shellwords.Misplaced as error:
        assert 0 <= error.at < len(text)
    else:
        assert [word.at for word in words] == sorted({word.at for word in words})


@given(st.lists(st.text(alphabet="ab$ {}()PORT'", max_size=10) | st.just("$$a ${b${PORT}}"), min_size=1, max_size=3))
def test_a_doubled_dollar_sign_is_one(words: list[str]) -> None:
    """If a refused character in a word is doubled, it is not refused, and the result is the
    original word."""
    for word in words:
        doubled = placeholders.escaped(word)
        assert list(placeholders.in_word(doubled)) == []
        assert placeholders.command_filled(["x", doubled], {"PORT": "80"}) == ("x", word)


def test_a_build_gets_what_holds_without_a_running_worker() -> None:
    """A build does not get a value that contains the port or a folder of the running worker."""
    environment = (("FLAGS", "-O2 $${PORT}"), ("URL", "http://127.0.0.1:${WORKER_PORT}"), ("PASSWORD", "pa$$word"))
    assert dict(placeholders.constant(environment)) == {"FLAGS": "-O2 ${PORT}", "PASSWORD": "pa$$word"}
