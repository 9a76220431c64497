"""What can go wrong between a table and a model. `exit_code` is what the job that meets the error ends with."""

INTERRUPTED = 130  # exit code of a worker that somebody has ended by hand, as shells have it


class StreamError(Exception):
    """The table version cannot be streamed exactly, or was not: unsupported table feature, missing column, rows lost."""

    exit_code = 3


class WorkerError(Exception):
    """A training worker died or stalled; its checkpoint is good and the same command resumes from it."""

    exit_code = 10


class ExportError(Exception):
    """The exported graph is missing, or does not compute what the trained model computes."""

    exit_code = 3


class CheckpointError(Exception):
    """The folder holds a checkpoint of another run, such as of a model of another vocabulary."""

    exit_code = 3


class LanesError(Exception):
    """The lanes of a step cannot be shared evenly by the workers that there are."""

    exit_code = 2


class DivergedError(Exception):
    """The loss or the weights are no numbers any more; the configuration of the training is what has to change."""

    exit_code = 2
