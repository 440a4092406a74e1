"""The speed table: drops at growing rates, each on a fresh stack, written to docs/reports/.

    python bench/rates.py [--rates 10000,20000] [--seconds 20] [--modes gateway,jwt]
        [--large 1000000]

Every request is answered after the broker's acknowledgement, every coupon is a row when
the clock stops, and every law is checked. Generator and system share the machine. A drop
that the hypervisor or other processes disturbed is repeated, and the quietest one counts.
A rate holds when nothing failed, every law held, HTTP p95 is at most 25 ms and
asked-to-ISSUED at most 100 ms. The last drop is large, and tells what coupons take of memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from firstcome.bench.origin import commit, kafka

ROOT = Path(__file__).parents[1]
RATES = (10_000, 15_000, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000)
HTTP_P95_MS, ISSUED_P95_MS = 25.0, 100.0
DISTURBANCE_PERCENT = 5.0
TRIES = 3
LARGE_RATE = 12_000
REDIS_BYTES_A_USER_MAX, PROCESS_MB_MAX = 25.0, 150.0
# A broker's first seconds cost several times more: the virtual machine compiles its hot code.
WARM_UP = ("--rate", "10000", "--seconds", "15")

Found = dict[str, Any]


def main() -> int:
    """Run the series; 0 when every drop's laws held."""
    options = _options()
    rows = [
        _quietest(mode, rate, options.seconds, options.seed)
        for mode in options.modes.split(",")
        for rate in (int(rate) for rate in options.rates.split(","))
    ]
    large = []
    if options.large:
        large = [_drop_on_a_fresh_stack("gateway", LARGE_RATE, options.large / LARGE_RATE, 1)]
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    found = {"date": day, "commit": commit(), "kafka": kafka(), "drops": rows, "large": large}
    (folder / f"rates-{day}.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / f"rates-{day}.md").write_text(page(found))
    print(f"written: {folder}/rates-{day}.md and .json", file=sys.stderr)
    return 0 if all(row["held"] for row in (*rows, *large)) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rates", default=",".join(str(rate) for rate in RATES))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--modes", default="gateway,jwt")
    parser.add_argument("--large", type=int, default=1_000_000, help="coupons; 0: no such drop")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "reports")
    return parser.parse_args()


def _quietest(mode: str, rate: int, seconds: float, seed: int) -> Found:
    """Return the least disturbed of up to TRIES drops."""
    tries: list[Found] = []
    for _ in range(TRIES):
        found = _drop_on_a_fresh_stack(mode, rate, seconds, seed)
        tries.append(found)
        if _disturbance(found) <= DISTURBANCE_PERCENT:
            break
    best = min(tries, key=_disturbance)
    return {"mode": mode, "rate": rate, "tries": len(tries), "holds": holds(best)} | best


def _disturbance(found: Found) -> float:
    """Return the percentage of the machine that was neither the system's nor the generator's."""
    return (found["steal_percent"] or 0.0) + (found["others_percent"] or 0.0)


def _drop_on_a_fresh_stack(mode: str, rate: int, seconds: float, seed: int) -> Found:
    with tempfile.TemporaryDirectory(prefix="firstcome-rates-") as folder:
        environment = os.environ | {"FIRSTCOME_STATE": f"{folder}/state"}
        coupons = str(int(rate * seconds))
        everybody = ("--twice", "0", "--coupons", coupons, "--seed", str(seed), "--json")
        print(f"{mode}, {rate:,} requests/s for {seconds:g} s", file=sys.stderr)
        try:
            _firstcome(environment, "up", "--auth", mode)
            _firstcome(environment, "drop", *WARM_UP, *everybody)
            said = _firstcome(
                environment, "drop", "--rate", str(rate), "--seconds", str(seconds), *everybody
            )
            running = json.loads(_firstcome(environment, "status", "--json"))["processes"]
            memory = {each["name"]: _megabytes(each["pid"]) for each in running}
        finally:
            _firstcome(environment, "down", "--wipe")
    found: Found = json.loads(said)
    restarts = sum(each["restarts"] for each in running)
    return found | {"memory_mb": memory, "restarts": restarts}


def _megabytes(pid: int) -> float:
    """Return what a process and its children hold in memory, each page of theirs counted once."""
    process = psutil.Process(pid)
    family = (process, *process.children(recursive=True))
    return round(sum(each.memory_full_info().pss for each in family) / 2**20, 1)


