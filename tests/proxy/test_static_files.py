"""Files that the router sends, from real folders: every attempt to leave the folder fails, and no
descriptor stays open."""

from __future__ import annotations

import errno
import os
import resource
import socket
from pathlib import Path

import pytest
from sites import DATE, MODIFIED, NOW, ask, found, put, received

from tqunits.http.dates import read_date, write_date
from tqunits.http.fields import RequestFields
from tqunits.http.target import Target
from tqunits.proxy.routes.site import Answer, Site, Unsent

pytestmark = pytest.mark.usefixtures("no_descriptor_is_left")

PAGE = b"<!doctype html><title>page</title>\n" * 10
SCRIPT = b"console.log('a');\n" * 100
SECRET = b"secret"


@pytest.fixture
def public(folder: Path) -> Path:
    """A site: pages, a script with compressed siblings, and files that must not be sent."""
    root = folder / "public"
    put(root / "index.html", PAGE)
    put(root / "app.js", SCRIPT)
    put(root / "app.js.br", b"br of it")
    put(root / "app.js.gz", b"gzip of it")
    put(root / "logo.png", bytes(range(256)))
    put(root / "logo.png.gz", b"no")
    put(root / "empty.txt", b"")
    put(root / "a b/\N{SNOWMAN}.txt", b"snow")
    put(root / "docs/index.html", b"docs")
    put(root / "docs/deep/er/page.html", b"deep")
    put(root / "bare/file.txt", b"bare")
    put(root / ".well-known/security.txt", b"Contact: x")
    put(root / ".env", SECRET)
    put(root / ".git/config", SECRET)
    put(root / "docs/.htpasswd", SECRET)
    put(root / "index.php", SECRET)
    put(folder / "outside/secret.txt", SECRET)
    put(folder / "public-not/secret.txt", SECRET)
    (root / "link.txt").symlink_to(folder / "outside/secret.txt")
    (root / "inside-link.txt").symlink_to("app.js")
    (root / "link-folder").symlink_to(folder / "outside")
    (root / "docs/up").symlink_to("..")
    (root / "linked").mkdir()
    (root / "linked/index.html").symlink_to(folder / "outside/secret.txt")
    put(root / "style.css", b"plain")
    (root / "style.css.gz").symlink_to(folder / "outside/secret.txt")
    (root / "index.html.br").mkdir()
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "index.html.gz")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    return root


FILES = {
    "/": PAGE,
    "/index.html": PAGE,
    "/app.js": SCRIPT,
    "/logo.png": bytes(range(256)),
    "/empty.txt": b"",
    "/a%20b/%E2%98%83.txt": b"snow",
    "/docs/": b"docs",
    "/docs/deep/er/page.html": b"deep",
    "/bare/file.txt": b"bare",
    "/.well-known/security.txt": b"Contact: x",
    "/app.js.gz": b"gzip of it",
}


@pytest.mark.parametrize(("path", "content"), FILES.items(), ids=FILES.keys())
def test_a_file_is_sent_whole(public: Path, path: str, content: bytes) -> None:
    response = found(ask(public, path))
    assert (response.status, response.body) == (200, content)
    assert response.fields["Content-Length"] == str(len(content))
    assert response.fields["Last-Modified"] == write_date(MODIFIED).decode()
    assert response.fields["Accept-Ranges"] == "bytes"
    assert not {"Cache-Control", "Content-Encoding", "Connection"} & response.fields.keys()


@pytest.mark.parametrize(("path", "content"), FILES.items(), ids=FILES.keys())
def test_head_is_get_without_the_body(public: Path, path: str, content: bytes) -> None:
    get, head = found(ask(public, path)), found(ask(public, path, method="HEAD"))
    assert (head.status, head.fields, head.body) == (200, get.fields, b"")
    assert head.fields["Content-Length"] == str(len(content))


