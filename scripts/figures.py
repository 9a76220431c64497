"""One figure of a benchmark, as one JSON line on stdout."""

from __future__ import annotations

import json
import math


def figure(
    name: str,
    value: float,
    unit: str,
    goal: float,
    peer: str | None = None,
    peer_value: float | None = None,
    ratio: float | None = None,
) -> None:
    """Prints name, value, unit, peer, peer_value, ratio and goal.

    Args:
        goal: what `ratio` should be at least, where there is a peer; else what `value` should be, or stay under.
        ratio: above 1 where we are better, infinite (printed as null) where the peer has 0; where none is given,
            peer_value / value, as for times.
    """
    if ratio is None and peer_value is not None and value:
        ratio = peer_value / value
    if ratio is not None and not math.isfinite(ratio):
        ratio = None  # which JSON cannot say
    numbers = {"value": value, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio, "goal": goal}
    print(json.dumps({"name": name} | {k: round(v, 4) if isinstance(v, float) else v for k, v in numbers.items()}), flush=True)
