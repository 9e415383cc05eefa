"""Which files do not count: the rules of .gitignore as the page gitignore(5) says them, and as git
itself does; the built-in ones, and watch.ignore."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tqunits.errors import TqunitsError
from tqunits.lifecycle import ignoring
from tqunits.lifecycle.ignoring import rules_of
from tqunits.system import process

MATCHES = {
    "name": ("a", "a"),
    "name below": ("a", "x/y/a"),
    "comment escaped": (r"\#a", "#a"),
    "negation escaped": (r"\!a", "!a"),
    "blanks at the end": ("a   ", "a"),
    "blank kept": ("a\\ ", "a "),
    "blank kept, and no other": ("a\\   ", "a "),
    "backslash kept": (r"a\\ ", "a\\"),
    "tab is no blank": ("a\t", "a\t"),
    "anchored": ("/a", "a"),
    "path": ("x/a", "x/a"),
    "path with a slash in front": ("/x/a", "x/a"),
    "star": ("a*c", "abbc"),
    "star for nothing": ("a*c", "ac"),
    "ending": ("*.o", "x/b.o"),
    "two stars in a name": ("a**c", "abc"),
    "question mark": ("a?c", "abc"),
    "question mark for a character": ("a?c", "aéc"),
    "range": ("a[b-d]", "ac"),
    "not in a range": ("a[!b-d]", "ae"),
    "not in a range, as in expressions": ("a[^b-d]", "ae"),
    "bracket as a member": ("[]a]", "]"),
    "bracket as no member": ("[!]a]", "b"),
    "hyphen as a member": ("[a-]", "-"),
    "escaped member": (r"[\]\\]", "\\"),
    "named class": ("[[:digit:]x]", "7"),
    "range that is the wrong way": ("[z-a]", "z"),
    "escaped star": (r"\*", "*"),
    "escaped letter": (r"\a", "a"),
    "any depth in front": ("**/a", "x/y/a"),
    "any depth in front, none": ("**/a", "a"),
    "any depth in front of a path": ("**/x/a", "y/x/a"),
    "all below": ("x/**", "x/y/a"),
    "any depth between": ("x/**/a", "x/y/z/a"),
    "any depth between, none": ("x/**/a", "x/a"),
    "any depth twice": ("x/**/y/**/a", "x/1/y/2/y/3/a"),
    "any depth twice in a row": ("x/**/**/a", "x/a"),
    "star for one folder": ("x/*/a", "x/y/a"),
    "all, anchored": ("/**", "x/a"),
    "line end of Windows": ("a\r\n", "a"),
    "byte order mark": ("\ufeffa", "a"),
    "newline in a name": ("a*b", "a\nb"),
}
NO_MATCHES = {
    "comment": ("#a", "#a"),
    "empty line": ("\n\n", "a"),
    "slash alone": ("/", "a"),
    "two slashes": ("//a", "a"),
    "anchored": ("/a", "x/a"),
    "path below": ("x/a", "y/x/a"),
    "folders only": ("a/", "a"),
    "star and slash": ("x/*", "x/y/a"),
    "question mark and slash": ("x?a", "x/a"),
    "class and slash": ("x[/]a", "x/a"),
    "class without an end": ("[a", "[a"),
    "class that there is not": ("[[:letter:]]", "l"),
    "backslash at the end": ("a\\", "a\\"),
    "all below, itself": ("x/**", "x"),
    "taken back": ("a\n!a", "a"),
    "another case": ("A", "a"),
    "blank in front": (" a", "a"),
}


@pytest.mark.parametrize(("text", "path"), MATCHES.values(), ids=MATCHES)
def test_it_matches(text: str, path: str) -> None:
    assert rules_of(()).below("", text).is_ignored(path, is_folder=False)


@pytest.mark.parametrize(("text", "path"), NO_MATCHES.values(), ids=NO_MATCHES)
def test_it_does_not_match(text: str, path: str) -> None:
    assert not rules_of(()).below("", text).is_ignored(path, is_folder=False)


def test_a_pattern_for_folders() -> None:
    rules = rules_of(()).below("", "a/\n/x/b/")
    assert [rules.is_ignored(path, is_folder=True) for path in ("a", "x/a", "x/b", "b")] == [True, True, True, False]
    assert not rules.is_ignored("x/b", is_folder=False)


def test_the_last_pattern_of_a_file_wins_whatever_its_form() -> None:
    forms = ("a.o", "*.o", "a.?", "/a.o", "/**/[a].o")
    for one in forms:
        for other in forms:
            rules = rules_of(()).below("", f"{one}\n!{other}\n")
            assert not rules.is_ignored("a.o", is_folder=False), (one, other)
            assert rules.below("", one).is_ignored("a.o", is_folder=False), (one, other)


def test_a_deeper_file_is_stronger_and_worker_yaml_the_strongest() -> None:
    outer = rules_of(("!kept.log", "/x/gone")).below("", "*.log\n*.txt")
    inner = outer.below("x", "!/a.log\n/b.txt\n!gone\nkept.log")
    assert [outer.is_ignored(path, is_folder=False) for path in ("x/a.log", "x/b.txt", "b.txt")] == [True, True, True]
    found = {path: inner.is_ignored(f"x/{path}", is_folder=False) for path in ("a.log", "y/a.log", "gone", "kept.log")}
    assert found == {"a.log": False, "y/a.log": True, "gone": True, "kept.log": False}


@pytest.mark.parametrize(
    "path",
    [
        *("4913", "src/.main.go.swp", "main.go~", ".#main.go", "#main.go#", "main.go___jb_tmp___"),
        *("main.go___jb_old___", ".main.go.kate-swp", ".goutputstream-AB12CD", "a.pyc", "x/app.log", "app.log.1"),
        *("data.db", "data.db-wal", "data.sqlite3-journal", ".git"),
    ],
)
def test_leftovers_and_what_programs_write_are_no_edits(path: str) -> None:
    assert rules_of(()).is_ignored(path, is_folder=False)
    assert not rules_of((f"!{Path(path).name.replace('#', '[#]')}",)).is_ignored(path, is_folder=False)


@pytest.mark.parametrize("path", ["node_modules", "x/__pycache__", ".venv", ".pytest_cache", ".idea"])
def test_folders_that_nobody_edits(path: str) -> None:
    assert rules_of(()).is_ignored(path, is_folder=True)
    assert not rules_of((f"!{Path(path).name}/",)).is_ignored(path, is_folder=True)


@pytest.mark.parametrize(
    "path", ["main.go", ".env", "log.go", "db.py", ".gitignore", "swap.swift", "vendor/x.go", "a.b#c"]
)
def test_sources_are_edits(path: str) -> None:
    assert not rules_of(()).is_ignored(path, is_folder=False)


def test_which_files_worker_yaml_names() -> None:
    rules = rules_of(("x/.gitignore", "*.o")).below("", ".gitignore")
    assert [rules.is_excluded(path) for path in (".gitignore", "x/.gitignore", "a.o")] == [False, True, True]


def test_a_file_without_patterns_costs_nothing() -> None:
    """A tree may have a hundred thousand of them."""
    rules = rules_of(())
    assert rules.below("x", "# nothing\n\n  \n[a\n/\n") is rules


HOSTILE = {
    "stars": "*a" * 40 + "*b",
    "a long end": "*" + "a" * 120 + "b",
    "question marks": "*" + "?" * 200 + "b",
    "classes": "*[a-z]" * 40 + "*[b]",
    "folders": "**/a/" * 40 + "b",
    "folders of stars": "**/*a*a*a/" * 25 + "b",
}


@pytest.mark.parametrize("pattern", HOSTILE.values(), ids=HOSTILE)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """With a backtracking expression the first would not end before this test's time is over."""
    rules = rules_of(()).below("", pattern)
    long, deep = "a" * 255, "/".join(["a"] * 100)
    assert not any(rules.is_ignored(f"{long}{number}", is_folder=False) for number in range(1000))
    assert not any(rules.is_ignored(f"{deep}/a{number}", is_folder=False) for number in range(1000))


