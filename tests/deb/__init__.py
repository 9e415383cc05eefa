"""The Debian package on booted hosts: a container of each Debian here, a virtual machine in
tests/vm/.

`make test-deb` builds the packages (packaging/build-deb) and unpacks the hosts
(packaging/host-root).
"""
