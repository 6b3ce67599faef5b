"""S24: what is sent is the list that was ticked; a column that the source gets later is sent to nobody by itself."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from django.test import Client

from connections_portal.errors import OperationError
from connections_portal.models import RunState, User
from exports.item import Item
from exports.models import Export, ExportItem, ItemKind
from tests.data import CUSTOMERS
from tests.exports.filling import filled, text, ticked
from tests.factories import make_connection
from tests.runs.helpers import Delivery, carry, lines, start, tree

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]

EMAIL = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("email",))
AMOUNT = Item(kind=ItemKind.TABLE, source="orders", fields=("order_id", "amount"))
# on purpose before and between those that are ticked, and one that differs from them in its case only
NEW = "canary_tax_number"
ORDERS = {
    "canary_iban": ["DE1", "DE2"],
    "order_id": ["o1", "o2"],
    "customer_id": ["c1", "c9"],
    "amount": [1.5, 20.25],
}


def grow(data: Path) -> None:
    """The source gets columns: of the customers, of the table, and of the segment's file."""
    pq.write_table(pa.table({NEW: ["t1", "t2", "t3", "t4"], **CUSTOMERS}), data / "customer.parquet")
    pacsv.write_csv(pa.table(ORDERS), data / "tables" / "orders.csv")
    members = pa.table({"customer_id": ["c1", "c3", "c3", "gone"], "canary_note": ["n1", "n2", "n3", "n4"]})
    pq.write_table(members, data / "segments" / "loyal.parquet")


def stored(export: Export) -> list[Sequence[str]]:
    return [list(item.fields) for item in ExportItem.objects.filter(export=export).order_by("pk")]


def test_a_run_sends_the_ticked_columns_and_names_no_other(delivery: Delivery) -> None:
    export = delivery.export(EMAIL, AMOUNT)
    assert carry(start(export)) == "successful"
    grow(delivery.data)
    run = start(export)
    assert carry(run) == "successful"
    sent = tree(delivery.at_server / run.final_folder)
    assert lines(sent["loyal_1.csv"])[:2] == ('"email"', {'"ana@example.com"', '""'})
    assert lines(sent["orders_1.csv"])[:2] == ('"order_id","amount"', {'"o1",1.5', '"o2",20.25'})
    model = json.loads(sent["model.json"])
    columns = [[a["name"] for a in entity["attributes"]] for entity in model["entities"]]
    assert columns == [["email"], ["order_id", "amount"]]
    assert not [name for name, content in sent.items() if b"canary" in content or b"t1" in content]
    assert stored(export) == [["email"], ["order_id", "amount"]]


def test_a_ticked_column_that_is_gone_stops_the_run_and_no_other_takes_its_place(delivery: Delivery) -> None:
    export = delivery.export(EMAIL)
    renamed = {("e_mail" if name == "email" else name): values for name, values in CUSTOMERS.items()}
    pq.write_table(pa.table(renamed), delivery.data / "customer.parquet")
    run = start(export)
    carry(run)
    assert run.state == RunState.FAILED
    assert delivery.delivered(export) == {}


@pytest.mark.parametrize(
    "field", ["*", "customer.*", "email, city", 'email" AS e, "city', "COLUMNS(*)", "EXCLUDE"]
)
def test_nothing_stands_for_several_columns(delivery: Delivery, field: str) -> None:
    export = delivery.export(Item(kind=ItemKind.SEGMENT, source="loyal", fields=(field,)))
    run = start(export)
    carry(run)
    assert run.state == RunState.FAILED
    assert delivery.delivered(export) == {}


def test_an_export_without_columns_is_none(delivery: Delivery) -> None:
    with pytest.raises(OperationError):
        delivery.export(Item(kind=ItemKind.SEGMENT, source="loyal", fields=()))


def test_the_form_ticks_nothing_by_itself(customer_data: Path, admin: User, client_of: Clients) -> None:
    connection = make_connection(actor=admin)
    client = client_of(admin)
    form = filled(
        connection,
        items=["segment:loyal", "table:orders"],
        shown=["fields:segment", "fields:table:orders"],
        **{"fields:segment": ["email"], "fields:table:orders": ["order_id", "amount"]},
    )
    assert client.post("/data/exports/new/", form).status_code == 303
    export = Export.objects.get()
    grow(customer_data)
    url = f"/data/exports/{export.uuid}/edit/"
    page = text(client.get(url))
    assert not ticked(page, "fields:segment", NEW)
    assert not ticked(page, "fields:table:orders", "canary_iban")
    assert ticked(page, "fields:segment", "email")
    # saved as it stands, with another name: the list stays what it was
    again = form | {"name": "Another name", "version": str(export.version)}
    assert client.post(url, again).status_code == 303
    assert stored(export) == [["email"], ["order_id", "amount"]]
    # whoever ticks it sends it
    export.refresh_from_db()
    more = again | {"version": str(export.version), "fields:segment": ["email", NEW]}
    assert client.post(url, more).status_code == 303
    assert sorted(stored(export)[0]) == [NEW, "email"]


def test_a_copy_and_another_connection_take_the_list_along(
    customer_data: Path, admin: User, client_of: Clients, delivery: Delivery
) -> None:
    export = delivery.export(EMAIL)
    grow(delivery.data)
    client = client_of(admin)
    assert client.post(f"/data/exports/{export.uuid}/duplicate/").status_code == 303
    copy = Export.objects.exclude(pk=export.pk).get()
    assert stored(copy) == [["email"]]
    client.post(f"/data/exports/{export.uuid}/detach/")
    client.post(f"/data/exports/{export.uuid}/attach/", {"connection": str(delivery.connection.uuid)})
    export.refresh_from_db()
    assert export.connection == delivery.connection
    assert stored(export) == [["email"]]
