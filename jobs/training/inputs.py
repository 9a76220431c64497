"""Whether the tables that a model is about to learn from are of one run of build_sequences, which made them for one another."""

from __future__ import annotations

from features.errors import ContractError
from jobs import build_sequences
from jobs.runtime import ledger
from jobs.runtime.run import Run

MAKER = build_sequences.JOB


def check_made_together(run: Run) -> None:
    """Reads the ledger; one that knows no run of build_sequences says nothing.

    Raises:
        ContractError: the tables are of several runs, of one that did not come to its end, or of other declarations.
    """
    runs = ledger.newest_runs(run.warehouse, MAKER.name)
    made = ledger.last_written(runs)
    if made is None:
        return
    wrong = [
        f"other versions than it left of {name}" for name in made["outputs"] if not _is_left(run, name, made["outputs"][name])
    ]
    if made["exit_code"]:
        wrong.insert(0, f"a run that ended with {made['exit_code']}")
    if wrong:
        raise ContractError(
            f"sequences: what trains must be as one run of build_sequences left it. Received {'; '.join(wrong)}. "
            "Run build_sequences."
        )
    if ledger.is_declared_otherwise(runs, run.recipe_of(MAKER)):
        raise ContractError(
            "sequences: must be built with what the configuration declares. Received other values in "
            f"{' or '.join(MAKER.sections)}. Run build_sequences."
        )


def _is_left(run: Run, name: str, version: int) -> bool:
    """Whether this run reads what build_sequences left, if it reads that table at all."""
    return name not in run.versions or run.is_as_left(MAKER, name, version)