def _firstcome(environment: dict[str, str], *words: str) -> str:
    """Run a command and return what it printed; a broken law (exit code 1) is a finding."""
    command = [sys.executable, "-m", "firstcome", *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in ((0, 1) if words[0] == "drop" else (0,)) or not (
        done.stdout or words[0] != "drop"
    ):
        sys.exit(f"firstcome {words[0]} ended with {done.returncode}; its message stands above")
    return done.stdout


def holds(found: Found) -> bool:
    """Tell whether a drop met the bounds that a rate must hold."""
    http, issued = found["http_accepted_ms"]["p95"], found["issued_ms"]["p95"]
    return bool(
        found["held"]
        and not found["failed"]
        and http is not None
        and http <= HTTP_P95_MS
        and issued is not None
        and issued <= ISSUED_P95_MS
    )


def page(found: Found) -> str:
    """Return the report for people."""
    first = found["drops"][0]
    machine = " · ".join(f"{name} {value}" for name, value in sorted(first["environment"].items()))
    lines = [
        f"# Rates, {found['date']}",
        "",
        f"Commit {found['commit']}. {machine} · kafka {found['kafka']}.",
        f"Seed {first['asked']['crowd']['seed']}, "
        "open loop, latency from the scheduled time; generator and system on the same machine.",
        f"A rate holds when nothing failed, every law held, HTTP p95 <= {HTTP_P95_MS:g} ms and "
        f"asked-to-ISSUED p95 <= {ISSUED_P95_MS:g} ms.",
    ]
    for mode in dict.fromkeys(drop["mode"] for drop in found["drops"]):
        drops = [drop for drop in found["drops"] if drop["mode"] == mode]
        lines += ["", f"## Users named by: {mode}", "", *_table(drops), "", _highest(drops)]
    for drop in found.get("large", ()):
        lines += ["", "## Memory", "", *_memory(drop)]
    return "\n".join(lines) + "\n"


def _memory(drop: Found) -> list[str]:
    held = drop["memory_mb"]
    is_small = drop["redis_bytes_per_user"] <= REDIS_BYTES_A_USER_MAX and all(
        held[name] <= PROCESS_MB_MAX for name in ("api-1", "recorder-1")
    )
    return [
        f"After {drop['issued']:,} of {drop['expected']:,} coupons at {LARGE_RATE:,} a second "
        f"({drop['failed']:,} failed, laws {'held' if drop['held'] else '**broken**'}, "
        f"{drop['restarts']} restarts): Redis {drop['redis_bytes_per_user']:.1f} bytes a user.",
        "",
        _row(list(held)),
        _row(["---"] * len(held)),
        _row([f"{value:.0f} MB" for value in held.values()]),
        "",
        f"Redis at most {REDIS_BYTES_A_USER_MAX:g} bytes a user, api and recorder at most "
        f"{PROCESS_MB_MAX:g} MB each: {'held' if is_small else '**not held**'}.",
    ]


def _table(drops: list[Found]) -> list[str]:
    roles = list(dict.fromkeys(role for drop in drops for role in drop["cpu"]))
    roles.sort(key=lambda role: role == "total")
    titles = [
        *("requests/s", "issued", "failed", "HTTP p50/p95/p99 ms", "ISSUED p50/p95/p99 ms"),
        *(f"{role} us" for role in roles),
        *("generator us", "steal %", "others %", "tries", "laws", "holds"),
    ]
    lines = [_row(titles), _row(["---"] * len(titles))]
    for drop in drops:
        lines.append(
            _row(
                [
                    f"{drop['rate']:,}",
                    f"{drop['issued']:,} of {drop['expected']:,}",
                    f"{drop['failed']:,}",
                    _spread(drop["http_accepted_ms"]),
                    _spread(drop["issued_ms"]),
                    *(_cost(drop["cpu"].get(role)) for role in roles),
                    f"{drop['generator_us_per_request']:.1f}",
                    f"{drop['steal_percent']}",
                    f"{drop['others_percent']}",
                    f"{drop['tries']}",
                    "held" if drop["held"] else "**broken**",
                    "yes" if drop["holds"] else "no",
                ]
            )
        )
    return [*lines, "", "CPU in microseconds per issuance, by process."]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _spread(spread: Found) -> str:
    return " / ".join(
        "-" if spread[part] is None else f"{spread[part]:.1f}" for part in ("p50", "p95", "p99")
    )


def _cost(cost: Found | None) -> str:
    return (
        "-" if cost is None or cost["us_per_issuance"] is None else f"{cost['us_per_issuance']:.1f}"
    )


def _highest(drops: list[Found]) -> str:
    held = [drop["rate"] for drop in drops if drop["holds"]]
    return f"Highest rate that holds: {max(held):,} a second." if held else "No rate holds."


if __name__ == "__main__":
    sys.exit(main())
