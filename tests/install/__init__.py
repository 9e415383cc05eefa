"""Tests of `tqunits install` on a real systemd: the promises to the administrator, checked from
outside."""
