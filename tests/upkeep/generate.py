"""Writes what is generated: pages of docs/ from the code itself, dashboards from the metrics.

And the connector's configuration in its second form.

`python -m tests.upkeep.generate`, or `make docs`. A test compares each page with what this
would write, so a page cannot fall behind its source.
"""

import inspect
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from firstcome import failpoints
from firstcome.cli import command
from firstcome.eventlog import groups, kafka
from firstcome.gate import keys
from firstcome.local import connect
from firstcome.metrics import catalogue
from firstcome.settings import KafkaSettings, Settings
from tests.upkeep.dashboards import dashboards

ROOT = Path(__file__).parents[2]
HEAD = "<!-- Written by `make docs`. Do not edit. -->\n"

SETTINGS_INTRO = """
# Settings

Each setting is read from its environment variable, then from one TOML file, then from its
default; once, when a process starts. The file is the one that `FIRSTCOME_CONFIG` names, else
`./firstcome.toml`, else `settings.toml` in the state folder of the local stack
(`FIRSTCOME_STATE`, default `./.firstcome`). `firstcome config show` prints what is set and where
it came from. A value out of bounds, an unknown name in a section and settings that contradict
each other keep a process from starting; the message names the variable.

```toml
[kafka]
bootstrap_servers = "broker-1:9092,broker-2:9092"
replication = 3
```
"""

METRICS_INTRO = """
# Metrics

Each process tells what it does in Prometheus' format, at `/metrics` of a port of its own:
`FIRSTCOME_METRICS__PORT`. The local stack chooses the ports; `firstcome status --json` names them
as `metrics_url`. The path adds plain numbers, which are put into the format when somebody asks.
No metric holds a user. Beside ours each process tells its CPU time, memory and descriptors as
`process_*`.

What concerns a whole drop is told by the console, which looks at all engines once a second. What
it cannot see at the moment, it does not tell. Of several consoles take the maximum.
"""

KEYS_INTRO = """
# Keys in Redis

Every key that a running system has; anything else in its database is not ours. The
[lifecycles](lifecycle.md) say what brings a key to its end.

**TTL: none, on any key.** A running campaign needs all of them, at any age: a user's entry that
expired would let him in twice, and a journal's would lose a claim. So each end is an act, and an
ended campaign costs memory until it is archived: `firstcome campaign archive ID`.

**Memory: `maxmemory-policy noeviction`.** Any other policy throws users of a running drop away when
Redis is full; with it writes are refused, the gate admits nobody (503), and nothing is lost. Alarm
at 80 % of `maxmemory`; `firstcome doctor` looks at both. A campaign takes about 20 MiB for a
million users.

"""

PROFILE_INTRO = """
## The profile `source`

`kafka.profile = "source"` runs the Kafka clients with the settings of the report that this
project began with, so that its figures can be measured again. The defaults differ where a
measurement, or the loss of a claim, spoke against them.

| option | client | `source` | default | why the default differs |
| --- | --- | --- | --- | --- |
"""

# Why a default differs from the profile `source`; a missing reason fails the generation.
REASONS = {
    "linger.ms": "the same: 2 doubles the broker's CPU, 10 only adds latency",
    "batch.size": "one record is a whole batch of claims; 16 KiB hold hardly one of them",
    "compression.type": "made no difference; what is not compressed costs no CPU",
    "delivery.timeout.ms": "the caller heard OUTCOME_UNKNOWN long before; the sweeper settles",
    "request.timeout.ms": "librdkafka's own, the same 30 s",
    "retry.backoff.ms": "librdkafka's own, the same 100 ms",
    "max.poll.interval.ms": "a recorder that holds a batch keeps polling: silence means stuck",
    "group.protocol": "KIP-848: scaling takes 1 s a step instead of 3-5",
    "partition.assignment.strategy": "the broker assigns",
    "session.timeout.ms": "the broker's, 6 s: a killed recorder is noticed in 6 s instead of 30",
    "heartbeat.interval.ms": "the broker's, 1 s",
}


@cache
def pages() -> dict[Path, str]:
    """Return every generated page and dashboard."""
    return {
        ROOT / "docs/settings.md": settings_page(),
        ROOT / "docs/cli.md": cli_page(),
        ROOT / "docs/failpoints.md": failpoints_page(),
        ROOT / "docs/metrics.md": metrics_page(),
        ROOT / "docs/redis-keys.md": keys_page(),
        ROOT / "deploy/debezium/connector.json": connector(),
        **dashboards(),
    }


def settings_page() -> str:
    """Return the page of settings."""
    parts = [HEAD, SETTINGS_INTRO]
    for section_name, section in Settings.model_fields.items():
        model = section.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        parts.append(f"\n## {section_name}\n\n{(model.__doc__ or '').strip()}\n")
        parts.append("\n| setting | variable | default | bounds | meaning |")
        parts.append("\n| --- | --- | --- | --- | --- |\n")
        for name, field in model.model_fields.items():
            variable = f"FIRSTCOME_{section_name}__{name}".upper()
            cells = (f"`{name}`", f"`{variable}`", _default(field), _bounds(field))
            parts.append(f"| {' | '.join(cells)} | {field.description} |\n")
    parts.append(PROFILE_INTRO)
    parts += [f"| {' | '.join(row)} |\n" for row in _profile_rows()]
    return "".join(parts)


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value is PydanticUndefined or value == []:
        return "none"
    return f"`{value}`"


