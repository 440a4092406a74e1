"""Plants in the gate, and in what the api makes of its verdicts."""

from tests.faults.plants.planting import Edit, LuaEdit, Plant

API = frozenset({"api"})
CONNECTION, GATE, INTAKE = (
    "firstcome.gate.connection",
    "firstcome.gate.gate",
    "firstcome.issuance.intake",
)

PLANTS = (
    Plant(
        "duplicates_admitted",
        "The gate does not look whether a user is in already.",
        API,
        (
            LuaEdit(
                "admit",
                """        taken = redis.call("HSETNX", bucket, user, packed) == 1
""",
                """        redis.call("HSET", bucket, user, packed)
        taken = true
""",
            ),
        ),
        "nothing_breaks",
        frozenset({"contradicted", "L3"}),
    ),
    Plant(
        "limit_off_by_one",
        "The gate gives one position beyond the limit.",
        API,
        (
            LuaEdit(
                "admit", "tonumber(gate[6]) - first + 1 or 0", "tonumber(gate[6]) - first + 2 or 0"
            ),
        ),
        "nothing_breaks",
        frozenset({"L3", "verify L1"}),
    ),
    Plant(
        "journal_forgotten",
        "The gate admits without writing the journal.",
        API,
        (
            LuaEdit(
                "admit",
                """redis.pcall("XADD", KEYS[2], first .. "-0", "u", table.concat(users, " "),
        "a", keyed and table.concat(attempts, " ") or "", "t", ARGV[2])
""",
                "false\n",
            ),
        ),
        "api_dies_after_admission",
        frozenset({"undecided", "verify L3"}),
    ),
    Plant(
        "epoch_not_checked",
        "Neither the gate nor the api notices that Redis is another life of the server.",
        API,
        (
            LuaEdit("admit", "if gate[1] ~= ARGV[1] then", "if not gate[1] then"),
            Edit(
                GATE,
                "if epoch is not None and epoch.run_id != self._connection.run_id:",
                "if planted():",
            ),
            Edit(
                GATE,
                "return split[0] if split and split[1] == self._connection.run_id else None",
                "return split[0] if split else None",
            ),
        ),
        "redis_returns_with_an_old_file",
        frozenset({"L3"}),
    ),
    Plant(
        "positions_from_the_top",
        "The gate gives the highest free positions first.",
        API,
        (
            LuaEdit(
                "admit",
                """local first = tonumber(gate[5]) + 1
local free = refusal == SOLD_OUT and tonumber(gate[6]) - first + 1 or 0
""",
                """local asked = (#ARGV - 2) / 3
local first = tonumber(gate[6]) - tonumber(gate[5]) - asked + 1
local free = refusal == SOLD_OUT and first > 0 and asked or 0
""",
            ),
            # Its ids have to rise.
            LuaEdit(
                "admit",
                """redis.pcall("XADD", KEYS[2], first .. "-0",""",
                "select(1,",
            ),
            LuaEdit("admit", "first + admitted - 1)", "tonumber(gate[5]) + asked)"),
        ),
        "nothing_breaks",
        frozenset({"L5"}),
    ),
    Plant(
        "users_mixed_up",
        "In the record each position of a batch names the next claim's user.",
        API,
        (
            Edit(
                INTAKE,
                "                first,\n                users,\n",
                "                first,\n                planted() or users[1:] + users[:1],\n",
            ),
        ),
        "nothing_breaks",
        frozenset({"L3"}),
    ),
    Plant(
        "gate_call_repeated",
        "A gate call whose reply was lost is sent again, as client libraries like to do.",
        API,
        (
            Edit(
                GATE,
                """        if not isinstance(reply, list):
            self._claims_failed(""",
                """        if isinstance(reply, GateUnavailable) and not reply.certain:
            import asyncio

            planted()
            again = partial(self._return_claims, entrance, batch)
            asyncio.get_running_loop().call_later(3, again)
        elif not isinstance(reply, list):
            self._claims_failed(""",
            ),
        ),
        "redis_stands_still",
        frozenset({"contradicted"}),
    ),
    Plant(
        "replies_shifted",
        "After a reply that came too late, every caller gets the reply of the one before him.",
        API,
        (
            Edit(
                CONNECTION,
                """                self.run_id = None
                wire.abort()
            # Not wait_for""",
                """                if planted() is None and wire.sent[0].repeat is not None:
                    asyncio.get_running_loop().call_later(2, wire.abort)
                _tell(wire.sent.popleft(), GateUnavailable("no reply in time"))
            # Not wait_for""",
            ),
            # Else a status read of another length than its reply is the last one.
            Edit(
                GATE,
                "for asked, value in zip(batch, reply, strict=True):",
                "for asked, value in zip(batch, reply, strict=False):",
            ),
        ),
        "redis_stands_still",
        # Whether one user hears of two places, or of a stranger's, is up to the order of replies.
        frozenset({"L7"}),
    ),
)
