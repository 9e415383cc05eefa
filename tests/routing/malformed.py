"""Texts that are no file of routing/versioned.py, whatever its members are."""

NO_DOCUMENTS = (b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"{}", b'{"version": 1}')
