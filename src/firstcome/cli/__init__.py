"""The command line: one file per group of verbs; command.py puts them together."""
