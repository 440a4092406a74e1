"""A real drop, measured and judged from where the users stand.

crowd.py arrivals.py tokens.py    who asks, when, and as whom; all of it from a seed
plan.py load.py connection.py     the generator's process: every request at its time
generators.py answers.py          its processes, and what they heard, in flat arrays
k6.py k6_*.py                     k6 instead: its command, its pulse, its summary
drop.py offering.py shopfront.py  the drop: make campaigns, ask
aftermath.py truth.py             wait until all is final; every single answer against the rows
measure.py environment.py         percentiles, CPU time, steal, memory; the machine
summary.py report.py progress.py  what it comes to: a document, a page, a live line

stack.py origin.py                a stack of one's own; where figures come from
scenarios.py columns.py           which crowds, which engines and variants
runner.py figures.py run.py       one scenario on a fresh stack, as one document
collect/                          what is looked at each second meanwhile, and where it goes
history.py compare/               all runs there ever were; engines side by side, as a report
"""
