"""`firstcome config show`: every setting, its value, and where that came from.

Secrets are never printed: only whether one is set. The source is what Settings.load()
would read: the environment first, then the TOML file, then the default.
"""

import os
import sys
import tomllib
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from pydantic import BaseModel, SecretStr

from firstcome.settings import Settings, toml_file

app = typer.Typer(help="What is set.", no_args_is_help=True)


class Shown(NamedTuple):
    """One setting as it is shown."""

    name: str
    value: Any
    source: str  # environment, file or default
    variable: str
    description: str


@app.callback()
def group() -> None:
    """What is set."""


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Print every setting with its value, source and meaning."""
    found = shown(Settings.load())
    path = toml_file()
    if as_json:
        document = {
            "file": str(path) if path.exists() else None,
            "settings": [one._asdict() for one in found],
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    print(f"file: {path if path.exists() else f'none ({path} does not exist)'}")
    wide = max(len(one.name) for one in found)
    for one in found:
        value = "-" if one.value is None else one.value
        print(f"{one.name:{wide}}  {value}  [{one.source}] {one.description}")


def shown(settings: Settings) -> list[Shown]:
    """Return every setting, in the order of settings/sections.py."""
    in_file = _file()
    found = []
    for section_name in Settings.model_fields:
        section: BaseModel = getattr(settings, section_name)
        for name, field in type(section).model_fields.items():
            variable = f"FIRSTCOME_{section_name}__{name}".upper()
            source = "default"
            if variable in {key.upper() for key in os.environ}:
                source = "environment"
            elif name in in_file.get(section_name, {}):
                source = "file"
            value = _printable(getattr(section, name))
            described = field.description or ""
            found.append(Shown(f"{section_name}.{name}", value, source, variable, described))
    return found


def _printable(value: object) -> Any:
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _file() -> dict[str, dict[str, Any]]:
    path = toml_file()
    return tomllib.loads(path.read_text()) if path.exists() else {}
