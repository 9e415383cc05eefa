"""A virtual machine: a Debian with a kernel, a disk and a power switch of its own, for what the
container of tests/machine/ can not show: cgroup v2 whatever the host has, a reboot from the kernel
on, and a power cut.

    recipe.py    pure: which packages and files make an image, its name, mmdebstrap's command line
    image.py     makes the image of a recipe, once: build/vm/SUITE-HASH
    emulator.py  qemu's command line, its process, and whether KVM works here
    frames.py    pure: what goes over the control channel
    channel.py   the host's end of it
    agent.py     the guest's end: a program of its own, in the image
    guest.py     the machine as a test sees it: run, read, write, reboot, cut_power
    folders.py   where the disks of a run lie, and that they go

The facts that shape it:

* *The channel* is a virtio-serial port, so it needs no network, and no line of the console or of
  the kernel gets in between. Its host end is one of a pair of sockets, of which qemu inherits the
  other: when qemu is gone, whoever waits for an answer reads the end of the file at once.
* *A boot is a process of qemu.* With -no-reboot a guest's reboot ends it, as does a panic (panic=-1
  in the kernel's command line), and the next boot is another process over the same disk. So a
  channel never carries the rest of an earlier boot.
* *A power cut is SIGKILL.* What the guest has not written yet is memory of qemu's, and gone. What
  it has written but not flushed is partly gone too, as in a drive with a cache: of a qcow2 overlay,
  the tables that say where a cluster lies are in qemu's memory until the guest flushes. What it has
  flushed is in the page cache of the host, which lives on. So cache=unsafe is honest here: it
  spares the host's own fsync, and writes qemu's tables at a flush all the same (bdrv_co_flush() in
  qemu's block/io.c: "Write back cached data to the OS even with cache=unsafe"). The guest mounts
  its disk with noauto_da_alloc: ext4 would else flush for programs that rename without an fsync
  (ext4(5)), and a test would praise us for it. tests/vm/test_guest.py holds both ends.
* *Nothing is left.* The kernel ends qemu with its parent (PR_SET_PDEATHSIG). The disks of a run lie
  in build/vm/run-*, a folder that its run holds locked; the next run removes what nobody holds. The
  image is made in a mount namespace of its own, and mke2fs(8) fills it without mounting it.
"""
