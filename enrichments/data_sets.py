"""Which customers an enrichment is about: all of them, or the members of one segment."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal.customer_data import (
    CUSTOMER,
    CustomerDataError,
    Item,
    Kind,
    Listed,
    list_items,
    open_for_page,
)
from connections_portal.templatetags.portal import number


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A choice. ``segment`` is empty for all customers; ``error`` says why it cannot be chosen."""

    segment: str
    label: str
    size: int | None = None
    error: str = ""

    @property
    def members(self) -> str:
        """*24,310 members*, *40,000 customers*; empty where nobody counted them."""
        if self.size is None:
            return ""
        words = {"n": number(self.size)}
        if self.segment:
            return ngettext("%(n)s member", "%(n)s members", self.size) % words
        return ngettext("%(n)s customer", "%(n)s customers", self.size) % words


@dataclass(frozen=True, kw_only=True)
class DataSets:
    """Everything there is to choose, all customers first; ``error`` says that nothing can be read."""

    choices: tuple[DataSet, ...] = ()
    error: str = ""

    def get(self, segment: str) -> DataSet | None:
        """The choice of that name, or None."""
        return next((choice for choice in self.choices if choice.segment == segment), None)


def load() -> DataSets:
    """Read the segments and their counts (five seconds at most); trouble is told in the result, never raised."""
    try:
        with open_for_page() as engine:
            listed = list_items(engine)
    except CustomerDataError as error:
        return DataSets(error=error.message)
    customers = next((e for e in listed if (e.item.kind, e.item.name) == (Kind.TABLE, CUSTOMER)), None)
    everyone = DataSet(
        segment="",
        label=label_of(""),
        size=customers.count if customers else None,
        error=customers.error if customers else _("There are no customers to read."),
    )
    return DataSets(choices=(everyone, *(_segment(e) for e in listed if e.item.kind is Kind.SEGMENT)))


def _segment(entry: Listed) -> DataSet:
    return DataSet(
        segment=entry.item.name, label=label_of(entry.item.name), size=entry.count, error=entry.error
    )


def label_of(segment: str) -> str:
    """The data set's name as people read it, also when it is gone: ``loyalty_gold`` → *Loyalty gold*."""
    return Item(Kind.SEGMENT, segment, ()).label if segment else _("Customer table")
