"""Files that the console carries along, and those that it shows."""

import hashlib
from pathlib import Path

import pytest
from console_stage import Stage, staged

from firstcome import console

pytestmark = pytest.mark.unit

STATIC = Path(str(console.__path__[0])) / "static"


def test_vendored_files_are_as_published() -> None:
    folder = STATIC / "vendor"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines if not line.startswith("#"))
    found = {each.name for each in folder.iterdir()} - {"SHA256SUMS"}
    assert set(listed) == found
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert {name for name in found if name.endswith(".LICENSE")} == {
        "htmx.LICENSE",
        "uPlot.LICENSE",
    }


def test_static_files_need_no_session_and_hide_nothing_else(stage: Stage) -> None:
    style = stage.get("/static/console.css").headers
    assert style["content-type"].startswith("text/css")
    assert style["cache-control"] == "max-age=300, private"
    for path in ("/static/../app.py", "/static/..%2fapp.py", "/static/nothing.js"):
        assert stage.client.get(path, headers={"Accept": "*/*"}).status_code in (401, 404)


def test_reports_are_shown_in_a_sandbox_and_only_from_their_folder(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<script>1</script>")
    (tmp_path / "b.py").write_text("secret")
    (tmp_path / "c.md").symlink_to("/etc/hostname")
    with staged(reports_folder=tmp_path) as stage:
        stage.sign_in("viewer")
        listed = stage.get("/reports").text
        assert "a.html" in listed
        assert "b.py" not in listed
        shown = stage.get("/reports/a.html")
        assert shown.headers["content-security-policy"].startswith("sandbox")
        for name in ("b.py", "c.md", "..%2fb.py"):
            assert stage.get(f"/reports/{name}").status_code == 404
