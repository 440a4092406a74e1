"""`python -m firstcome` is the command `firstcome`."""

from firstcome.cli.command import main

main()
