"""`python -m muster_stack` is the `muster` command, also where that is not on the PATH."""

from muster_stack.cli import main

main()
