"""The laws of a drop, as code: what must hold over gate, log and database at any time.

    findings.py   what is said of a law: results, violations, the two passes that confirm one
    kinds.py      every kind of violation, with the law it breaks and what it means
    rows.py       one snapshot of the database, in flat arrays
    decided.py    the laws that it alone can show: numbers, users, publication, decisions
    claims.py     every claim that log and journal know, against the rows
    places.py     what the gate holds, against the rows
    laws.py       Laws: the whole check, twice where something was found

It only reads. It stands beside the path of a request and nothing on the path needs it.
"""

from firstcome.laws.findings import LawResult, Violation
from firstcome.laws.laws import Laws

__all__ = ["LawResult", "Laws", "Violation"]
