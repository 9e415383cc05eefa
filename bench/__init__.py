"""What is measured, and with what: a folder for each subject, `python -m bench.FOLDER` runs it from
the checkout.

router     what a request costs, beside nginx and HAProxy
endurance  what hostile clients and workers do to the router and to others
python     the router's Python alone, without the kernel or other programs
host       the commands, restarts under load, a build beside a worker, and other supervisors
init       what `tqunits init` writes, beside the hello-world servers of the runtimes

No test looks at a clock to judge speed; tests/test_bench.py runs those in little that need Python
alone.
"""
