"""The incident report in Korean: words only, every figure and every judgement is given."""

from math import isfinite

from firstcome.drill.incident_report import FINAL_SECONDS, NAME, Facts, figures, table

CHART_NAMES = {
    "rates": "초당 신청 건수",
    "accepted": "접수(202)",
    "recorded": "기록(DB 행)",
    "lag": "적체 건수: 접수되었으나 아직 기록되지 않은 신청",
    "lag_in_records": "적체 레코드 수: 브로커가 알려 주는 로그의 lag",
    "http": "신청 응답 시간 p95 (ms)",
    "status": "202 이후 사용자가 ISSUED를 볼 때까지, 최댓값 (초)",
    "pause": "recorder 정지",
    "seconds": "부하 시작 후 경과 시간(초)",
}
ROW_NAMES = {
    "asked_per_second": ("초당 요청", ""),
    "accepted_per_second": ("초당 접수(202)", ""),
    "recorded_per_second": ("초당 기록", ""),
    "failed_percent": ("요청 실패율", "1.5 % → 6.3 %"),
    "http_p50_ms": ("응답 시간 p50", ""),
    "http_p95_ms": ("응답 시간 p95", "3초 이상 증가, 정상 대비 5배 이상"),
    "http_max_ms": ("응답 시간 최댓값", ""),
    "record_wait_p95_seconds": ("202부터 DB 행까지 p95", ""),
    "status_wait_p50_seconds": ("ISSUED 확인까지 p50", ""),
    "status_wait_max_seconds": ("ISSUED 확인까지 최댓값", ""),
}
MOMENTS = {
    "paused": "모든 recorder 정지. 신청 접수는 계속됨",
    "resumed": "recorder 재개",
    "first_row": "재개 후 첫 행 커밋",
    "caught_up": "정지 중에 접수된 마지막 신청이 기록됨",
    "seen": "정지 중에 신청한 마지막 사용자가 ISSUED를 확인함",
}


def page(facts: Facts) -> str:
    """Return the report."""
    return (
        "\n\n".join(
            [
                f"# 장애 대응 보고서: recorder {facts.incident.pause_seconds:.0f}초 정지",
                "모의 장애 훈련입니다. `firstcome drill consumer-pause`가 측정값으로 작성했습니다. "
                f"[English]({NAME}.en.md)",
                *(part(facts) for part in (_overview, _cause, _impact, _response, _results)),
                *(part(facts) for part in (_lessons, _conclusion, _measured)),
            ]
        )
        + "\n"
    )


def _overview(facts: Facts) -> str:
    incident = facts.incident
    end = "유실 없음" if facts.nobody_lost else "**법칙 위반 발생**: 영향 참조"
    rows = [
        ("발생 시간", f"{facts.began}, {incident.pause_seconds:.1f}초간"),
        ("시스템 구성", "기본 설정의 로컬 스택 하나: Valkey, Kafka, PostgreSQL"),
        ("부하", f"초당 신청 {incident.load.rate:,.0f}건, 사용자당 1건"),
        ("장애 증상", "접수된 신청이 REQUESTED에 머물고 적체(lag)가 증가"),
        ("복구", f"{_recovered(facts)}, {end}"),
    ]
    return "## 1. 장애 개요\n\n" + table(("", ""), rows)


def _recovered(facts: Facts) -> str:
    seconds = facts.incident.recovery_seconds
    return f"recorder 재개 후 {seconds:.1f}초" if isfinite(seconds) else "**복구되지 않음**"


def _cause(facts: Facts) -> str:
    incident = facts.incident
    return (
        "## 2. 원인 분석\n\n"
        f"- recorder 프로세스 전부({incident.recorders}개)가 정지했습니다: `{incident.evidence}`. "
        "밖에서 보면 긴 GC pause와 같습니다.\n"
        "- 행을 쓰는 프로세스가 없어 로그에 레코드가 쌓였습니다: 최대 "
        f"{incident.peak_lag_claims:,}건 (정지 전 최대 {incident.calm_lag_claims:,}건).\n"
        "- gate를 통과한 신청이 평소보다 오래 REQUESTED 상태로 기다렸습니다."
    )


def _impact(facts: Facts) -> str:
    incident = facts.incident
    before, during = incident.before, incident.during
    said = [_failures(facts)]
    if facts.http_rose:
        said.append(
            f"응답이 느려졌습니다: p95가 정지 전 {before.http_p95_ms:,.1f} ms에서 정지 중 "
            f"{during.http_p95_ms:,.1f} ms가 되었습니다."
        )
    else:
        said.append(
            f"응답 시간은 이전과 같은 수준이었습니다: p95 정지 전 {before.http_p95_ms:,.1f} ms, "
            f"정지 중 {during.http_p95_ms:,.1f} ms. 202에는 gate와 로그만 필요합니다."
        )
    said.append(
        f"사용자는 ISSUED를 최대 {during.status_wait_max_seconds or 0:,.1f}초 기다렸습니다 "
        f"(정지 전 최대 {before.status_wait_max_seconds or 0:,.2f}초)."
    )
    said.append(_losses(facts))
    lines = "\n".join(f"- {sentence}" for sentence in said)
    return f"## 3. 영향\n\n{lines}\n\n![초 단위 추이]({NAME}.ko.svg)"


