"""The composition root: which parts make each process, how it starts, drains and stops.

One file a process, named as `firstcome serve` names it; parts.py has what several of them and the
command line need. One colour per process: asyncio in api and console, a plain blocking loop in
the others. Every process logs `ready` once it can work, finishes what it owes on SIGTERM, and then
exits 0.
"""
