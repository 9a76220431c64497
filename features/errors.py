"""What can be wrong with the data. `exit_code` is what the job that meets the error ends with."""


class ContractError(Exception):
    """A table or a raw file is not what its contract says: too many rows refused, schema mismatch, rows lost."""

    exit_code = 3


class NoInputError(Exception):
    """There is nothing to read for the dates that were asked for."""

    exit_code = 4


class LeakageError(Exception):
    """Something from after the as-of time reached a feature, a sequence or a fitted statistic."""

    exit_code = 5
