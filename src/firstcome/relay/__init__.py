"""Relays: what tells other systems of issued coupons. The contract is docs/events.md.

outbox       what has to be published, and what was; the same for every relay
look         one look into it: what waits is published
polling      looks again and again, woken by recorders
history      what was told of a campaign, compared with its rows; telling it again
confirming   reads back what Kafka Connect has published, and ends rows of the outbox
slot         the replication slot of relays that follow the write-ahead log: how it is
preparation  makes and drops slots and publications, when an operator says so
wal          follows the write-ahead log: takes the slot, looks once, and begins
following    one life of its stream: emitted, acknowledged, ended, confirmed
told         what need not be told again when it begins
pause        how long a relay waits after trouble
"""
