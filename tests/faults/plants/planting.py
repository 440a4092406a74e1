"""An edit of the product's code, made while a process imports it.

Beside the product: FIRSTCOME_PLANT -> [tests.faults.plants.planting] -> the modules of one process

Promises that a planted process runs the edited text or ends: each text to replace must stand
there exactly once. `planted()`, called by the edited text, leaves a file as the proof that it ran.
"""

import builtins
import dis
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha1
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

PLANT, PROOFS = "FIRSTCOME_PLANT", "FIRSTCOME_PLANT_PROOFS"
SCRIPTS, QUERIES = "firstcome.gate.scripts", "firstcome.postgres"
SITE = Path(__file__).parent / "site"


class PlantGone(Exception):
    """What a plant replaces is not there any more: fit the plant to the code as it is now."""


class Edit(NamedTuple):
    """`old` becomes `new` in the source of a module; `new` may call `planted()`."""

    where: str
    old: str
    new: str


class LuaEdit(NamedTuple):
    """`old` becomes `new` in a script of the gate; running the script is the proof."""

    where: str
    old: str
    new: str


class SqlEdit(NamedTuple):
    """`old` becomes `new` in the statement `file.name`; an Edit beside it is to prove it."""

    where: str
    old: str
    new: str


AnyEdit = Edit | LuaEdit | SqlEdit


class Plant(NamedTuple):
    """One bug: what it is, which processes carry it, the fault that shows it, who must see it."""

    name: str
    sentence: str
    roles: frozenset[str]
    edits: tuple[AnyEdit, ...]
    fault: str  # of faults.FAULTS
    caught_by: frozenset[str]  # findings that must all be there: see exam.Finding.by


def environment(plant: Plant | None, proofs: Path) -> dict[str, str]:
    """Return the variables that let a stack's processes carry a plant; none without one."""
    if plant is None:
        return {}
    # Whatever finds the product for everybody else has to find the same one here.
    own = os.environ.get("PYTHONPATH")
    path = os.pathsep.join((str(SITE), str(SITE.parents[3]), *([own] if own else [])))
    return {PLANT: plant.name, PROOFS: str(proofs), "PYTHONPATH": path}


def edited(text: str, edits: Iterable[AnyEdit]) -> str:
    """Return the text with every edit made. Raises PlantGone."""
    for edit in edits:
        if (count := text.count(edit.old)) != 1:
            raise PlantGone(
                f"{edit.where} holds {count} times, not once:\n{edit.old}\n"
                "The code has changed: let the plant say the same of the code as it is now"
            )
        text = text.replace(edit.old, edit.new)
    return text


def fit(plant: Plant) -> None:
    """Make every edit without running any. Raises PlantGone, or SyntaxError."""
    places = {(type(edit), edit.where) for edit in plant.edits}
    for kind, where in places:
        edits = [each for each in plant.edits if (type(each), each.where) == (kind, where)]
        if kind is Edit:
            spec = find_spec(where)
            if spec is None or spec.origin is None:
                raise PlantGone(f"there is no module {where}")
            code = compile(edited(Path(spec.origin).read_text(), edits), where, "exec")
            known = {*vars(_module(where)), *vars(builtins), "planted"}
            if unknown := set(_globals_of(code)) - known:
                raise PlantGone(f"{where} knows no {', '.join(sorted(unknown))} any more")
        elif kind is LuaEdit:
            edited(_module(SCRIPTS).SCRIPTS[where].text.decode(), edits)
        else:
            file, name = where.split(".")
            edited(_module(QUERIES).queries(file)[name], edits)


def _globals_of(code: CodeType) -> Iterator[str]:
    """Yield the names that the functions in a module look up in it."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            steps = dis.get_instructions(inner)
            yield from (str(step.argval) for step in steps if step.opname == "LOAD_GLOBAL")
            yield from _globals_of(inner)


def plant_here(plant: Plant, role: str) -> None:
    """Let this process import the product with a plant in it, if its kind carries the plant."""
    if role in plant.roles:
        sys.meta_path.insert(0, _Finder(plant, _proof(plant, role)))


def _proof(plant: Plant, role: str) -> Callable[[], None]:
    file = Path(os.environ[PROOFS]) / f"{plant.name}.{role}.{os.getpid()}"

    def planted() -> None:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    return planted


class _Finder(MetaPathFinder):
    """Finds the modules that a plant edits, and nothing else."""

    def __init__(self, plant: Plant, planted: Callable[[], None]) -> None:
        self._plant = plant
        self._planted = planted

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's own place with a loader that edits."""
        edits = [each for each in self._plant.edits if module_of(each) == name]
        spec = PathFinder.find_spec(name, path, target) if edits else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin, edits, self._planted)
        return spec


class _Loader(SourceFileLoader):
    def __init__(
        self, name: str, path: str, edits: list[AnyEdit], planted: Callable[[], None]
    ) -> None:
        super().__init__(name, path)
        self._edits = edits
        self._planted = planted

    def get_code(self, fullname: str) -> CodeType | None:
        """Compile the edited source; what lies compiled on the disk is the sound one."""
        source = self.get_source(fullname) or ""
        text = edited(source, [each for each in self._edits if isinstance(each, Edit)])
        return compile(text, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        """Run the edited module, then edit the texts that it has read."""
        vars(module)["planted"] = self._planted
        super().exec_module(module)
        data = [each for each in self._edits if not isinstance(each, Edit)]
        for where in {each.where for each in data}:
            edits = [each for each in data if each.where == where]
            if isinstance(edits[0], LuaEdit):
                sound = module.SCRIPTS[where]
                text = edited(sound.text.decode(), edits).encode()
                module.SCRIPTS[where] = _proving(type(sound), text, self._planted)
            else:
                file, name = where.split(".")
                queries = module.queries(file)
                queries[name] = edited(queries[name], edits)


def module_of(edit: AnyEdit) -> str:
    """Return the module whose import makes the edit."""
    if isinstance(edit, Edit):
        return edit.where
    return SCRIPTS if isinstance(edit, LuaEdit) else QUERIES


def _proving(kind: Any, text: bytes, planted: Callable[[], None]) -> object:
    """Return a script that says so when somebody asks for its name, which is done to run it."""
    sha = sha1(text, usedforsecurity=False).hexdigest()

    class Proving(kind):  # type: ignore[misc]
        @property
        def sha(self) -> str:
            planted()
            return sha

    return Proving(text, sha)


def _module(name: str) -> Any:
    __import__(name)
    return sys.modules[name]
