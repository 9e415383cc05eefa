"""Environment files: lines of NAME=value, read as systemd reads those of EnvironmentFile=
(systemd.exec(5)).

The launcher reads them at each start of a worker, so this module imports nothing: `re` alone would
take longer than the whole parsing. `check` and `install` read them with the same code.

A line is blank, a comment (# or ; first), or NAME=value. A value is one of three:

    plain     up to the end of the line, without blanks at its end; a backslash takes the character
              after it as it is, and at the end of a line it joins the next one
    'single'  everything as it stands, over several lines too
    "double"  over several lines too; a backslash goes before " \\ ` $ and at the end of a line,
              which is joined; before anything else it stays

Nothing is expanded: $NAME is five characters. A line ends with LF or CRLF. Text that systemd parses
differently from a shell, or from other parsers of such files, is a mistake here: `export`, blanks
around =, a comment or more text after a value. What systemd skips is a mistake too: a line without
=, an invalid name.

Messages show neither a value nor an invalid name: a misplaced line may be the secret itself.
"""

MAX_BYTES = 65536
"""The greatest size of a file, in bytes: a page or two is usual. execve(2) accepts no single
variable longer than 128 KiB."""

RESERVED = frozenset(
    (
        "WORKER_NAME",
        "WORKER_ROUTE",
        "WORKER_PATH",
        "WORKER_MODE",
        "WORKER_TYPE",
        "WORKER_PORT",
        "WORKER_SOCKET",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "NOTIFY_SOCKET",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "MAINPID",
        "MANAGERPID",
        "SYSTEMD_EXEC_PID",
        "CREDENTIALS_DIRECTORY",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "RUNTIME_DIRECTORY",
        "STATE_DIRECTORY",
        "CACHE_DIRECTORY",
        "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE",
    )
)
"""Variables that systemd or tqunits sets for the process (systemd.exec(5), "ENVIRONMENT VARIABLES
SET ...").

A worker has either WORKER_PORT or WORKER_SOCKET. A program sees how to listen by the one that is
missing.
"""

_BLANKS = " \t"
_ESCAPED = '"\\`$'  # the characters that a backslash escapes in double quotes
_LINE_ENDS = "save the file with line feeds as line ends"
_OWN_LINE = "put the comment on a line of its own, or the value in quotes if all of it is meant"


