"""Errors for the people who send and receive the files."""


class CentreRefused(Exception):
    """A centre's submission or spec cannot be used as it is; the message says where, what was found, what was expected and what to do.

    The message never holds a patient's value, except a code that is missing from a declared vocabulary.
    """

    def __init__(self, centre_id: str, problems: list[str]):
        self.centre_id = centre_id
        self.problems = problems
        super().__init__(
            "\n".join(
                [
                    f"{centre_id}: not loaded, {len(problems)} problem(s); nothing of the last good load was touched.",
                    *(f"  - {p}" for p in problems),
                ]
            )
        )
