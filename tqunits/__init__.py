"""tqunits: many small web workers as real, hardened systemd units behind one fast router."""

__version__ = "1.0.0rc1"
