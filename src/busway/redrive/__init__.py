"""Dead letters back to exactly the handler that failed.

letters   which messages are dead letters, and which of them are meant         (browses, leases nothing)
back      lease → put the work back → end the dead letter as "redriven"
outcomes  what became of the work that was put back: delivered, failed again, still under way
"""

from busway.redrive.back import Edit, Redrive, Redriven, Refusal
from busway.redrive.letters import DeadLetter, Selection, named
from busway.redrive.outcomes import DELIVERED, FAILED, UNDER_WAY, Outcome, Outcomes

__all__ = [
    "DELIVERED",
    "FAILED",
    "UNDER_WAY",
    "DeadLetter",
    "Edit",
    "Outcome",
    "Outcomes",
    "Redrive",
    "Redriven",
    "Refusal",
    "Selection",
    "named",
]
