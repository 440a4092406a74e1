"""What is read and printed: answers on the wire, percentiles, CPU times, the report."""

import os
import time
from pathlib import Path

import msgspec
import pytest

from firstcome.bench.answers import (
    CODES,
    DOUBTED,
    DUPLICATE,
    NUMBER,
    OUT_OF_STOCK,
    REPLAYED,
    REQUESTED,
    TIMED_OUT,
    UNEXPECTED,
    Answers,
)
from firstcome.bench.arrivals import Arrivals
from firstcome.bench.connection import code_in, head_of, position_in
from firstcome.bench.crowd import Crowd, user_id
from firstcome.bench.drop import Measured, Progress
from firstcome.bench.measure import CpuTimes, MachineTimes, Spread, percentile
from firstcome.bench.plan import Asked, Said
from firstcome.bench.progress import line
from firstcome.bench.report import LawHeld, document, text
from firstcome.bench.summary import summarise
from firstcome.bench.truth import Offer, Row
from firstcome.model import CampaignId

pytestmark = pytest.mark.unit


def test_head_says_what_the_contract_fixes() -> None:
    head = head_of(
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\nRetry-After: 3\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert (head.accepted, head.length, head.retry_after, head.closing) == (False, 12, 3.0, True)
    head = head_of(
        b"HTTP/1.1 202 Accepted\r\ncontent-length:  7\r\nidempotency-replayed: true\r\n\r\n"
    )
    assert (head.accepted, head.length, head.replayed, head.closing) == (True, 7, True, False)


def test_head_refuses_what_is_no_http() -> None:
    for data in (b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xff\r\n\r\n"):
        with pytest.raises(ValueError, match=r"contract|ascii"):
            head_of(data)


def test_body_names_position_and_code() -> None:
    assert position_in(b'{"campaign_id":1,"position":17,"status":"REQUESTED"}', 0) == 17
    body = b'{"type":"/problems/x","code":"DUPLICATE_COUPON_ISSUE","issuance":{"position":9,"s":1}}'
    assert (code_in(body, 0), position_in(body, 0)) == (DUPLICATE, 9)
    assert (code_in(b'{"code":"NEW"}', 0), code_in(b"{}", 0)) == (UNEXPECTED, UNEXPECTED)
    assert position_in(b"{}", 0) == 0


def test_answers_survive_a_file_and_are_dealt_back(tmp_path: Path) -> None:
    whole = Answers(5)
    for share, size in ((0, 3), (1, 2)):
        part = Answers(size)
        for request in range(size):
            part.code[request] = share + 1
            part.sent[request] = request + share / 2
        part.save(tmp_path / "part")
        whole.deal(share, 2, Answers.load(tmp_path / "part", size))
    assert list(whole.code) == [1, 2, 1, 2, 1]
    assert list(whole.sent) == [0, 0.5, 1, 1.5, 2]


def test_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [percentile(values, p) for p in (1, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert percentile([3.0], 99) == 3.0
    assert percentile([1.0, 2.0], 50) == 1.0


def test_spread_sorts_and_counts() -> None:
    assert Spread.of([0.003, 0.001, 0.002]) == Spread(3, 2.0, 3.0, 3.0, 3.0)
    assert Spread.of([]) == Spread(0)


def test_cpu_times_see_the_work_of_this_process() -> None:
    groups = {"me": [os.getpid()], "nobody": [2**22 + 1]}
    before = CpuTimes.read(groups)
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    spent = CpuTimes.read(groups).since(before)
    assert list(spent) == ["me"]
    assert 0.05 < spent["me"] < 5


def test_steal_is_the_share_of_all_ticks() -> None:
    before, after = MachineTimes(500, 200, 100), MachineTimes(1500, 900, 130)
    assert after.steal_percent(before) == 3.0
    assert after.others_percent(before, ours=650) == 5.0
    assert after.others_percent(before, ours=800) == 0.0
    assert MachineTimes().steal_percent(MachineTimes()) is None
    assert MachineTimes.read().busy > 0


def measured(crowd: Crowd) -> Measured:
    """Three coupons, the rest sold out; answered 10 ms and recorded 30 ms after each asked."""
    order = crowd.order()
    answers = Answers(len(order))
    rows = []
    for request, user in enumerate(order):
        answers.scheduled[request] = request / 100
        answers.sent[request] = request / 100 + 0.001
        answers.done[request] = request / 100 + 0.01
        answers.tries[request] = 1
        answers.code[request] = REQUESTED if request < 3 else OUT_OF_STOCK
        if request < 3:
            answers.position[request] = request + 1
            rows.append(Row(request + 1, user_id(user), "ISSUED", 1000 + request / 100 + 0.03))
    return Measured(
        campaign_ids=[CampaignId(4)],
        started_at=1000.0,
        answers=answers,
        generator=Said("done", cpu_seconds=0.0001),
        final=True,
        offers=[Offer(4, 3, rows)],
        commit_times=True,
        cpu_seconds={"api": 0.03, "postgres": 0.06},
        steal_percent=0.4,
        others_percent=1.0,
        redis_bytes=60,
        laws=[LawHeld("L1", "never more than the stock", True, 0, [])],
        notes=[],
    )


CROWD = Crowd(users=10, campaigns=1)
ASKED = Asked(coupons=3, crowd=CROWD, arrivals=Arrivals("rate", 100.0, 100.0))


def test_report_says_what_was_measured() -> None:
    report = summarise(ASKED, "jwt", measured(CROWD), {})
    assert report.held
    assert (report.accepted, report.refused, report.failed) == (3, 7, 0)
    assert report.answers == {"REQUESTED": 3, "COUPON_OUT_OF_STOCK": 7}
    assert (report.http_accepted_ms.count, report.http_accepted_ms.p95) == (3, 10.0)
    assert (report.http_refused_ms.count, report.http_refused_ms.max) == (7, 10.0)
    assert report.issued_ms.p50 == pytest.approx(30, abs=0.01)
    assert report.sent_late_ms.p99 == 1.0
    assert report.accepted_per_second == 100.0
    assert report.persisted_per_second == 60.0
    assert list(report.cpu) == ["postgres", "api", "total"]
    assert report.cpu["total"].us_per_issuance == 30_000
    assert report.cpu["api"].us_per_request == 3_000
    assert report.redis_bytes_per_user is None  # three users are not measurable
    assert report.generator_us_per_request == 10.0


def test_report_counts_who_was_not_served() -> None:
    crowd = Crowd(users=10, campaigns=1)
    found = measured(crowd)
    found.answers.code[9], found.answers.flags[9] = TIMED_OUT, DOUBTED
    found.answers.code[8] = NUMBER["TEMPORARILY_UNAVAILABLE"]
    found.answers.tries[8] = 5
    report = summarise(ASKED, "jwt", found, {})
    assert (report.refused, report.failed, report.in_doubt, report.asked_again) == (5, 2, 1, 4)
    assert "TIMED_OUT" in text(report)


def test_report_keeps_replays_apart() -> None:
    found = measured(CROWD)
    found.answers.flags[2] = REPLAYED
    report = summarise(ASKED, "jwt", found, {})
    assert (report.replayed, report.http_accepted_ms.count) == (1, 2)


def test_report_does_not_hold_when_something_is_not_final_in_time() -> None:
    found = measured(CROWD)
    found.final = False
    assert not summarise(ASKED, "jwt", found, {}).held


def test_report_as_text_is_aligned_and_says_what_broke() -> None:
    found = measured(CROWD)
    found.steal_percent = 7.5
    found.laws = [LawHeld("L4", "every issuance is published", False, 25, ["position 3"])]
    page = text(summarise(ASKED, "jwt", found, {}))
    assert "broken  L4 every issuance is published" in page
    assert "position 3\n" in page
    assert "and 24 more" in page
    assert "disturbed by the hypervisor:" in page
    assert page.endswith("NOT everything held: see `broken` above")
    times = [row for row in page.splitlines() if row.startswith(("milliseconds", "HTTP", "sent"))]
    assert len({len(row) for row in times}) == 1
    assert max(len(row) for row in page.splitlines()) <= 110


def test_report_as_a_document_is_json_with_every_number() -> None:
    report = summarise(ASKED, "jwt", measured(CROWD), {"cores": "2"})
    found = msgspec.json.decode(document(report))
    assert found["held"] is True
    assert found["asked"]["crowd"]["users"] == 10
    assert found["http_accepted_ms"]["p95"] == 10.0
    assert found["environment"] == {"cores": "2"}


def test_progress_is_one_line() -> None:
    assert line(Progress("checking the laws")) == "checking the laws ..."
    shown = line(Progress("asking", 2.0, 5000, 4000, 900, 3000, 1, 870))
    assert "sent 4,000 of 5,000" in shown
    assert "issued 870" in shown


def test_every_code_fits_its_array() -> None:
    assert len(CODES) < 256
    assert len(set(CODES)) == len(CODES)
