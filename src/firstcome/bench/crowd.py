"""Who asks: the users of a drop, in the order in which they come.

Everything follows from a seed, so that the generator's processes and the one
that checks afterwards agree on it without sending a million names around. Users
come in random order, as in life: an ordered crowd would flatter every index.
"""

from array import array
from random import Random

import msgspec

from firstcome.model import UserId

TWICE, KEYED = 1, 2


class Crowd(msgspec.Struct, frozen=True):
    """A number of distinct users, each of whom wants one coupon of one campaign.

    `twice` and `keyed` are shares of the users: those who send two requests at
    the same time, and those whose requests carry an Idempotency-Key.
    """

    users: int
    campaigns: int
    twice: float = 0.0
    keyed: float = 0.0
    seed: int = 1

    @property
    def requests(self) -> int:
        """How many requests the crowd sends when nobody has to ask again."""
        return self.users + round(self.users * self.twice)

    def order(self) -> "array[int]":
        """Return the user of each request, in order; the two of one user stand side by side."""
        traits = self.traits()
        users = list(range(self.users))
        Random(self.seed).shuffle(users)  # noqa: S311 - a crowd, not a secret
        order = array("I")
        for user in users:
            order.append(user)
            if traits[user] & TWICE:
                order.append(user)
        return order

    def traits(self) -> bytearray:
        """Return one byte a user: TWICE and KEYED, or neither."""
        random = Random(self.seed + 1)  # noqa: S311 - a crowd, not a secret
        traits = bytearray(self.users)
        for trait, share in ((TWICE, self.twice), (KEYED, self.keyed)):
            for user in random.sample(range(self.users), round(self.users * share)):
                traits[user] |= trait
        return traits

    def campaign_of(self, user: int) -> int:
        """Return which of the campaigns a user wants: 0 to campaigns - 1, evenly spread."""
        return user % self.campaigns

    def users_of(self, campaign: int) -> int:
        """Return how many users want a campaign."""
        return len(range(campaign, self.users, self.campaigns))


def user_id(user: int) -> UserId:
    """Return the name that a user has in his token and in the database."""
    return UserId(f"u{user:08d}")


def user_of(name: str) -> int | None:
    """Return the user of a name, or None for a name that no crowd has."""
    number = name[1:]
    return int(number) if name[:1] == "u" and len(number) == 8 and number.isdecimal() else None


def idempotency_key(seed: int, user: int) -> str:
    """Return the key that all of a user's requests carry."""
    return f"drop-{seed}-{user}"
