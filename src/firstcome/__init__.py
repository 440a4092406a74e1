"""firstcome: coupon drops, first come, first served. The way of one request:

1. api.express        reads `POST /v1/campaigns/{id}/issuances`; api.auth says who is asking
2. issuance.intake    takes the claim; refuses it while the log is away
3. gate.batcher       lets arrivals wait while one call to Redis is under way
4. gate.gate          lua/admit.lua: duplicates, times, limit, position, journal; one atomic step
5. eventlog.kafka     appends the admitted batch as one record; 202 once the broker has it
6. issuance.recorder  polls, writes rows and outbox in one transaction, then commits offsets
7. gate.session       sets the settled bits, which a status is read from
8. issuance.status    answers `GET .../issuances/me`, waiting if asked to

That is the engine `kafka`. issuance.engines hands each claim to its campaign's engine: with
`queue` the gate's journal is the log (issuance.queue), `direct` is one transaction a claim.

What any step drops, issuance.sweeper finds in the journal and records; when Redis has lost its
memory, rebuild makes the gate anew from the database. laws checks the promises over all of it.
"""