def _failures(facts: Facts) -> str:
    incident = facts.incident
    if facts.nobody_failed:
        asked = incident.codes["REQUESTED"]
        return f"거절되거나 실패한 신청이 없습니다: {asked:,}건 모두 접수되었습니다."
    others = ", ".join(f"{code} {count:,}건" for code, count in incident.codes.items())
    return (
        f"모든 신청이 접수되지는 않았습니다: {others}. 정지 중 요청의 "
        f"{incident.during.failed_percent:.2f} %가 실패했습니다."
    )


def _losses(facts: Facts) -> str:
    incident = facts.incident
    if facts.nobody_lost:
        return (
            f"유실이 없습니다: 약속 {incident.codes.get('REQUESTED', 0):,}건, 행 "
            f"{incident.issued:,}건, 모든 법칙을 검사했고 모두 지켜졌습니다."
        )
    found = "; ".join(incident.violations[:5]) or "쿠폰을 약속받은 사용자가 ISSUED를 보지 못함"
    return f"**법칙이 깨졌습니다**: {found}."


def _response(facts: Facts) -> str:
    rows = [(f"{at:+.1f}초", MOMENTS[name]) for name, at in facts.moments().items()]
    return (
        "## 4. 대응 및 조치\n\n"
        "사람이 개입하지 않았습니다. 재기동, 확장, 수동 재처리를 하지 않았습니다.\n\n"
        + table(("정지 시작 기준", "일어난 일"), rows)
    )


def _results(facts: Facts) -> str:
    rows = [
        (ROW_NAMES[name][0], before, during, after, ROW_NAMES[name][1])
        for name, before, during, after in figures(facts.incident).values()
    ]
    headings = ("", "정지 전", "정지 중", "복구 후", "출발점이 된 보고서")
    return (
        "## 5. 결과: 전후 수치\n\n" + table(headings, rows) + "\n\n"
        "대기 시간은 기다림이 시작된 구간에 넣었습니다. 마지막 열은 이 프로젝트의 출발점이 된 "
        "부하 테스트 보고서의 장애 수치로, 다른 장비의 값이므로 참고용이며 비교 대상이 아닙니다. "
        "그 장애에서는 재기동 뒤 일부 메시지의 재처리가 실패했습니다."
    )


def _lessons(facts: Facts) -> str:
    incident = facts.incident
    lines = [
        f"기록은 초당 최대 {incident.peak_recorded:,}행, 곧 유입 속도의 "
        f"{facts.catch_up_times:.1f}배로 따라잡았습니다: {incident.peak_lag_claims:,}건에 "
        f"{incident.recovery_seconds:.1f}초. "
        "유입이 이 속도에 가까울수록 복구는 길어집니다.",
        "사용자가 느끼는 것은 응답 시간이 아니라 가장 오래된 미기록 신청의 나이입니다. 적체에 "
        f"알림을 거십시오: 정지 전에는 {incident.calm_lag_claims:,}건을 넘지 않았고, 정지 1초마다 "
        f"{incident.load.rate:,.0f}건이 늘어납니다.",
        "이번에는 모든 recorder가 정지했습니다. 여러 개 중 하나라면 세션 타임아웃(브로커 설정 6초) "
        "뒤에 그 파티션을 다른 recorder가 넘겨받습니다.",
    ]
    if not facts.in_time:
        lines.append(
            f"복구가 법칙 L3의 한도 {FINAL_SECONDS:.0f}초를 넘었습니다. recorder를 늘리거나 유입을 "
            "줄여야 합니다."
        )
    return "## 6. 재발 방지 대책\n\n" + "\n".join(f"- {line}" for line in lines)


def _conclusion(facts: Facts) -> str:
    incident = facts.incident
    spread = (
        "정지는 그 자리에 머물렀고 신청은 계속 접수되었습니다"
        if facts.nobody_failed
        else "정지가 접수까지 번져 일부 신청이 접수되지 않았습니다"
    )
    kept = (
        "약속은 모두 지켜졌습니다"
        if facts.nobody_lost
        else "**지켜지지 않은 약속이 있으며, 이는 결함입니다**"
    )
    waiting = (
        f"정지 중에 접수된 신청은 recorder 재개 후 {incident.recovery_seconds:.1f}초 안에 모두 "
        "기록되었습니다."
        if isfinite(incident.recovery_seconds)
        else "**정지 중에 접수된 신청 가운데 끝내 기록되지 않은 것이 있습니다.**"
    )
    return f"## 7. 결론\n\n{spread}. {kept}. {waiting}"


def _measured(facts: Facts) -> str:
    return (
        "## 측정 방법\n\n"
        f"시드 {facts.incident.load.seed}, {facts.origin.said()}. "
        "개방형 부하, 응답 시간은 요청 예정 시각부터, 부하 생성기와 시스템은 같은 장비. "
        "행은 커밋 시각 기준. "
        "초당 두 사용자가 ISSUED를 볼 때까지 상태를 조회. “정지 전”은 부하 시작 5초 뒤부터."
    )
