"""How numbers are written: as many digits as they are worth, the same in every language."""

UNITLESS = {"count", "held", "records", "claims", "sessions"}
# What stands behind a number in running text and in the head of a row.
SHOWN_UNITS = {"us": "µs", "% of a core": "%"}


def said(value: float, unit: str) -> str:
    """Write a value without its unit; about three digits, thousands apart."""
    if unit == "count" or (unit == "/s" and value >= 100):
        return f"{round(value):,}"
    return number(value)


def number(value: float) -> str:
    """Write a number: whole from 100 on, one digit from 10 on, two below."""
    if value == 0 or abs(value) >= 99.95:
        return f"{value:,.0f}"
    if abs(value) >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}"


def with_unit(value: float, unit: str) -> str:
    """Write a value with its unit, for running text."""
    shown = SHOWN_UNITS.get(unit, unit)
    if unit in UNITLESS:
        return said(value, unit)
    return f"{said(value, unit)}{'' if shown == '/s' else ' '}{shown}"
