"""A crowd, faults and a judge, three separate parts over one real stack of their own.

stack.py stage.py        the system as its users and operators reach it; one for a drill
history.py traffic.py    what every client of a seeded crowd did and heard, and when
faults.py                what a fault is: something breaks, is proven to have hit, and heals
processes.py endings.py  faults of processes: ended or standing still
data.py                  faults of data: an engine comes back with less than it had
crew.py points.py        faults of numbers (more recorders, two sweepers), and at failpoints
poison.py                faults of content: what nobody would write to the topic
links.py link.py wire.py a proxy between processes and engines
disturbances.py          faults of links: slow, frozen, cut, reset, refusing, replies lost
checker.py judge.py      the laws, from the clients' history and what is there at the end
waits.py                 how long everybody waited for a final status
ordeal.py                one fault from end to end, as the tests use it
schedule.py nemesis.py   many faults over one stack, from one seed
shop.py leg.py ledger.py a long run: campaigns as it goes, legs, and what all runs came to

rehearsal.py probes.py   the crowd of a drop while something breaks: every answer, every row
outages.py promises.py   Kafka away, PostgreSQL away, Redis wiped: promised, and seen
consumer_pause.py        all recorders pause: impact and recovery, by timeline.py
incident_report.py       the incident report, worded by incident_en.py, incident_ko.py; chart.py

The checker takes no word of the system for what clients can see themselves.
"""
