"""Who acts by the command line, as the audit table names him."""

import getpass


def actor() -> str:
    """Return the operating system's user, marked as one who needed no operator's key."""
    return f"cli:{getpass.getuser()}"
