"""Planted bugs: a fault harness that has never failed proves nothing.

    planting.py     an edit of the product's code, and the import hook that makes it
    site/           puts the hook into every process of a stack (sitecustomize)
    admission.py    plants in the gate and in what the api does with its verdicts
    answers.py      plants in what users are told, and when
    recording.py    plants between the log and the rows
    recovery.py     plants in sweeper, mirror and rebuild
    catalogue.py    all of them, by name
    faults.py       the faults that bring them to light
    exam.py         one plant from end to end: a stack, a crowd, a fault, the judgement
    selftest.py     every plant in turn, the table, the exit code

No file of the product is touched: a plant is a text that is looked for in the source of one
module, Lua script or SQL statement, and what stands there instead while FIRSTCOME_PLANT names
it. A plant whose text is not there any more ends the process that should have carried it.
"""
