"""Python imports this before anything else, because a stack's PYTHONPATH names its folder.

It plants the bug that FIRSTCOME_PLANT names into this process, if it is one of the kinds
that carry it (`serve <kind>` on the command line). Any trouble ends the process: a plant that is
not there must not pass for one that was not caught.
"""

import os
import sys
import traceback

if name := os.environ.get("FIRSTCOME_PLANT"):
    try:
        from tests.faults.plants.catalogue import PLANTS
        from tests.faults.plants.planting import plant_here

        words = sys.orig_argv
        if "serve" in words[:-1]:
            plant_here(PLANTS[name], words[words.index("serve") + 1])
    except Exception:
        # Python would go on without this module.
        traceback.print_exc()
        os._exit(70)
