"""What an autoscaler leaves for the console, and how the page tells it."""

from pathlib import Path

import pytest
from console_stage import report, staged

from firstcome.autoscaling.decision import Decision, Kind
from firstcome.autoscaling.latest import CHANGES_MAX, Latest, notice_in

pytestmark = pytest.mark.unit

KEPT = Decision(Kind.KEEP, 1, 1, 1, 0.0, "1 recorder kept: no lag")
ADDED = Decision(Kind.ADD, 1, 4, 4, 9.5, "4 recorders asked for: <lag>. From 1 to 4")
HELD = Decision(Kind.HELD, 4, 4, 6, 9.5, "the database is the limit")


def test_last_decision_and_news_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "decision.json"
    assert notice_in(file) is None
    clock = iter(range(1, 100))
    latest = Latest(file, dry_run=False, clock=lambda: float(next(clock)))
    for decision in (KEPT, ADDED, HELD, HELD, KEPT):
        latest.show(decision)
    notice = notice_in(file)
    assert notice is not None
    assert (notice.dry_run, notice.last.at, notice.last.decision) == (False, 5.0, KEPT)
    assert [each.decision for each in notice.news] == [HELD, ADDED]
    assert list(tmp_path.iterdir()) == [file]


def test_news_outlive_the_process_and_are_bounded(tmp_path: Path) -> None:
    file = tmp_path / "decision.json"
    for number in range(1, CHANGES_MAX + 5):
        Latest(file, dry_run=False).show(ADDED._replace(wanted=number + 1))
    notice = notice_in(file)
    assert notice is not None
    assert len(notice.news) == CHANGES_MAX
    assert notice.news[0].decision.wanted == CHANGES_MAX + 5


def test_full_disk_or_torn_file_keeps_nobody_from_scaling(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "decision.json"
    Latest(file, dry_run=False).show(ADDED)
    assert notice_in(file) is None
    torn = tmp_path / "decision.json"
    torn.write_text('{"dry_run": fal')
    Latest(torn, dry_run=True).show(ADDED)
    assert (notice := notice_in(torn)) is not None
    assert notice.dry_run


def test_health_says_what_was_decided_why_and_whether_by_a_dry_run(tmp_path: Path) -> None:
    files = [tmp_path / "decision.json", tmp_path / "dry-run.json"]
    with staged(decision_files=files) as stage:
        stage.sign_in("viewer")
        stage.live.look(report())
        assert "No autoscaler is at work" in stage.get("/health").text
        Latest(files[0], dry_run=False, clock=lambda: 1.0).show(KEPT)
        assert "not at work now" in stage.get("/health").text
        Latest(files[0], dry_run=False).show(ADDED)
        Latest(files[1], dry_run=True).show(HELD)
        text = stage.get("/health").text
    assert "Last decision: from 1 to 4 recorders." in text
    assert "4 recorders asked for: &lt;lag&gt;. From 1 to 4" in text
    assert "It changes nothing" in text
    assert "held: more would not help" in text
