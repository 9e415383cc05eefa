"""How the gate ends: its exit statuses are its verdict.

They reach who asks systemd even where the journal's line does not, and those of a worker that is
not well are of the range that no specification has a name for (systemd.exec(5), PROCESS EXIT
CODES), so `systemctl status` prints them as they are.
"""

READY = 0
USAGE = 2  # the command line is wrong: INVALIDARGUMENT, as systemd calls it
UNHEALTHY = 150  # it answers, but not with such a status; the command exits with another than 0
SILENT = 151  # nothing listens at its address
SLOW = 152  # it listens, and gives no answer in time
FOREIGN = 153  # the answer is of another user's process: it has the worker's port
ELSEWHERE = 154  # the worker listens, at another address than its own
EXITED = 155  # the worker's process is gone
UNPLACED = 156  # it is healthy, but the file `serving` can not be made
