"""Programs that the units of workers run: each alone, in the worker's sandbox, as the worker's own
user.

They import nothing of ours but each other, and of Python what is built in: they run once per start
or stop, so the interpreter is most of their cost. Their paths stand in every unit, so they stay
where they are.
"""
