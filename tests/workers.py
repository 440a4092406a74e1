"""Which tests have to run on one worker of pytest-xdist, and which may go elsewhere.

Each worker has engines of its own. The tests of a file stay together, in their order, because they
share what their module starts. Listed here: files that share more than that, and files that share
less and take long.
"""

from xdist.scheduler import LoadScopeScheduling

# What takes longest begins first: nobody is to work on it alone at the end.
LONG = (
    "integration/test_local_stack.py",
    "own engines",
    "integration/test_dead_letters.py",
    "integration/test_rebuild_steps.py",
    "integration/test_console_campaigns.py",
    "integration/test_relay_wal.py",
    "integration/test_recording.py",
    "integration/test_relay_connect.py",
    "stack",
    "acceptance/test_events.py[debezium]",
    "acceptance/test_events.py[wal]",
    "acceptance/test_events.py[polling]",
    "faults/test_outages.py",
    "faults/test_sweep.py",
    "faults/test_links.py",
    "faults/test_scaling.py",
    "faults/test_selftest.py",
    "system/test_alerting_spent.py",
    "system/test_alerting_quiet.py",
    "system/test_alerting.py",
)
# What they share is started once for the whole session.
TOGETHER = {
    # Engines that are stopped.
    "integration/test_appender.py": "own engines",
    "integration/test_database_still.py": "own engines",
    "integration/test_intake.py": "own engines",
    "integration/test_status.py": "own engines",
    # The stack that nobody breaks.
    "acceptance/test_dead_letters.py": "stack",
    "acceptance/test_drop.py": "stack",
    "acceptance/test_k6.py": "stack",
    "acceptance/test_malformed.py": "stack",
    "acceptance/test_metrics.py": "stack",
    "acceptance/test_operator.py": "stack",
    "acceptance/test_user.py": "stack",
    "browser/test_console.py": "pages",
    "browser/test_console_states.py": "pages",
    # The stack on small disks.
    "system/test_disks.py": "small disks",
    "system/test_fsync.py": "small disks",
}
# A stack for each parameter of the module's fixture.
BY_PARAMETER = {"acceptance/test_events.py"}
# Each test may go to another worker.
APART = {
    "acceptance/test_bench.py",
    "faults/test_engines.py",
    "faults/test_faults.py",
    "faults/test_scaling.py",
    "faults/test_selftest.py",
}


class Workers(LoadScopeScheduling):
    """Hands companies of tests to workers."""

    def _split_scope(self, nodeid: str) -> str:
        return company_of(nodeid)


def rank_of(nodeid: str) -> int:
    """Return which companies begin before others: the lowest first."""
    names = (company_of(nodeid), path_of(nodeid))
    return next((rank for rank, long in enumerate(LONG) if long in names), len(LONG))


def path_of(nodeid: str) -> str:
    """Return a test's file."""
    return nodeid.removeprefix("tests/").partition("::")[0]


def company_of(nodeid: str) -> str:
    """Return the name of the tests that a test has to stay with."""
    path, _, test = nodeid.removeprefix("tests/").partition("::")
    if path in APART:
        return nodeid
    if path in BY_PARAMETER:
        return path + test[test.find("[") :]
    return TOGETHER.get(path, path)
