"""Parts that several processes, or the command line, are made of."""

from functools import partial
from threading import Event

from firstcome import failpoints, postgres
from firstcome.coupons import CouponCodes
from firstcome.errors import InvalidSettings
from firstcome.eventlog.admin import LogAdmin
from firstcome.gate.session import GateSession
from firstcome.issuance.dead_letters import DeadLetters
from firstcome.issuance.recorder import Recorder
from firstcome.rebuild import Progress, Rebuild
from firstcome.settings import Settings

# The brokers answer within this or count as away: there is other work to do.
LOG_ANSWER_SECONDS = 2.0


def codes_of(settings: Settings) -> CouponCodes:
    """Return the maker of coupon codes. Raises InvalidSettings without a key."""
    key = settings.coupons.code_key
    if key is None:
        raise InvalidSettings(
            "coupons.code_key (FIRSTCOME_COUPONS__CODE_KEY) is not set: coupon codes are derived "
            "with it. Set it to a secret of at least 32 bytes and never change it"
        )
    return CouponCodes(key.get_secret_value().encode())


def recorder_of(settings: Settings) -> Recorder:
    """Return a recorder with a session of its own."""
    connect = partial(postgres.connect, settings.postgres, name="firstcome-recorder")
    return Recorder(connect, settings.recorder)


def dead_letters_of(settings: Settings) -> DeadLetters:
    """Return operators' commands on dead letters."""
    connect = partial(postgres.connect, settings.postgres, name="firstcome-dead-letters")
    return DeadLetters(connect, partial(GateSession.open, settings.redis))


def rebuild_of(settings: Settings, progress: Progress) -> Rebuild:
    """Return a rebuild for the command line."""
    failpoints.watch(settings.failpoints.folder, "rebuild")
    events = LogAdmin(settings.kafka)
    return Rebuild(settings, events, recorder_of(settings), Event(), progress)
