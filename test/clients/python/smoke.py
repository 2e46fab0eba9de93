"""What a program in Python does with an account. Ends with 1 at the first surprise."""

import os

from azure.core import MatchConditions
from azure.cosmos import CosmosClient, PartitionKey, exceptions


def expect(what, got, wanted):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"
    print("ok", what, flush=True)


def expect_status(what, status, work):
    try:
        work()
    except exceptions.CosmosHttpResponseError as error:
        expect(what, error.status_code, status)
        return
    raise AssertionError(f"{what}: it succeeded")


client = CosmosClient(os.environ["ACCOUNT_HOST"], os.environ["ACCOUNT_KEY"])
database = client.create_database_if_not_exists("python")
orders = database.create_container("orders", PartitionKey(path="/customer"), offer_throughput=12000)
expect("throughput", orders.get_throughput().offer_throughput, 12000)
for i in range(20):
    orders.create_item({"id": f"o{i}", "customer": f"c{i % 4}", "total": i})
expect("a read after writes", orders.read_item("o1", "c1")["total"], 1)
expect_status("an item that is not there", 404, lambda: orders.read_item("none", "c1"))
expect_status("an item that is there is not created again", 409, lambda: orders.create_item({"id": "o1", "customer": "c1"}))
expect_status(
    "a replace of another version",
    412,
    lambda: orders.replace_item(
        "o1", {"id": "o1", "customer": "c1"}, etag='"other"', match_condition=MatchConditions.IfNotModified
    ),
)
patched = orders.patch_item("o1", "c1", [{"op": "incr", "path": "/total", "value": 10}])
expect("a patch", patched["total"], 11)
batch = [("upsert", ({"id": "b1", "customer": "c1", "total": 1},)), ("delete", ("o5",))]
expect("a batch", [r["statusCode"] for r in orders.execute_item_batch(batch, "c1")], [201, 204])
ids = sorted(item["id"] for item in orders.query_items("SELECT * FROM c", partition_key="c1"))
expect("a query of one partition key", ids, ["b1", "o1", "o13", "o17", "o9"])


def across(query):
    return list(orders.query_items(query, enable_cross_partition_query=True))


expect("a query over partitions, in order", across("SELECT TOP 3 VALUE c.total FROM c ORDER BY c.total DESC"), [19, 18, 17])
expect("a count over partitions", across("SELECT VALUE COUNT(1) FROM c"), [20])
expect("the largest over partitions", across("SELECT VALUE MAX(c.total) FROM c"), [19])
expect_status("groups, which this client cannot put together", 400, lambda: across("SELECT c.customer, COUNT(1) AS n FROM c GROUP BY c.customer"))
expect("the change feed", len(list(orders.query_items_change_feed(start_time="Beginning"))), 20)

tenants = database.create_container("tenants", PartitionKey(path=["/tenant", "/user"], kind="MultiHash"))
for i in range(6):
    tenants.create_item({"id": f"t{i}", "tenant": f"a{i % 2}", "user": f"u{i}"})
ids = sorted(item["id"] for item in tenants.query_items("SELECT * FROM c", partition_key=["a1"]))
expect("the beginning of a hierarchical key", ids, ["t1", "t3", "t5"])
orders.delete_all_items_by_partition_key("c1")
expect("deleting a partition key", across("SELECT VALUE COUNT(1) FROM c"), [15])
client.delete_database(database)
