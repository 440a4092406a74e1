"""Plants in sweeper, mirror and rebuild."""

from tests.faults.plants.planting import Edit, LuaEdit, Plant

SWEEPER = frozenset({"sweeper"})
REBUILD = "firstcome.rebuild"

PLANTS = (
    Plant(
        "sweeper_off",
        "The sweeper records nothing of what is due.",
        SWEEPER,
        (
            Edit(
                "firstcome.issuance.sweeper",
                "        if not due:\n            return 0\n",
                "        if not due or planted() is None:\n            return 0\n",
            ),
        ),
        "api_dies_after_admission",
        frozenset({"undecided", "verify L3"}),
    ),
    Plant(
        "users_not_released",
        "The mirror leaves users of cancelled rows in the gate.",
        SWEEPER | {"api"},  # both mirror
        (LuaEdit("mirror", "if held == position then", "if false then"),),
        "appends_are_refused",
        frozenset({"verify L6"}),
    ),
    Plant(
        "holes_left_open",
        "The rebuild cancels no holes.",
        SWEEPER,
        (
            Edit(
                REBUILD,
                """            holes = connection.execute(_QUERIES["cancel_holes"], values).rowcount
""",
                """            planted()
            holes = 0
""",
            ),
        ),
        "api_dies_after_admission_and_redis_is_wiped",
        frozenset({"L6"}),
    ),
    Plant(
        "limit_not_raised",
        "The rebuild cancels holes without raising the limit.",
        SWEEPER,
        (Edit(REBUILD, '{"holes": holes}', '{"holes": planted() or 0}'),),
        "api_dies_after_admission_and_redis_is_wiped",
        frozenset({"L6", "verify L1"}),
    ),
    Plant(
        "recorders_not_waited_for",
        "The rebuild does not wait until recorders have reached the log's end.",
        SWEEPER,
        (
            Edit(
                REBUILD,
                "        while not self._log.has_reached(ends):\n",
                "        while planted():\n",
            ),
        ),
        "recorder_stands_still_and_redis_is_wiped",
        frozenset({"L3"}),
    ),
    Plant(
        "promises_not_waited_for",
        "The rebuild does not wait until nobody can be promised anything of the old epoch.",
        SWEEPER,
        (Edit(REBUILD, "        if wait > 0:\n", "        if wait > 0 and planted():\n"),),
        "api_stands_still_while_redis_is_wiped",
        frozenset({"L3"}),
    ),
)
