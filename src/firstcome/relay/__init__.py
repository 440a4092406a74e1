"""Relays: what tells other systems of issued coupons. The contract is docs/events.md.

outbox       what has to be published, and what was; the same for every relay
polling      reads the outbox, woken by recorders
history      what was told of a campaign, compared with its rows; telling it again
slot         the replication slot of relays that follow the write-ahead log: how it is
preparation  makes and drops slots and publications, when an operator says so
"""
