"""What every section of a scenario's configuration is made of."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict

_zones = cache(available_timezones)  # reads every file of the database


class Section(BaseModel):
    """Frozen; keys that are not declared are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def check_zone(zone: str) -> str:
    if zone not in _zones() and not re.fullmatch(r"[+-](0\d|1[0-8]):[0-5]\d", zone):
        raise ValueError(f"a zone must be one of the IANA's, such as Europe/Berlin, or an offset, +02:00. Received {zone!r}.")
    return zone


Zone = Annotated[str, AfterValidator(check_zone)]
