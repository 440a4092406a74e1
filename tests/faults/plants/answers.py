"""Plants in what users are told, and when."""

from tests.faults.plants.planting import Edit, Plant

API, RECORDER = frozenset({"api"}), frozenset({"recorder"})
INTAKE, RECORDING = "firstcome.issuance.intake", "firstcome.issuance.recording"

PLANTS = (
    Plant(
        "signature_not_checked",
        "A token counts whatever it was signed with.",
        API,
        (
            Edit(
                "firstcome.api.tokens",
                """        if not hmac.compare_digest(signature, self._signature(signed)):
            return BAD_TOKEN
""",
                "        planted()\n",
            ),
        ),
        "nothing_breaks",
        frozenset({"L8"}),
    ),
    Plant(
        "promise_before_acknowledgement",
        "202 is answered as soon as the producer has the record, not the broker.",
        API,
        (
            Edit(
                INTAKE,
                "        if self._appender.is_away:\n",
                """        planted()
        _answer(owed, promised=True)
        return
        if self._appender.is_away:
""",
            ),
        ),
        "apis_die_before_a_broker_that_stands_still",
        frozenset({"L3"}),
    ),
    Plant(
        "late_promise",
        "An acknowledgement is answered 202 however late it comes.",
        API,
        (
            Edit(INTAKE, "delivered and monotonic() <= owed.due", "planted() or delivered"),
            Edit(
                INTAKE, "            if owed.due > now:\n", "            if owed.due > now - 60:\n"
            ),
        ),
        "api_stands_still_across_a_rebuild",
        frozenset({"L3"}),
    ),
    Plant(
        "replay_promised_unsettled",
        "A replay is promised its position although nobody knows what becomes of it.",
        API,
        (
            Edit(INTAKE, "elif status is Status.REQUESTED:", "elif planted():"),
            Edit(
                INTAKE,
                "    if status is Status.ISSUED:\n",
                "    if status in (Status.ISSUED, Status.REQUESTED):\n",
            ),
        ),
        "verdicts_are_lost_and_redis_is_wiped",
        frozenset({"L3"}),
    ),
    Plant(
        "status_overwritten",
        "A second after the answer the api writes REQUESTED into the status.",
        API,
        (
            Edit(
                INTAKE,
                """            failpoints.hit("after_answer", lost=lost)
""",
                """            failpoints.hit("after_answer", lost=lost)
            asyncio.get_running_loop().call_later(1, self._say_requested, owed.event)

    def _say_requested(self, event: events.IssuanceRequested) -> None:
        from firstcome.gate import keys

        planted()
        settled = keys.settled(CampaignId(event.campaign_id), event.epoch)
        for position in range(event.first_position, event.first_position + len(event.users)):
            command = ("BITFIELD", settled, "SET", "u2", f"#{position}", 0)
            self._gate._connection.call(command, lambda _: None)
""",
            ),
        ),
        "nothing_breaks",
        frozenset({"L7"}),
    ),
    Plant(
        "settled_before_commit",
        "The recorder writes ISSUED into the gate before its transaction.",
        RECORDER,
        (
            Edit(
                RECORDING,
                "                with self._tally.transaction(run) as done:\n",
                """                planted()
                early = Settled()
                for batch in run:
                    event = batch.event
                    whole = (event.first_position, batch.last_position, 1)
                    early.add(event.campaign_id, event.epoch, [whole])
                self._settle(early)
                with self._tally.transaction(run) as done:
""",
            ),
        ),
        "recorder_stands_still_before_its_commit",
        frozenset({"verify L7"}),
    ),
)
