"""Runs as they could have been, for the tests of what is made of them."""

import msgspec

from firstcome.bench.run import BUILT_IN, Distribution, Load, Outcome, Run


def a_run(*, per_second: float = 1000.0, p95: float = 10.0, **changes: object) -> Run:
    """Return a run in which all went well."""
    times = Distribution.of(p95 / 1000 for _ in range(10))
    load = Load(
        generator=BUILT_IN,
        seconds=10.0,
        requests=1200,
        served=1100,
        refused=90,
        overloaded=10,
        faults=0,
        http_ms=times,
        iteration_ms=times,
        requests_per_second_max=130.0,
        virtual_users_min=256,
        virtual_users_max=256,
        bytes_sent=120_000,
        bytes_received=240_000,
    )
    outcome = Outcome(
        accepted=1000,
        issued=1000,
        expected=1000,
        lost=0,
        doubled=0,
        oversold=0,
        unsold=0,
        accepted_ms=times,
        refused_ms=times,
        issued_ms=times,
        accepted_per_second=per_second,
        persisted_per_second=per_second,
        final_after_seconds=0.1,
        cpu_seconds={"api": 0.1, "postgres": 0.2},
        redis_bytes_per_user=None,
        held=True,
        broken=[],
    )
    run = Run(
        at="2026-01-02 03:04:05",
        commit="abc1234",
        environment={"cores": "2"},
        setup={"scenario": "whole"},
        engine="kafka",
        scenario="source",
        seed=1,
        repetition=1,
        load=load,
        outcome=outcome,
        calibration_ms=80.0,
        steal_percent=0.1,
        others_percent=1.0,
    )
    return msgspec.structs.replace(run, **changes)
