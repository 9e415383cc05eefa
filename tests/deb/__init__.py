"""Tests of the Debian package on booted hosts: here in a container of each Debian; tests/vm/ has a
virtual machine.

`make test-deb` builds the packages (packaging/build-deb) and unpacks the hosts
(packaging/host-root).
"""
