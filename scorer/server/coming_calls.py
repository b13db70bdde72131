"""How many ModelInfer calls are on their way from the server to their handler."""


class ComingCalls:
    """Counts calls between their acceptance by the server and their handler's first line."""

    def __init__(self) -> None:
        self._accepted = 0

    def accept(self) -> None:
        self._accepted += 1

    def enter(self) -> None:
        self._accepted = max(0, self._accepted - 1)

    def forget(self) -> None:
        """Wait no longer for those that have not come, e.g. because they were cancelled."""
        self._accepted = 0

    def __call__(self) -> int:
        return self._accepted
