"""The kind of an error line, in the spellings of all runtimes: one table.

Most errors are the kernel's (errno(3)): the line has its text, the name of its constant, or the
runtime's own class. The first row that matches counts, so more specific rows come first.
"""

from __future__ import annotations

from enum import StrEnum

from tqunits.late_pattern import late_pattern


class ErrorKind(StrEnum):
    """The kind of an error."""

    SYNTAX = "syntax-error"
    MODULE = "module-missing"
    PORT_TAKEN = "port-taken"
    READ_ONLY = "read-only"
    JIT = "write-execute"
    MEMORY = "out-of-memory"
    PERMISSION = "permission"
    NOT_PERMITTED = "not-permitted"
    ENVIRONMENT = "environment"
    REFUSED = "connection-refused"
    NO_PROGRAM = "program-missing"
    NO_FILE = "file-missing"
    OTHER = "error"


_PATTERNS: tuple[tuple[ErrorKind, tuple[str, ...]], ...] = (
    (
        ErrorKind.SYNTAX,
        (
            r"SyntaxError",
            r"IndentationError",
            r"TabError",
            r"[Ss]yntax error",
            r"[Pp]arse error",
            r"\.java:\d+: error:",
        ),
    ),
    (
        ErrorKind.JIT,
        (
            r"(?i:mprotect).*(?i:denied|permitted)",
            r"(?i:executable (memory|heap))",
            r"(?i:(reserve|allocate|commit)\w*\b.*code ?(cache|range|space))",
            r"SetPermissions",
            r"PermissionsMemory",
            r"MemoryDenyWriteExecute",
            r"error='(Operation not permitted|Permission denied)'.*errno",
            r"mark memory page as executable",  # OpenJDK
            r"Check failed: 12 == \(\*__errno_location",  # V8: it accepts only ENOMEM here
            r"runtime code generation failed",  # LuaJIT
            r"make JIT page .*executable",  # Ruby
            r"Failed to create CoreCLR",  # .NET
            r"write\+execute memory",  # Python's cffi
            r"Unable to allocate section memory",  # LLVM: numba
            r"cannot enable executable stack",  # the C library
        ),
    ),
    (
        ErrorKind.MODULE,
        (
            r"ModuleNotFoundError",
            r"No module named",
            r"ImportError",
            r"Cannot find (module|package)",
            r"ERR_MODULE_NOT_FOUND",
            r"cannot load such file",
            r"LoadError",
            r"ClassNotFoundException",
            r"NoClassDefFoundError",
            r"find or load main class",
            r"Unable to access jarfile",
            r"Can't locate \S+ in @INC",
            r"Class \"[^\"]*\" not found",
            r"Failed opening required",
            r"error while loading shared libraries",
            r"Could not find gem",
        ),
    ),
    (
        ErrorKind.PORT_TAKEN,
        (r"(?i:address (already )?in use)", r"EADDRINUSE", r"AddrInUse", r"(?i:port \d+ is (already )?in use)"),
    ),
    (ErrorKind.READ_ONLY, (r"(?i:read-only file ?system)", r"EROFS", r"ReadOnlyFilesystem")),
    (
        ErrorKind.MEMORY,
        (
            r"\bMemoryError\b",
            r"heap out of memory",
            r"OutOfMemoryError",
            r"(?i:out of memory)",
            r"Allowed memory size",
            r"memory allocation of \d+ bytes failed",
            r"(?i:cannot allocate memory)",
            r"ENOMEM",
            r"NoMemoryError",
        ),
    ),
    (ErrorKind.NOT_PERMITTED, (r"(?i:operation not permitted)", r"\bEPERM\b")),  # Rust calls both PermissionDenied
    (ErrorKind.PERMISSION, (r"(?i:permission denied)", r"EACCES", r"PermissionDenied", r"AccessDeniedException")),
    (
        ErrorKind.ENVIRONMENT,
        (
            r"unbound variable",
            r"parameter (null or )?not set",
            r"NotPresent\b",
            r"key not found: \"[A-Z]",
            r"\b[A-Z][A-Z0-9_]{2,}\b.{0,24}(not set|missing|required|undefined|not defined|must be set|unset)",
            r"(?i:\b(missing|undefined|required|no|unset)( environment)?( variable)?:?) [A-Z][A-Z0-9]*_[A-Z0-9_]+",
        ),
    ),
    (ErrorKind.REFUSED, (r"ECONNREFUSED", r"(?i:connection refused)", r"ConnectionRefused")),
    (
        ErrorKind.NO_PROGRAM,
        (r"command not found", r": \d+: (exec: )?\S+: not found", r"line \d+: (exec: )?\S+: not found"),
    ),
    (ErrorKind.NO_FILE, (r"(?i:no such file)", r"ENOENT", r"FileNotFound(Error|Exception)", r"kind: NotFound")),
)

_KINDS = tuple((kind, late_pattern("|".join(patterns))) for kind, patterns in _PATTERNS)


def kind_of(text: str) -> ErrorKind:
    """The kind of an error line; OTHER when the table does not know it."""
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), ErrorKind.OTHER)
