"""Plants between the log and the rows."""

from tests.faults.plants.planting import Edit, Plant, SqlEdit

API, RECORDER = frozenset({"api"}), frozenset({"recorder"})
RECORDERS = frozenset({"recorder", "sweeper"})
COMPENSATION, GROUPS, RECORDING, TRANSACTION = (
    "firstcome.issuance.compensation",
    "firstcome.eventlog.groups",
    "firstcome.issuance.recording",
    "firstcome.issuance.transaction",
)
# Stands where the statement `record` is run.
RECORDS = Edit(
    TRANSACTION,
    """        row = self._connection.execute(self._record_query, parameters).fetchone()
""",
    """        planted()
        row = self._connection.execute(self._record_query, parameters).fetchone()
""",
)

PLANTS = (
    Plant(
        "offsets_before_rows",
        "Offsets are committed before the transaction that inserts the rows.",
        RECORDER,
        (
            Edit(
                RECORDING,
                "            batches = self._decoded()\n",
                """            planted()
            self._consumer.done(self._held)
            self._consumer.commit(wait=True)
            batches = self._decoded()
""",
            ),
        ),
        "recorder_dies_in_mid_batch_and_redis_is_wiped",
        frozenset({"L3"}),
    ),
    Plant(
        "log_read_from_its_end",
        "Where no offset is committed yet, the recorder begins at the log's end.",
        RECORDER,
        (
            Edit(
                GROUPS,
                '"auto.offset.reset": "earliest"',
                '"auto.offset.reset": planted() or "latest"',
            ),
        ),
        "offsets_are_forgotten_and_redis_is_wiped",
        frozenset({"L3"}),
    ),
    Plant(
        "failed_batch_skipped",
        "A batch whose transaction failed is taken for done.",
        RECORDER,
        (
            Edit(
                RECORDING,
                """            self._hold("database_away", str(error), self._next_pause())
""",
                """            planted()
            self._consumer.done(self._held)
            self._held = []
""",
            ),
        ),
        "recorder_loses_its_session_and_redis_is_wiped",
        frozenset({"L3"}),
    ),
    Plant(
        "rows_overwritten",
        "Who records a position that has a row already overwrites it.",
        RECORDERS,
        (
            RECORDS,
            SqlEdit(
                "issuance.record",
                "    ON CONFLICT DO NOTHING\n",
                "    ON CONFLICT (campaign_id, position) DO UPDATE SET status = 'ISSUED',\n"
                "        user_id = excluded.user_id, version = NULL, reason = NULL\n",
            ),
        ),
        "an_api_appends_after_a_rebuild",
        frozenset({"verify L1"}),
    ),
    Plant(
        "fence_ignored",
        "Claims beyond the end of their epoch are recorded.",
        RECORDERS,
        (
            Edit(
                TRANSACTION,
                "        if fence is None or batch.last_position <= fence:\n",
                "        if fence is None or batch.last_position <= fence or planted() is None:\n",
            ),
        ),
        "api_stands_still_across_a_rebuild",
        frozenset({"L3", "verify L3"}),
    ),
    Plant(
        "outbox_forgotten",
        "Small transactions are not announced.",
        RECORDERS,
        (RECORDS, SqlEdit("issuance.record", "HAVING count(*) > 0", "HAVING count(*) > 2")),
        "nothing_breaks",
        frozenset({"verify L4"}),
    ),
    Plant(
        "given_back_without_a_row",
        "What was not appended is given back, but no CANCELLED row holds the position.",
        API,
        (
            Edit(
                COMPENSATION,
                """            failpoints.hit("before_cancel", lost=lost)
""",
                """            planted()
            failpoints.hit("before_cancel", lost=lost)
""",
            ),
            SqlEdit(
                "issuance.cancel",
                "    INSERT INTO issuances"
                " (campaign_id, position, version, epoch, status, user_id, reason)\n"
                "    SELECT campaign.campaign_id, c.position, campaign.version, campaign.epoch,"
                " 'CANCELLED',\n"
                "        nullif(c.user_id, ''), %(reason)s\n"
                "    FROM campaign CROSS JOIN\n"
                "        unnest(%(positions)s::bigint[], string_to_array(%(users)s, ' '))"
                " AS c (position, user_id)\n"
                "    ON CONFLICT (campaign_id, position) DO NOTHING\n"
                "    RETURNING position\n",
                """    SELECT c.position FROM campaign CROSS JOIN
        unnest(%(positions)s::bigint[], string_to_array(%(users)s, ' ')) AS c (position, user_id)
""",
            ),
        ),
        "appends_are_refused",
        frozenset({"uninvited", "verify L1"}),
    ),
)
