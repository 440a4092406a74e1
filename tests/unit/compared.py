"""Made-up runs for the tests of the comparison report: figures like those of life, from a seed."""

import math
import random
from typing import Any

import msgspec

from firstcome.bench.collect.samples import Sample
from firstcome.bench.run import BUILT_IN, K6, Comparison, Distribution, Load, Loss, Outcome, Run

ENGINES = ("direct", "direct-conditional", "queue", "kafka")
ROWS_PER_SECOND = {"direct": 700, "direct-conditional": 820, "queue": 21_500, "kafka": 19_800}
WAITS_MS = {"direct": 2100.0, "direct-conditional": 1700.0, "queue": 11.0, "kafka": 14.0}
STEADY_MS = {"direct": 4.1, "direct-conditional": 4.0, "queue": 6.8, "kafka": 8.2}
CPU_US = {"direct": 1150.0, "direct-conditional": 1010.0, "queue": 58.0, "kafka": 66.0}
STEADY_CPU_US = {"direct": 640.0, "direct-conditional": 620.0, "queue": 690.0, "kafka": 900.0}
ENVIRONMENT = {
    "cores": "2",
    "kernel": "6.18",
    "python": "3.11.7",
    "cpu": "AMD EPYC",
    "memory": "24 GiB",
    "postgres": "18.6",
    "redis": "valkey 8.1.8",
    "kafka": "4.3.1",
}

STARTED_AT = 1_795_000_000.0

LOSSES = [
    Loss("queue", "everysec", "standing still", 1, 1000.0, 29_000, 985, 12, 1.4, "cut off", []),
    Loss("kafka", "everysec", "standing still", 1, 1000.0, 29_000, 0, 0, None, "cut off", ["L5"]),
]


def distribution(count: int, med: float) -> Distribution:
    """Times around a median, with the long tail that waiting has."""
    parts = (1.15 * med, 0.3 * med, med, 9 * med, 1.9 * med, 2.4 * med, 4 * med)
    return Distribution(count, *(round(part, 3) for part in parts))


def run(
    engine: str = "kafka",
    scenario: str = "source",
    generator: str = BUILT_IN,
    repetition: int = 1,
    seed: int = 1,
    seconds: float = 20.0,
    **changes: Any,
) -> Run:
    """Return a run; `changes` replace fields of the run, its load or its outcome."""
    noise = random.Random(f"{engine} {scenario} {generator} {repetition} {seed}")
    near = noise.uniform(0.97, 1.03)
    made = Run(
        at="2026-11-21T18:40:00Z",
        commit="daef315",
        environment=ENVIRONMENT,
        setup={"stack": "--api 1 --recorder 1", "scenario": scenario},
        engine=engine,
        scenario=scenario,
        seed=seed,
        repetition=repetition,
        load=_load(engine, scenario, generator, seconds, near),
        outcome=_outcome(engine, scenario, seconds, near),
        calibration_ms=round(100 * noise.uniform(0.99, 1.02), 2),
        steal_percent=round(noise.uniform(0, 0.3), 2),
        others_percent=round(noise.uniform(1, 4), 2),
        samples=_samples(engine, scenario, seconds, noise),
        started_at=STARTED_AT,
    )
    load, outcome = (
        {name: value for name, value in changes.items() if name in part.__struct_fields__}
        for part in (Load, Outcome)
    )
    changes = {name: value for name, value in changes.items() if name in Run.__struct_fields__}
    return msgspec.structs.replace(
        made,
        load=msgspec.structs.replace(made.load, **load),
        outcome=msgspec.structs.replace(made.outcome, **outcome),
        **changes,
    )


def comparison(
    runs: list[Run] | None = None, repetitions: int = 3, *, quick: bool = False
) -> Comparison:
    """Return a comparison; without runs that of every engine, scenario and generator."""
    made = everything(repetitions) if runs is None else runs
    at = "2026-11-21T18:30:00Z"
    return Comparison(at, "daef315", ENVIRONMENT, quick, repetitions, made, LOSSES)


def everything(repetitions: int, seconds: float = 20.0) -> list[Run]:
    """Return a run of each kind and repetition; the engines take turns."""
    kinds = [
        (scenario, generator)
        for scenario in ("source", "spike", "steady", "repeat", "sold-out", "saturation")
        for generator in (BUILT_IN, K6)
        if (scenario, generator) != ("saturation", K6)
    ]
    return [
        run(engine, scenario, generator, repetition, seconds=seconds)
        for repetition in range(1, repetitions + 1)
        for scenario, generator in kinds
        for engine in ENGINES
    ]


def _rate(engine: str, scenario: str, generator: str) -> float:
    """Return the answers a second that an engine gives."""
    most = ROWS_PER_SECOND[engine]
    asked = {"steady": 400.0, "source": 5500.0, "repeat": 6000.0, "sold-out": 6000.0}
    rate = min(asked.get(scenario, 60_000.0), most * (4 if engine.startswith("direct") else 1))
    return rate if generator == BUILT_IN else min(rate, 2600.0)


