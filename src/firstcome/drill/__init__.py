"""A crowd, faults and a judge, three separate parts over one real stack of their own.

stack.py stage.py        the system as its users and operators reach it; one for a drill
history.py traffic.py    what every client of a seeded crowd did and heard, and when
faults.py                what a fault is: something breaks, is proven to have hit, and heals
processes.py endings.py  faults of processes: ended or standing still
data.py                  faults of data: an engine comes back with less than it had
links.py link.py wire.py a proxy between processes and engines
disturbances.py          faults of links: slow, frozen, cut, reset, refusing, replies lost
checker.py judge.py      the laws, from the clients' history and what is there at the end
ordeal.py                one fault from end to end

rehearsal.py probes.py   the crowd of a drop while something breaks: every answer, every row
outages.py promises.py   Kafka away, PostgreSQL away, Redis wiped: promised, and seen
consumer_pause.py        all recorders pause: impact and recovery, by timeline.py
incident_report.py       the incident report, worded by incident_en.py, incident_ko.py; chart.py

The checker takes no word of the system for what clients can see themselves.
"""
