"""What a process tells of itself in numbers.

catalogue.py      every metric, once: its name, meaning, labels and who tells it
instruments.py    the kinds of metric: plain numbers that the path adds to
endpoint.py       the port on which they are read, in Prometheus' format
reading.py        what another process tells, read from its port
pauses.py         how long the garbage collector and a busy event loop hold a process up

Whoever counts says `catalogue.SWEPT.add(3)`.
"""
