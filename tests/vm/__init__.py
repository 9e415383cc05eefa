"""A virtual machine with a kernel, a disk and a power switch of its own, which runs Debian.

It is for tests that the container of tests/machine/ can not do: cgroup v2 on any host, a reboot
that includes the kernel, and a power cut.

    recipe.py    pure: which packages and files make an image, its name, mmdebstrap's command line
    image.py     makes the image of a recipe, once: build/vm/SUITE-HASH
    emulator.py  qemu's command line, its process, and whether KVM works here
    frames.py    pure: the frames on the control channel
    channel.py   the host's end of it
    agent.py     the guest's end: a program of its own, in the image
    guest.py     the interface for tests: run, read, write, reboot, cut_power
    folders.py   the folders for the disks of a run, and their removal

Facts about the design:

* *The channel* is a virtio-serial port, so it needs no network, and no line of the console or of
  the kernel gets in between. Its host end is one of a pair of sockets; qemu inherits the other.
  When qemu has ended, a reader that waits for an answer gets the end of the file at once.
* *A boot is a process of qemu.* With -no-reboot a guest's reboot ends it, as does a panic (panic=-1
  in the kernel's command line), and the next boot is another process with the same disk. So a
  channel never carries the rest of an earlier boot.
* *A power cut is SIGKILL.* What the guest has not written yet is in qemu's memory, and lost. What
  it has written but not flushed is partly lost too, as in a drive with a cache: of a qcow2 overlay,
  the tables with the places of clusters are in qemu's memory until the guest flushes. What it has
  flushed is in the page cache of the host, which is not cut. So cache=unsafe is correct here: it
  saves the host's own fsync, and still writes qemu's tables at a flush (bdrv_co_flush() in
  qemu's block/io.c: "Write back cached data to the OS even with cache=unsafe"). The guest mounts
  its disk with noauto_da_alloc: otherwise ext4 would flush for programs that rename without an
  fsync (ext4(5)), and a test would pass wrongly. tests/vm/test_guest.py checks both.
* *Nothing is left.* The kernel ends qemu with its parent (PR_SET_PDEATHSIG). The disks of a run are
  in build/vm/run-*, a folder that its run holds locked; the next run removes folders without a
  lock. The image is made in a mount namespace of its own, and mke2fs(8) fills it without mounting
  it.
"""