def _bounds(field: FieldInfo) -> str:
    annotation, metadata = field.annotation, list(field.metadata)
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata += more
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(annotation))
    said = []
    for one in metadata:
        for kind, sign in (
            (annotated_types.Ge, "≥"),
            (annotated_types.Gt, ">"),
            (annotated_types.Le, "≤"),
            (annotated_types.Lt, "<"),
        ):
            if isinstance(one, kind):
                said.append(f"{sign} {getattr(one, kind.__name__.lower()):,}")
        if pattern := getattr(one, "pattern", None):
            said.append(f"`{pattern}`")
    return " ".join(said)


def _profile_rows() -> Iterator[tuple[str, ...]]:
    for client, options_of in (
        ("api", kafka.producer_options),
        ("recorder", groups.consumer_options),
    ):
        ours, source = options_of(KafkaSettings()), options_of(KafkaSettings(profile="source"))
        for name, value in source.items():
            default = ours.get(name, "not set")
            if value != default or name in REASONS:
                yield f"`{name}`", client, f"`{value}`", f"`{default}`", REASONS[name]


def failpoints_page() -> str:
    """Return the page of failpoints."""
    parts = [HEAD, "\n# Failpoints\n\n", inspect.getdoc(failpoints) or "", "\n\n"]
    parts.append("| point | process | there |\n| --- | --- | --- |\n")
    for point, where in failpoints.POINTS.items():
        process, _, there = where.partition(": ")
        parts.append(f"| `{point}` | {process} | {there} |\n")
    return "".join(parts)


def metrics_page() -> str:
    """Return the page of metrics."""
    parts = [HEAD, METRICS_INTRO]
    for role in catalogue.EVERY:
        told = [metric for metric in catalogue.METRICS if metric.roles == {role}]
        parts += [f"\n## {role}\n", *_metric_rows(told)]
    shared = [metric for metric in catalogue.METRICS if len(metric.roles) > 1]
    parts += ["\n## Several processes\n", *_metric_rows(shared)]
    return "".join(parts)


def keys_page() -> str:
    """Return the page of Redis' keys."""
    parts = [HEAD, KEYS_INTRO, "| key | type | holds | memory | TTL | ends when |\n"]
    parts.append("| --- | --- | --- | --- | --- | --- |\n")
    for key in keys.KEYS:
        ttl = "none" if key.ttl_seconds is None else f"{key.ttl_seconds} s"
        parts.append(
            f"| `{key.name}` | {key.type} | {key.holds} | {key.memory} | {ttl} | {key.ends} |\n"
        )
    return "".join(parts)


def _metric_rows(metrics: list[Any]) -> Iterator[str]:
    yield "\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n"
    for metric in metrics:
        roles = "" if len(metric.roles) == 1 else f" Told by {', '.join(sorted(metric.roles))}."
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help}{roles} |\n"


def connector() -> str:
    """Return the connector's configuration as a distributed worker of Kafka Connect wants it."""
    settings = connect.settings_of(connect.configuration().read_text(encoding="utf-8"))
    return json.dumps({"name": settings.pop("name"), "config": settings}, indent=2) + "\n"


def cli_page() -> str:
    """Return the page of the command line."""
    parts = [HEAD, "\n# The command `firstcome`\n\n", _exit_codes(inspect.getdoc(command) or "")]
    group = typer.main.get_command(command.app)
    for path, verb in _commands(("firstcome",), group):
        parts.append(f"\n## `{' '.join(path)}`\n\n{_joined(verb.help or '')}\n")
        rows = [row for parameter in verb.params if (row := _parameter(parameter))]
        if rows:
            parts.append("\n| option | default | meaning |\n| --- | --- | --- |\n")
            parts += [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join(parts)


def _exit_codes(docstring: str) -> str:
    return _joined(docstring.split("\n\n", 1)[1]) + "\n"


def _joined(text: str) -> str:
    return " ".join(text.split())


def _commands(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in sorted(getattr(command, "commands", {}).items()):
        if hasattr(child, "commands"):
            yield from _commands((*path, name), child)
        else:
            yield (*path, name), child


def _parameter(parameter: Any) -> tuple[str, str, str] | None:
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return None
    name = parameter.name.upper() if parameter.param_type_name == "argument" else parameter.opts[0]
    default = parameter.default
    shown = "" if default is None or default is False or callable(default) else f"`{default}`"
    if parameter.required:
        shown = "required"
    return f"`{name}`", shown, _joined(getattr(parameter, "help", None) or "")


def main() -> None:
    """Write all pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
