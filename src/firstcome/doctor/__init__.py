"""`firstcome doctor`: whether machine, settings and engines are fit for a drop.

    finding.py    one finding: what was seen, what it means, what to do
    machine.py    disk, memory, Python, open files, ports, keys
    gate.py       Redis: version, memory, persistence, the gate of every campaign
    database.py   PostgreSQL: version, durability, connections, tables
    slots.py      PostgreSQL: the slots of relays that follow its log
    log.py        Kafka: brokers, groups, topics
    doctor.py     Doctor: all of it, an engine that is away included

It reads only, and needs no process of ours.
"""

from firstcome.doctor.doctor import Doctor
from firstcome.doctor.finding import Finding, State

__all__ = ["Doctor", "Finding", "State"]