def test_bounds() -> None:
    longest = "a" * ignoring.MAX_PATTERN
    assert rules_of((longest,)).is_ignored(longest, is_folder=False)
    with pytest.raises(TqunitsError, match=r"a pattern of x/\.gitignore has more than 500 characters"):
        rules_of(()).below("x", f"{longest}a")
    with pytest.raises(TqunitsError, match=r"watch\.ignore has more than 1000 patterns"):
        rules_of(("a",) * 1001)
    full = rules_of(("a",) * 500).below("", "a\n" * 500)
    assert full.count == 1000
    with pytest.raises(TqunitsError, match=r"x/\.gitignore and those above it have more than 1000 patterns"):
        full.below("x", "a")


@given(st.text(), st.text(min_size=1))
def test_any_text_is_rules(text: str, path: str) -> None:
    assert rules_of(()).below("", text).is_ignored(path, is_folder=False) in (True, False)


FOLDERS = ("", "a", "b", "a/a", "a/b", "b/!a")
NAMES = ("x", "ab", "a b", "#a", "!x", "x ", "]", "-x", "\\", "a.x", "*", "[x]")
ENVIRONMENT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": "/nonexistent"}


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    """A repository with a file of each name in each folder."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        done = process.run(
            ["git", "init", "--quiet", str(folder)], environment={**os.environ, **ENVIRONMENT}, timeout_s=30
        )
        assert done.returncode == 0, done.stderr
        for each in FOLDERS:
            (folder / each).mkdir(exist_ok=True)
            for file in NAMES:
                (folder / each / file).touch()
        yield folder


PIECE = st.one_of(
    st.sampled_from([*"ab x!#-.]", r"\*", r"\x", r"\!"]),
    st.sampled_from(["[ab]", "[!a]", "[^x]", "[a-x]", "[]x]", r"[\]x]", "[[:alpha:]]", "[[:x:]]", "[x", "[a/b]"]),
    st.sampled_from(["*", "?", "a", "x"]),
)
SEGMENT = st.one_of(st.just("**"), st.lists(PIECE, min_size=1, max_size=3).map("".join).filter(lambda s: "**" not in s))
LINE = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "", "!", "#"]),
    st.sampled_from(["", "/"]),
    st.lists(SEGMENT, min_size=1, max_size=3).map("/".join),
    st.sampled_from(["", "", "/"]),
    st.sampled_from(["", "", " ", r"\ ", "\r"]),
)
FILES = st.dictionaries(st.sampled_from(FOLDERS), st.lists(LINE, max_size=4).map("\n".join), max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES)
@example(files={"": "/**\n!/a", "a": "!x"})
@example(files={"": "*\n!a/\n!*.x", "a": "!ab\n/b/**"})
def test_it_is_what_git_does(files: Mapping[str, str], repository: Path) -> None:
    for folder in FOLDERS:
        (repository / folder / ".gitignore").unlink(missing_ok=True)
    for folder, text in files.items():
        (repository / folder / ".gitignore").write_text(text, newline="")
    paths = [*FOLDERS[1:], *(f"{folder}/{name}".removeprefix("/") for folder in FOLDERS for name in NAMES)]
    ours = [path for path in paths if is_ignored(path, files)]
    assert ours == ignored_by_git(repository, paths)


def is_ignored(path: str, files: Mapping[str, str]) -> bool:
    """Whether we ignore it, or a folder that it lies in, with these texts of .gitignore files."""
    rules = rules_of(())
    names = path.split("/")
    for count in range(len(names)):
        above, here = "/".join(names[:count]), "/".join(names[: count + 1])
        rules = rules.below(above, files[above]) if above in files else rules
        if rules.is_ignored(here, is_folder=here in FOLDERS):
            return True
    return False


def ignored_by_git(repository: Path, paths: Sequence[str]) -> list[str]:
    words = ("check-ignore", "--no-index", "--verbose", "--non-matching", "--stdin", "-z")
    fields = git(repository, *words, text="\0".join(paths)).split("\0")
    rows = zip(fields[0::4], fields[2::4], fields[3::4], strict=False)
    return [path for source, pattern, path in rows if source and not pattern.startswith("!")]


def git(folder: Path, *words: str, text: str = "") -> str:
    environment = {**os.environ, **ENVIRONMENT}
    done = process.run(["git", "-C", str(folder), *words], environment=environment, input=text, timeout_s=30)
    assert not done.stderr, done.stderr
    return done.stdout
