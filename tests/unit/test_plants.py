"""Planted bugs fit the product's code, run where they belong, and never fail in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.plants.catalogue import PLANTS
from tests.faults.plants.planting import Edit, LuaEdit, Plant, PlantGone, edited, environment, fit

pytestmark = pytest.mark.unit

TOLD = "from firstcome.gate.scripts import SCRIPTS; s = SCRIPTS['admit']; print(s.sha, s.text)"
TELLS = "import firstcome.issuance.recording as r; print(vars(r).get('planted'))"


def told(plant: Plant, proofs: Path, code: str, role: str, name: str = "") -> tuple[int, str]:
    """Run code as a process of that kind would import it; return exit code and output."""
    planted = environment(plant, proofs) | ({"FIRSTCOME_PLANT": name} if name else {})
    command = [sys.executable, "-c", code, "serve", role]
    ended = subprocess.run(command, env=os.environ | planted, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", PLANTS)
def test_plant_fits_the_code_as_it_is(name: str) -> None:
    fit(PLANTS[name])


def test_plant_whose_text_is_gone_says_so() -> None:
    for old in ("what nobody ever wrote", "local"):
        with pytest.raises(PlantGone, match="not once"):
            edited("local gate\nlocal first\n", [LuaEdit("admit", old, "")])


def test_plant_that_uses_what_its_module_does_not_know_says_so() -> None:
    edit = Edit("firstcome.rebuild", "        if wait > 0:\n", "        if nobody_knows():\n")
    with pytest.raises(PlantGone, match="knows no nobody_knows"):
        fit(Plant("unknown", "", frozenset({"sweeper"}), (edit,), "", frozenset()))


def test_plant_runs_in_its_kind_of_process_and_proves_it(tmp_path: Path) -> None:
    plant = PLANTS["limit_off_by_one"]
    code, said = told(plant, tmp_path, TOLD, "api")
    assert code == 0, said
    assert "- first + 2" in said
    assert [proof.name.split(".")[:2] for proof in tmp_path.iterdir()] == [[plant.name, "api"]]


def test_other_kinds_of_process_are_sound(tmp_path: Path) -> None:
    plant = PLANTS["limit_off_by_one"]
    code, said = told(plant, tmp_path, TOLD, "recorder")
    assert code == 0, said
    assert "- first + 1" in said
    assert not list(tmp_path.iterdir())


def test_edited_module_leaves_a_proof_only_when_the_edit_runs(tmp_path: Path) -> None:
    code, said = told(PLANTS["offsets_before_rows"], tmp_path, TELLS, "recorder")
    assert code == 0, said
    assert "planted" in said
    assert not list(tmp_path.iterdir())


def test_process_ends_when_there_is_no_such_plant(tmp_path: Path) -> None:
    code, said = told(PLANTS["limit_off_by_one"], tmp_path, "print('alive')", "api", "nothing")
    assert code == 70, said
    assert "alive" not in said


def test_process_ends_when_a_plant_does_not_fit(tmp_path: Path) -> None:
    plant = Plant(
        "x", "x", frozenset({"api"}), (Edit("firstcome.rebuild", "no", ""),), "", frozenset()
    )
    code = f"""
from tests.faults.plants.planting import Edit, Plant, plant_here
plant_here({plant!r}, "api")
import firstcome.rebuild
"""
    ended, said = told(PLANTS["limit_off_by_one"], tmp_path, code, "console")
    assert ended == 1
    assert "PlantGone" in said


def test_nothing_is_planted_without_its_name() -> None:
    assert environment(None, Path("proofs")) == {}


def test_a_plant_goes_into_the_sources_that_everybody_else_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere/src")
    found = environment(next(iter(PLANTS.values())), tmp_path)["PYTHONPATH"].split(os.pathsep)
    assert found[-1] == "/somewhere/src"