NOTHING_HERE = {
    "missing": "/missing.txt",
    "missing folder": "/missing/x",
    "below a file": "/app.js/x",
    "a file as a folder": "/app.js/",
    "a folder without an index": "/bare/",
    "a folder without an index, without a slash": "/bare",
    "hidden": "/.env",
    "in a hidden folder": "/.git/config",
    "hidden in a folder": "/docs/.htpasswd",
    "a hidden folder": "/.git/",
    "a program": "/index.php",
    "a link out": "/link.txt",
    "a link that stays inside": "/inside-link.txt",
    "through a link": "/link-folder/secret.txt",
    "a linked folder": "/link-folder/",
    "a linked folder without a slash": "/link-folder",
    "through a link upwards": "/docs/up/outside/secret.txt",
    "a link upwards": "/docs/up/app.js",
    "an index that is a link": "/linked/",
    "an index that is a link, without a slash": "/linked",
    "up": "/../outside/secret.txt",
    "up and down": "/docs/../../outside/secret.txt",
    "up, encoded": "/%2E%2E/outside/secret.txt",
    "up in one segment": "/..%2Foutside%2Fsecret.txt",
    "up from a folder in one segment": "/docs%2F..%2F..%2Foutside%2Fsecret.txt",
    "an encoded slash": "/docs%2Findex.html",
    "the root of the host": "//etc/passwd",
    "the root of the host, encoded": "/%2Fetc%2Fpasswd",
    "a NUL": "/app.js%00.txt",
    "the root's neighbour": "-not/secret.txt",
    "an empty segment": "/docs//index.html",
    "a FIFO": "/fifo",
    "a socket": "/socket",
    "a name that is too long": "/" + "a" * 256,
    "a path that is too deep": "/d" * 4000,
    "not UTF-8": "/%FF",
}