def _load(engine: str, scenario: str, generator: str, seconds: float, near: float) -> Load:
    requests = int(_rate(engine, scenario, generator) * seconds * near)
    slow = engine.startswith("direct") and scenario != "steady"
    overloaded = int(0.06 * requests) if slow else 0
    faults = int(0.002 * requests) if slow else 0
    served = min(int(ROWS_PER_SECOND[engine] * seconds), requests // 3)
    med = (STEADY_MS if scenario == "steady" else WAITS_MS)[engine] * near
    users = {"steady": 400, "source": 5000, "spike": 5000}.get(scenario, 1000)
    return Load(
        generator=generator,
        seconds=seconds,
        requests=requests,
        served=served,
        refused=requests - served - overloaded - faults,
        overloaded=overloaded,
        faults=faults,
        http_ms=distribution(requests, med),
        iteration_ms=distribution(requests, 1.2 * med),
        requests_per_second_max=1.6 * requests / seconds,
        virtual_users_min=1 if generator == K6 else users,
        virtual_users_max=users,
        bytes_sent=requests * 412,
        bytes_received=requests * 298,
    )


def _outcome(engine: str, scenario: str, seconds: float, near: float) -> Outcome:
    saturation = scenario == "saturation"
    rate = 400.0 if scenario == "steady" else ROWS_PER_SECOND[engine] * near
    issued = int(rate * seconds) if saturation or scenario == "steady" else 20_000
    med = (STEADY_MS if scenario == "steady" else WAITS_MS)[engine] * near
    cost = (STEADY_CPU_US if scenario == "steady" else CPU_US)[engine] * near * issued / 1e6
    roles = ("api", "postgres") if engine.startswith("direct") else ("api", "recorder", "redis")
    return Outcome(
        accepted=issued,
        issued=issued,
        expected=issued,
        lost=0,
        doubled=0,
        oversold=0,
        unsold=0,
        accepted_ms=distribution(issued, med),
        refused_ms=distribution(issued, 0.6 * med),
        issued_ms=distribution(issued, med if len(roles) == 2 else 2.2 * med),
        accepted_per_second=1.01 * rate,
        persisted_per_second=round(rate, 1),
        final_after_seconds=0.0 if len(roles) == 2 else 0.05,
        cpu_seconds={role: cost / len(roles) for role in roles},
        redis_bytes_per_user=None if len(roles) == 2 else 20.3,
        held=True,
        broken=[],
    )


def _samples(engine: str, scenario: str, seconds: float, noise: random.Random) -> list[Sample]:
    rate, issued, found = _rate(engine, scenario, BUILT_IN), 0.0, []
    direct = engine.startswith("direct")
    for second in range(int(seconds) + 3):
        on = 0 < second <= seconds
        now = rate * (1 + 0.08 * math.sin(second)) * noise.uniform(0.95, 1.05) if on else 0.0
        share = 0.12 if direct else 0.4
        issued = min(20_000 if scenario != "saturation" else 1e9, issued + now * share)
        values = {
            "requests_per_second": {
                "served": now * share,
                "refused": now * (0.82 if direct else 0.6),
                "overloaded": now * 0.06 if direct else 0.0,
            },
            "issued_total": {"": issued},
            "process_cpu_percent": _cpu(direct, on, noise),
            "machine_steal_percent": {"": noise.uniform(0, 0.4)},
            "postgres_connections": {"active": 38.0 if direct and on else 2.0, "idle": 5.0},
            "postgres_connections_max": {"": 100.0},
            "postgres_lock_waits": {"": noise.uniform(20, 36) if direct and on else 0.0},
            "postgres_deadlocks_total": {"": 0.0},
            "lock_timeouts_total": {"": 0.0},
            "redis_memory_bytes": {"": 4e6 + issued * 20},
        }
        if not direct:
            values["consumer_lag_records"] = {"": noise.uniform(1, 9) if on else 0.0}
            values["consumer_lag_claims"] = {"": noise.uniform(80, 420) if on else 0.0}
        if engine == "kafka":
            values["broker_written_bytes_per_second"] = {"": now * 60}
            values["broker_read_bytes_per_second"] = {"": now * 75}
        found.append(Sample(STARTED_AT + second * 1.001, values))
    return found


def _cpu(direct: bool, on: bool, noise: random.Random) -> dict[str, float]:
    busy = {"postgres": 95.0, "api": 35.0} if direct else {"postgres": 30.0, "api": 82.0}
    if not direct:
        busy |= {"recorder": 34.0, "redis": 22.0, "kafka": 18.0}
    return {role: (share if on else 1.0) * noise.uniform(0.9, 1.08) for role, share in busy.items()}
