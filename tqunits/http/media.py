"""Media types of files by the extension of their names: one table of our own.

The host's /etc/mime.types, which Python's mimetypes reads, would make two hosts answer differently.
Types as registered with IANA; text is UTF-8. An extension that is not here is bytes and nothing
more (application/octet-stream), which browsers offer to save.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple


class Media(NamedTuple):
    """A media type as Content-Type says it. `shrinks`: worth compressing, so a compressed sibling
    is looked for."""

    type: bytes
    shrinks: bool


UNKNOWN: Final = Media(b"application/octet-stream", shrinks=False)

_SHRINK: Final = """
text/html                       html htm
text/css                        css
text/javascript                 js mjs cjs
text/plain                      txt text log conf ini
text/markdown                   md markdown
text/csv                        csv
text/tab-separated-values       tsv
text/calendar                   ics
text/vcard                      vcf
text/vtt                        vtt
text/xml                        xsl xslt
application/json                json map
application/ld+json             jsonld
application/geo+json            geojson
application/manifest+json       webmanifest
application/xml                 xml
application/xhtml+xml           xhtml
application/rss+xml             rss
application/atom+xml            atom
application/yaml                yaml yml
application/toml                toml
application/wasm                wasm
application/rtf                 rtf
application/vnd.ms-fontobject   eot
image/svg+xml                   svg
image/vnd.microsoft.icon        ico
image/bmp                       bmp
font/ttf                        ttf
font/otf                        otf
font/collection                 ttc
model/gltf+json                 gltf
"""

_DO_NOT: Final = """
image/png                       png
image/apng                      apng
image/jpeg                      jpg jpeg
image/gif                       gif
image/webp                      webp
image/avif                      avif
image/heic                      heic
image/jxl                       jxl
image/tiff                      tif tiff
audio/mpeg                      mp3
audio/mp4                       m4a
audio/aac                       aac
audio/flac                      flac
audio/ogg                       ogg oga opus
audio/wav                       wav
audio/midi                      mid midi
video/mp4                       mp4 m4v
video/webm                      webm
video/ogg                       ogv
video/quicktime                 mov
video/mp2t                      ts
application/vnd.apple.mpegurl   m3u8
application/dash+xml            mpd
font/woff                       woff
font/woff2                      woff2
model/gltf-binary               glb
application/pdf                 pdf
application/epub+zip            epub
application/zip                 zip
application/gzip                gz tgz
application/zstd                zst
application/x-bzip2             bz2
application/x-xz                xz
application/x-tar               tar
application/x-7z-compressed     7z
application/vnd.rar             rar
application/java-archive        jar
application/vnd.android.package-archive                                     apk
application/vnd.debian.binary-package                                       deb
application/msword                                                          doc
application/vnd.ms-excel                                                    xls
application/vnd.ms-powerpoint                                               ppt
application/vnd.openxmlformats-officedocument.wordprocessingml.document     docx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet           xlsx
application/vnd.openxmlformats-officedocument.presentationml.presentation   pptx
application/vnd.oasis.opendocument.text                                     odt
application/vnd.oasis.opendocument.spreadsheet                              ods
application/vnd.oasis.opendocument.presentation                             odp
"""


def media_of(name: bytes) -> Media:
    """The type of a file of that name; case does not count."""
    _, dot, extension = name.rpartition(b".")
    return _TYPES.get(extension.lower(), UNKNOWN) if dot else UNKNOWN


def _rows(table: str, *, shrinks: bool) -> Iterator[tuple[bytes, Media]]:
    for line in table.encode("ascii").split(b"\n"):
        kind, *extensions = line.split() or [b""]
        charset = b"; charset=utf-8" if kind.startswith(b"text/") else b""
        yield from ((extension, Media(kind + charset, shrinks)) for extension in extensions)


_TYPES: Final = {**dict(_rows(_SHRINK, shrinks=True)), **dict(_rows(_DO_NOT, shrinks=False))}
