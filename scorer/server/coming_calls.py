"""The number of ModelInfer calls on their way from the server to their handler."""


class ComingCalls:
    """Counts calls between their acceptance by the server and the first line of their handler."""

    def __init__(self) -> None:
        self._accepted = 0

    def accept(self) -> None:
        self._accepted += 1

    def enter(self) -> None:
        self._accepted = max(0, self._accepted - 1)

    def forget(self) -> None:
        """Stop expecting calls that have not arrived, e.g. because they were cancelled."""
        self._accepted = 0

    def __call__(self) -> int:
        return self._accepted
