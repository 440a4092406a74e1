"""A process that stands still for its garbage collections, and tells Prometheus of them.

    python collecting.py PORT

It keeps more and more objects, until going through them takes long. Measured and told by the code
that does it in every process.
"""

import gc
import sys
import time

from firstcome.metrics import endpoint
from firstcome.settings import MetricsSettings

# More than the 0.25 s that the alert counts.
LONG_SECONDS = 0.4
OBJECTS = 500_000


def main(port: int) -> None:
    """Collect once a second, until somebody ends it."""
    endpoint.expose(MetricsSettings(port=port), "autoscaler")
    kept: list[list[list[object]]] = []
    while True:
        began = time.monotonic()
        gc.collect()
        if time.monotonic() - began < LONG_SECONDS:
            kept.append([[] for _ in range(OBJECTS)])
        else:
            time.sleep(1.0)


if __name__ == "__main__":
    gc.disable()
    main(int(sys.argv[1]))