class Mistake(Exception):
    """Something wrong or doubtful, with its place. Line and column count from 1."""

    def __init__(self, line: int, column: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint


def parse(content: bytes) -> list[tuple[int, str, str]]:
    """Line, name and value of each variable, in order; of equal names the last one counts. Raises
    the first Mistake."""
    reading = Reading(content)
    if reading.mistakes:
        raise reading.mistakes[0]
    return reading.variables


def is_reserved(name: str, *, has_port: bool = True) -> bool:
    """Whether tqunits or systemd sets this variable for the worker, whatever a file says.

    PORT is reserved for a worker that listens on a port (`has_port`); otherwise it is an ordinary
    name.
    """
    return name in RESERVED or (name == "PORT" and has_port)


class Reading:
    """A whole file: its variables, all mistakes, and what is allowed but seldom meant."""

    def __init__(self, content: bytes, *, has_port: bool = True) -> None:
        self._has_port = has_port
        self.variables: list[tuple[int, str, str]] = []
        self.mistakes: list[Mistake] = []
        self.doubts: list[Mistake] = []
        self._text = self._decoded(content)
        self._line, self._counted = 1, 0  # the line that contains the character `_counted`
        self._known: set[str] = set()
        at = 0
        while at < len(self._text):
            try:
                at = self._next(at)
            except _Fault as fault:
                self.mistakes.append(self._mistake(fault.at, fault.message, fault.hint))
                at = self._end(fault.at) + 1

    def _decoded(self, content: bytes) -> str:
        """The text; empty when the bytes are not text, which is then the only mistake."""
        if len(content) > MAX_BYTES:
            message, hint = f"is larger than {MAX_BYTES // 1024} KiB", "put what is no variable in a credential"
            self.mistakes.append(Mistake(1, 1, message, hint))
            return ""
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            before = content[content.rfind(b"\n", 0, error.start) + 1 : error.start].decode()
            self.mistakes.append(Mistake(line, len(before) + 1, "is not UTF-8", "save the file as UTF-8"))
            return ""
        if text.startswith("\ufeff"):
            self.mistakes.append(Mistake(1, 1, "begins with a byte order mark", "save the file as UTF-8 without one"))
        return text.removeprefix("\ufeff")

    def _next(self, at: int) -> int:
        """Parse what begins with the line at this index; returns the index of the next line."""
        begin = self._after_blanks(at)
        end = self._end(begin)
        line = self._text[begin:end].removesuffix("\r")
        if line.startswith(("#", ";")):
            self._comment(begin, line)
        elif line:
            return self._assignment(begin, line)
        return end + 1

    def _comment(self, at: int, line: str) -> None:
        """Up to version 253 a backslash at the end of a comment joined the next line to it
        (systemd's NEWS)."""
        if line.endswith("\\"):
            raise _Fault(at + len(line) - 1, "a comment ends with a backslash", "remove the backslash")
        self._refuse_controls(at, at + len(line))

    def _assignment(self, at: int, line: str) -> int:
        name, equals, _ = line.partition("=")
        self._check_name(at, name, equals)
        self._note_name(at, name)
        value, after = self._value(at + len(name) + 1)
        self.variables.append((self._place(at)[0], name, value))
        return after

    def _check_name(self, at: int, name: str, equals: str) -> None:
        if not equals:
            raise _Fault(at, "a line without =", "write NAME=value, or # in front of a comment")
        if name.startswith(("export ", "export\t")):
            raise _Fault(at, "export is a word of the shell's", "leave it out: NAME=value")
        if name.rstrip(_BLANKS) != name:
            raise _Fault(at + len(name.rstrip(_BLANKS)), "blanks before =", "leave them out: NAME=value")
        if not (name.isascii() and name.isidentifier()):
            raise _Fault(at, "what stands before = is no name of a variable", "letters, digits and _, no digit first")

    def _note_name(self, at: int, name: str) -> None:
        if is_reserved(name, has_port=self._has_port):
            self._doubt(at, f"{name} is set by tqunits or systemd: what stands here does not count", "remove the line")
        elif name in self._known:
            self._doubt(at, f"{name} is set twice: this one counts", "remove the other")
        self._known.add(name)

    def _value(self, at: int) -> tuple[str, int]:
        """The value that begins here, and the index of the next line."""
        match self._text[at : at + 1]:
            case "'":
                return self._single(at)
            case '"':
                return self._double(at)
            case " " | "\t":
                return self._nothing(at)
            case _:
                return self._plain(at)

    def _nothing(self, at: int) -> tuple[str, int]:
        begin, end = self._after_blanks(at), self._end(at)
        if self._text[begin:end].removesuffix("\r"):
            message, hint = "blanks behind =", "leave them out, or put the value in quotes with them"
            raise _Fault(at, message, _OWN_LINE if self._text[begin] == "#" else hint)
        return "", end + 1

    def _single(self, at: int) -> tuple[str, int]:
        close = self._text.find("'", at + 1)
        if close < 0:
            raise _Fault(at, "a quote is not closed", "write ' at the end of the value, or put \" around it")
        self._refuse_controls(at, close, but="\r")
        return self._text[at + 1 : close], self._closed(close + 1)

    def _double(self, at: int) -> tuple[str, int]:
        text, parts, begin, close = self._text, list[str](), at + 1, at
        while True:
            close = text.find('"', begin) if close < begin else close
            if close < 0:
                raise _Fault(at, "a quote is not closed", "write \" at the end of the value, or put ' around it")
            backslash = text.find("\\", begin, close)
            if backslash < 0:
                break
            parts += text[begin:backslash], self._escaped(backslash)
            begin = backslash + 2
        self._refuse_controls(at, close, but="\r")
        self._doubt_expansion(at + 1, close)
        return "".join([*parts, text[begin:close]]), self._closed(close + 1)

    def _escaped(self, at: int) -> str:
        """What the backslash at this index and the next character mean in double quotes."""
        char = self._text[at + 1]
        if char == "\r":
            raise _Fault(at + 1, "a carriage return behind a backslash", _LINE_ENDS)
        if char in "nrt":
            hint = "a value in quotes may go over several lines; put it in ' if the backslash is meant"
            self._doubt(at, f"\\{char} stays a backslash and the letter {char}", hint)
        return char if char in _ESCAPED else "" if char == "\n" else f"\\{char}"

    def _closed(self, at: int) -> int:
        """Nothing may follow a closing quote."""
        begin, end = self._after_blanks(at), self._end(at)
        rest = self._text[begin:end].removesuffix("\r")
        if rest.startswith("#"):
            raise _Fault(begin, "a comment behind a value", "put it on a line of its own")
        if rest:
            raise _Fault(begin, "text behind the closing quote", 'put all of it in one pair of quotes: \\" is a " in "')
        return end + 1

    def _plain(self, begin: int) -> tuple[str, int]:
        parts: list[str] = []
        at = begin
        while True:
            end = self._end(at)
            backslash = self._text.find("\\", at, end)
            if backslash < 0:
                break
            self._refuse_comment(at, backslash)
            parts += self._text[at:backslash], self._taken(backslash)
            at = backslash + 2
        self._refuse_comment(at, end)
        line = self._text[at:end].removesuffix("\r")
        self._refuse_controls(begin, at + len(line))
        self._doubt_expansion(begin, end)
        return "".join(parts) + line.rstrip(_BLANKS), end + 1

    def _taken(self, at: int) -> str:
        """What the backslash at this index and the next character mean without quotes."""
        char = self._text[at + 1 : at + 2]
        if char == "\r":
            raise _Fault(at + 1, "a carriage return behind a backslash", _LINE_ENDS)
        if not char:
            raise _Fault(at, "a backslash joins a line that is not there", "remove it, or write it twice")
        if char.isalnum():
            self._doubt(at, f"\\{char} is {char}: without quotes a backslash goes", "put the value in ' to keep it")
        return "" if char == "\n" else char

    def _refuse_comment(self, begin: int, end: int) -> None:
        """Refuse a # after a blank, or at the beginning of a joined line."""
        at = self._text.find("#", begin, end)
        while at >= 0:
            if self._text[at - 1] in " \t\n" and (at > begin or self._text[at - 1] == "\n"):
                raise _Fault(at, "a comment behind a value", _OWN_LINE)
            at = self._text.find("#", at + 1, end)

    def _refuse_controls(self, begin: int, end: int, but: str = "") -> None:
        """Refuse NUL, which no variable can hold, and a carriage return within a line, which is a
        line end of another system."""
        for char, message, hint in (("\0", "a NUL", "remove it"), ("\r", "a carriage return in a line", _LINE_ENDS)):
            at = self._text.find(char, begin, end)
            if at >= 0 and char != but:
                raise _Fault(at, message, hint)

    def _doubt_expansion(self, begin: int, end: int) -> None:
        at = self._text.find("${", begin, end)
        while at >= 0:
            name = self._text[at + 2 : end].partition("}")[0]
            if name.isidentifier() and self._text[at - 1] != "\\":
                self._doubt(at, f"${{{name}}} is not put in: it is taken as it stands", "put it in ' if that is meant")
            at = self._text.find("${", at + 2, end)

    def _doubt(self, at: int, message: str, hint: str) -> None:
        self.doubts.append(self._mistake(at, message, hint))

    def _mistake(self, at: int, message: str, hint: str) -> Mistake:
        return Mistake(*self._place(at), message, hint)

    def _place(self, at: int) -> tuple[int, int]:
        """Line and column of an index. The indexes mostly increase, so counting goes on from the
        last one."""
        if at < self._counted:
            self._line, self._counted = 1, 0
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        return self._line, at - self._text.rfind("\n", 0, at)

    def _after_blanks(self, at: int) -> int:
        while self._text[at : at + 1] in (" ", "\t"):
            at += 1
        return at

    def _end(self, at: int) -> int:
        """The index of the end of this line."""
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found


class _Fault(Exception):
    """A mistake at an index, before its line and column are counted."""

    def __init__(self, at: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message
        self.hint = hint
