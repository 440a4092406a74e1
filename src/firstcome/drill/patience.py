"""Who asks again, and after what: the half of all unknown answers, with the same key.

Pure. After an answer that leaves a place in doubt there are two ways on that may not be mixed up:
the same request again, or silence for ever. Each is taken in half of the cases, so that neither a
replay nor a claim that nobody asks about again is rare in a history.
"""

from random import Random

from firstcome.drill.history import ASK_AGAIN, IN_DOUBT

KEYED_SHARE = 0.75  # of all visitors; the others send no Idempotency-Key
AGAIN_SHARE = 0.5  # of the answers in doubt: followed by the same request with the same key
PATIENT_SHARE = 0.5  # of the visitors: they come again after a certain refusal


class Patience:
    """One user's: what he does after each answer to a claim."""

    def __init__(self, random: Random, *, is_keyed: bool) -> None:
        self._random = random
        self._is_keyed = is_keyed
        self._is_patient = random.random() < PATIENT_SHARE
        # Who has no key keeps silent, so that the others ask a little more often at first; whoever
        # has asked again has a key.
        self._again_share = AGAIN_SHARE / KEYED_SHARE if is_keyed else 0.0

    def asks_again(self, code: str) -> bool:
        """Whether he sends the same request once more. Draws anew after each answer in doubt."""
        if code in IN_DOUBT:
            again = self._random.random() < self._again_share
            self._again_share = min(self._again_share, AGAIN_SHARE)
            return again
        return code in ASK_AGAIN and self._is_patient
