"""The file of the routes, /var/lib/tqunits/routes.json: its keys, its version and its limits stand
here alone.

schema.py reads and writes all of it, as the values of routing/snapshot.py. document.py answers what
is asked of an installed file without making them, for that is most of the time that `tqunits ls`
would take. Both are interpreted: who installs and who lists does without the compiled library.
"""
