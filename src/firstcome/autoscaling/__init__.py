"""How many recorders run: as many as what waits for them asks for, where more of them help.

    decision.py      the rule: a load, bounds and a memory in, a decision and its reason out
    throughput.py    how fast recorders work, from what they tell of themselves
    autoscaler.py    the loop: look, decide, act, tell
    history.py       the changes made, in the audit table

For the local stack; on Kubernetes KEDA decides by the same numbers (deploy/keda).
"""
