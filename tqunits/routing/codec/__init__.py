"""The file of the routes, /var/lib/tqunits/routes.json. Only this package has its keys, its version
and its limits.

schema.py reads and writes all of it, as the values of routing/snapshot.py. document.py answers
questions about an installed file without making these values, because that would take most of the
time of `tqunits ls`. Both are interpreted: install and `ls` do not load the compiled library.
"""
