"""Programs that the units of workers run, each in the worker's sandbox and as the worker's own
user.

They import nothing of ours except each other, and only light modules of Python's own: they run once
per start or stop, so the interpreter's start is most of their cost. Every unit contains their
paths, so these files can not move.
"""
