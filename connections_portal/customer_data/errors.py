"""What can go wrong while customer data is read; every message is fit to be shown and holds no data."""


class CustomerDataError(Exception):
    """Customer data could not be read; ``message`` is a sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unavailable(CustomerDataError):
    """The source as a whole cannot be read: an operator's matter."""


class UnknownItem(CustomerDataError):
    """There is no such segment or table (any more)."""


class BrokenItem(CustomerDataError):
    """One segment or table cannot be read; the others can."""


class TimedOut(CustomerDataError):
    """The question took longer than one question may."""


class NotReached(TimedOut):
    """The time for all questions together was over before this one had its own: it says nothing about the item."""
