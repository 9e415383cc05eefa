"""The exit statuses of the gate, which are its verdict.

systemd reports them even when the journal has lost the gate's line. Those of a worker that is not
healthy are in a range without names (systemd.exec(5), PROCESS EXIT CODES), so `systemctl status`
prints them as numbers.
"""

READY = 0
USAGE = 2  # the command line is wrong: INVALIDARGUMENT, as systemd calls it
UNHEALTHY = 150  # it answers with another status; the command does not exit with 0
SILENT = 151  # nothing listens at its address
SLOW = 152  # it listens, but does not answer in time
FOREIGN = 153  # a process of another user has the worker's port and answers
ELSEWHERE = 154  # the worker listens, but not at its address
EXITED = 155  # the worker's process has ended
UNPLACED = 156  # it is healthy, but the file `serving` can not be made