@pytest.mark.parametrize("path", NOTHING_HERE.values(), ids=NOTHING_HERE.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_no_file_of_the_site_is_not_answered(public: Path, path: str, method: str) -> None:
    assert ask(public, path, method=method) is None


def test_a_site_that_is_not_there_has_no_files(public: Path, folder: Path) -> None:
    assert ask(folder / "missing", "/") is None
    assert ask(public / "app.js", "/") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"])
def test_other_methods_are_the_programs_or_refused(public: Path, method: str) -> None:
    assert ask(public, "/app.js", method=method, alone=False) is None
    for path in ("/app.js", "/missing", "*"):
        response = found(ask(public, path, method=method))
        assert (response.status, response.fields["Allow"], response.body) == (405, "GET, HEAD", b"")
        assert response.fields["Content-Length"] == "0"


MOVED = {
    "a folder": ("", "/docs", "", "/docs/"),
    "with its query": ("", "/docs", "?a=/b&c", "/docs/?a=/b&c"),
    "below a route": ("/site", "/docs", "?", "/site/docs/?"),
}


@pytest.mark.parametrize(("route", "path", "query", "location"), MOVED.values(), ids=MOVED.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_folder_gets_its_slash(public: Path, route: str, path: str, query: str, location: str, method: str) -> None:
    response = found(ask(public, path, "If-None-Match: *", "If-Match: x", route=route, query=query, method=method))
    assert (response.status, response.fields["Location"], response.body) == (301, location, b"")
    assert response.fields["Content-Length"] == "0"


def test_the_route_itself_gets_its_slash(public: Path) -> None:
    """`/site` without a slash comes as "/", the rest after the route was removed."""
    fields, target = RequestFields(b"\r\n\r\n"), Target(b"", b"/site", b"?x", absolute=False)
    answer = Site(str(public), "/", alone=True).answer(b"GET", b"/", fields, target=target, date=DATE, close=False)
    assert isinstance(answer, Answer)
    assert received(answer).fields["Location"] == "/site/?x"
    bare = Site(str(public / "bare"), "/", alone=True)
    assert isinstance(bare.answer(b"GET", b"/", fields, target=target, date=DATE, close=False), Unsent)


PREFIXED = {
    "a file": ("/assets/app.js", 200),
    "the folder": ("/assets/", 200),
    "the folder without a slash": ("/assets", 301),
    "outside": ("/app.js", None),
    "no border": ("/assetsapp.js", None),
    "twice a slash": ("/assets//app.js", None),
    "other case": ("/Assets/app.js", None),
}


@pytest.mark.parametrize(("path", "status"), PREFIXED.values(), ids=PREFIXED.keys())
def test_a_site_below_a_prefix(public: Path, path: str, status: int | None) -> None:
    response = ask(public, path, prefix="/assets", alone=False)
    assert (response and response.status) == status


CODED = {
    "a browser": ("gzip, deflate, br", "br", b"br of it"),
    "gzip": ("gzip", "gzip", b"gzip of it"),
    "gzip first": ("gzip, br;q=0.5", "gzip", b"gzip of it"),
    "brotli refused": ("br;q=0, *", "gzip", b"gzip of it"),
    "none": ("identity", None, SCRIPT),
    "not even plain": ("identity;q=0", None, SCRIPT),
    "unknown": ("zstd", None, SCRIPT),
}


@pytest.mark.parametrize(("accept", "coding", "content"), CODED.values(), ids=CODED.keys())
def test_a_compressed_sibling_is_sent_to_who_takes_it(
    public: Path, accept: str, coding: str | None, content: bytes
) -> None:
    response = found(ask(public, "/app.js", f"Accept-Encoding: {accept}"))
    assert (response.status, response.body, response.fields.get("Content-Encoding")) == (200, content, coding)
    assert response.fields["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.fields["Vary"] == "Accept-Encoding"


def test_each_coding_has_a_tag_of_its_own(public: Path) -> None:
    put(public / "app.js.br", b"x" * 5)
    put(public / "app.js.gz", b"y" * 5)
    put(public / "app.js", b"z" * 5)
    tags = [found(ask(public, "/app.js", f"Accept-Encoding: {c}")).fields["ETag"] for c in ("br", "gzip", "identity")]
    assert len(set(tags)) == 3
    again = found(ask(public, "/app.js", "Accept-Encoding: gzip", f"If-None-Match: {tags[0]}"))
    assert (again.status, again.body) == (200, b"y" * 5)


@pytest.mark.parametrize(
    ("path", "content", "vary"),
    [
        pytest.param("/logo.png", bytes(range(256)), None, id="of an image"),
        pytest.param("/style.css", b"plain", "Accept-Encoding", id="a link"),
        pytest.param("/", PAGE, "Accept-Encoding", id="a folder and a FIFO"),
    ],
)
def test_siblings_that_are_none(public: Path, path: str, content: bytes, vary: str | None) -> None:
    response = found(ask(public, path, "Accept-Encoding: br, gzip"))
    assert (response.body, response.fields.get("Vary")) == (content, vary)
    assert "Content-Encoding" not in response.fields


def test_a_sibling_alone_is_no_file(public: Path) -> None:
    (public / "app.js").unlink()
    assert ask(public, "/app.js", "Accept-Encoding: br") is None


def test_not_modified_has_what_a_cache_needs_and_no_more(public: Path) -> None:
    fields = found(ask(public, "/app.js")).fields
    response = found(ask(public, "/app.js", f"If-None-Match: {fields['ETag']}"))
    assert (response.status, response.body) == (304, b"")
    assert response.fields == {name: fields[name] for name in ("Date", "ETag", "Vary")}
    by_date = found(ask(public, "/app.js", f"If-Modified-Since: {fields['Last-Modified']}", method="HEAD"))
    assert (by_date.status, by_date.fields) == (304, response.fields)


def test_a_condition_that_fails(public: Path) -> None:
    response = found(ask(public, "/app.js", 'If-Match: "x"', "Range: bytes=99999-"))
    assert (response.status, response.fields["Content-Length"], response.body) == (412, "0", b"")


def test_a_file_that_changes_has_another_tag_at_once(public: Path) -> None:
    tag = found(ask(public, "/app.js")).fields["ETag"]
    os.utime(public / "app.js", ns=(0, MODIFIED * 10**9 + 6))
    assert found(ask(public, "/app.js", f"If-None-Match: {tag}")).status == 200


@pytest.mark.parametrize(("offset", "said"), [(3600, 0), (1, 0), (0, 0), (-1, -1)], ids=str)
def test_last_modified_is_never_later_than_date(public: Path, offset: int, said: int) -> None:
    os.utime(public / "app.js", ns=(0, (NOW + offset) * 10**9))
    response = found(ask(public, "/app.js"))
    assert read_date(response.fields["Last-Modified"].encode(), 2025) == NOW + said


def test_a_time_before_time_is_sent_as_its_beginning(public: Path) -> None:
    os.utime(public / "app.js", ns=(0, -(10**18)))
    response = found(ask(public, "/app.js"))
    assert response.fields["Last-Modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert found(ask(public, "/app.js", f"If-None-Match: {response.fields['ETag']}")).status == 304


PARTS = {
    "the beginning": ("bytes=0-9", 206, "bytes 0-9/256", bytes(range(10))),
    "the middle": ("bytes=100-199", 206, "bytes 100-199/256", bytes(range(100, 200))),
    "the end": ("bytes=-6", 206, "bytes 250-255/256", bytes(range(250, 256))),
    "all": ("bytes=0-", 206, "bytes 0-255/256", bytes(range(256))),
    "beyond": ("bytes=256-", 416, "bytes */256", b""),
    "two": ("bytes=0-0,-1", 200, None, bytes(range(256))),
    "no range": ("bytes=x", 200, None, bytes(range(256))),
}


@pytest.mark.parametrize(("text", "status", "where", "content"), PARTS.values(), ids=PARTS.keys())
def test_parts(public: Path, text: str, status: int, where: str | None, content: bytes) -> None:
    response = found(ask(public, "/logo.png", f"Range: {text}"))
    assert (response.status, response.fields.get("Content-Range"), response.body) == (status, where, content)
    assert response.fields["Content-Length"] == str(len(content))


def test_a_part_says_of_the_file_what_the_whole_does(public: Path) -> None:
    whole, part = found(ask(public, "/app.js")), found(ask(public, "/app.js", "Range: bytes=1-1"))
    assert part.fields == {**whole.fields, "Content-Length": "1", "Content-Range": f"bytes 1-1/{len(SCRIPT)}"}


def test_a_part_of_a_compressed_sibling_is_of_its_bytes(public: Path) -> None:
    response = found(ask(public, "/app.js", "Accept-Encoding: br", "Range: bytes=0-1"))
    assert (response.status, response.body, response.fields["Content-Encoding"]) == (206, b"br", "br")
    assert response.fields["Content-Range"] == "bytes 0-1/8"


def test_head_has_no_parts(public: Path) -> None:
    response = found(ask(public, "/logo.png", "Range: bytes=0-9", method="HEAD"))
    assert (response.status, response.fields["Content-Length"]) == (200, "256")


def test_if_range_gives_the_whole_of_another_file(public: Path) -> None:
    fields = found(ask(public, "/logo.png")).fields
    for value, status in ((fields["ETag"], 206), ('"x"', 200), (fields["Last-Modified"], 200)):
        response = found(ask(public, "/logo.png", "Range: bytes=0-9", f"If-Range: {value}"))
        assert response.status == status
    response = found(ask(public, "/logo.png", "Range: bytes=999-", 'If-Range: "x"'))
    assert (response.status, len(response.body)) == (200, 256)


@pytest.mark.parametrize(
    ("path", "lines", "status"),
    [
        ("/app.js", (), 200),
        ("/app.js", ("Range: bytes=0-0",), 206),
        ("/docs", (), 301),
        ("/app.js", ("If-None-Match: *",), 304),
        ("/app.js", ('If-Match: "x"',), 412),
        ("/app.js", ("Range: bytes=-0",), 416),
    ],
    ids=str,
)
def test_the_last_answer_of_a_connection_says_so(public: Path, path: str, lines: tuple[str, ...], status: int) -> None:
    response = found(ask(public, path, *lines, close=True))
    assert (response.status, response.fields["Connection"]) == (status, "close")


@pytest.mark.parametrize("spare", range(8))
@pytest.mark.parametrize("path", ["/docs/deep/er/page.html", "/docs", "/docs/", "/app.js"])
def test_a_lack_of_descriptors_is_no_missing_file(public: Path, path: str, spare: int) -> None:
    """Let every open(2) fail in turn; the fixture checks that those before it are closed."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = os.open("/", os.O_PATH)  # the lowest free number: with it all below are in use
    os.close(used)
    taken = {int(number) for number in os.listdir("/proc/self/fd")}
    free = [number for number in range(used, used + spare + len(taken)) if number not in taken][: spare + 1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[spare], limits[1]))
    try:
        Site(str(public), "/", alone=True).answer(
            b"HEAD",
            path.encode(),
            RequestFields(b"\r\nAccept-Encoding: br\r\n\r\n"),
            target=Target(b"", path.encode(), b"", absolute=False),
            date=DATE,
            close=False,
        )
        assert spare >= 2
    except OSError as error:
        assert error.errno == errno.EMFILE and spare < 3
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
