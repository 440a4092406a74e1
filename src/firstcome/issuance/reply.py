"""How an engine answers a claim: once, and whatever one answer costs, the others get theirs."""

from collections.abc import Callable

from firstcome.logs import get_logger
from firstcome.model import Answer, Outcome

Reply = Callable[[Answer], None]
UNAVAILABLE = Answer(Outcome.UNAVAILABLE)
UNKNOWN = Answer(Outcome.UNKNOWN)
log = get_logger()


def say(reply: Reply, answer: Answer) -> None:
    """Answer one claim; its trouble must not cost its neighbours their answers."""
    try:
        reply(answer)
    except Exception:
        log.exception("answer_mishandled")
