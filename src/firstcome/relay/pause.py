"""How long a relay waits after trouble: longer each time, until something has worked again."""

PAUSE_SECONDS_MIN = 0.1


class Pause:
    """Grows from a tenth of a second, doubling, up to a limit."""

    def __init__(self, seconds_max: float) -> None:
        self._longest = seconds_max
        self._seconds = 0.0

    def longer(self) -> float:
        """Return how many seconds to wait now."""
        self._seconds = min(self._longest, max(PAUSE_SECONDS_MIN, 2 * self._seconds))
        return self._seconds

    def over(self) -> None:
        """Begin anew: something has worked."""
        self._seconds = 0.0
