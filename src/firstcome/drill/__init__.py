"""The fault harness: a crowd, faults and a judge, three separate parts over one real stack.

stack.py                 the system as its users and operators reach it: verbs and HTTP
history.py traffic.py    what every client of a seeded crowd did and heard, and when
faults.py                what a fault is: something breaks, is proven to have hit, and heals
processes.py endings.py  faults of processes: ended or standing still
data.py                  faults of data: an engine comes back with less than it had
links.py link.py wire.py a proxy between processes and engines
disturbances.py          faults of links: slow, frozen, cut, reset, refusing, replies lost
checker.py judge.py      the laws, from the clients' history and what is there at the end
ordeal.py                one fault from end to end

The checker takes no word of the system for what clients can see themselves.
"""
