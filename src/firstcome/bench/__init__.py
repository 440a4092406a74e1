"""A real drop, measured and judged from where the users stand.

crowd.py arrivals.py tokens.py    who asks, when, and as whom; all of it from a seed
plan.py load.py connection.py     the generator's process: every request at its time
generators.py answers.py          its processes, and what they heard, in flat arrays
k6.py k6_*.py                     k6 instead: its command, its pulse, its summary
drop.py shopfront.py aftermath.py the drop: create, ask, wait until all is final
truth.py                          every single answer against the rows that are there
measure.py environment.py         percentiles, CPU time, steal, memory; the machine
summary.py report.py progress.py  what it comes to: a document, a page, a live line
"""
