"""`python -m firstcome` is the command `firstcome`."""

from firstcome.cli import main

main()
