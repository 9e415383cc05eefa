"""tqunits: many small web workers as real, hardened systemd units behind one fast router."""

__version__ = "0.1.0"
