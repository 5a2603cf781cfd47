"""The exceptions that a person is meant to read."""


class UserError(Exception):
    """Something the user can put right: what is wrong, and what to do about it.

    Entry points print it as ``error: <problem>`` with the remedy below and exit with status 2, without a
    traceback. Everything else that is raised is a defect of ours and keeps its traceback.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        # Both go to Exception's args, so that the error survives pickling on its way back from a Ray worker.
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  {self.remedy}"


class DamagedFileError(UserError, ValueError):
    """A file of a run is not what its name says: cut short, or changed by somebody else."""


class StoreError(UserError):
    """The place where a run is kept did not take or give a file: full, read-only, or not answering."""
