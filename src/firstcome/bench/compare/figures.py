"""How numbers are written: as many digits as they are worth, the same in every language."""

import math

APART = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
UNITLESS = {"count", "held", "records", "claims", "sessions"}
# What stands behind a number in running text and in the head of a row.
SHOWN_UNITS = {"us": "µs"}


def said(value: float, unit: str) -> str:
    """Write a value without its unit; about three digits, thousands apart."""
    if unit == "%" and 99 < value < 100:
        return f"{math.floor(100 * value) / 100:.2f}"  # nearly all is not all
    if unit == "count" or (unit == "/s" and value >= 100):
        return f"{round(value):,}"
    return number(value)


def number(value: float) -> str:
    """Write a number: whole from 100 on, one digit from 10 on, two below; never 0 for a little."""
    if 0 < value < 0.005:
        return "<0.01"
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
    return f"{said(value, unit)}{'' if shown == '/s' else APART}{shown}"
