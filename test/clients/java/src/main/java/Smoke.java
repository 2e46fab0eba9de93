import com.azure.cosmos.ConsistencyLevel;
import com.azure.cosmos.CosmosClient;
import com.azure.cosmos.CosmosClientBuilder;
import com.azure.cosmos.CosmosContainer;
import com.azure.cosmos.CosmosDatabase;
import com.azure.cosmos.CosmosException;
import com.azure.cosmos.models.CosmosBatch;
import com.azure.cosmos.models.CosmosBulkOperations;
import com.azure.cosmos.models.CosmosChangeFeedRequestOptions;
import com.azure.cosmos.models.CosmosContainerProperties;
import com.azure.cosmos.models.CosmosItemOperation;
import com.azure.cosmos.models.CosmosItemRequestOptions;
import com.azure.cosmos.models.CosmosPatchOperations;
import com.azure.cosmos.models.CosmosQueryRequestOptions;
import com.azure.cosmos.models.FeedRange;
import com.azure.cosmos.models.PartitionKey;
import com.azure.cosmos.models.PartitionKeyBuilder;
import com.azure.cosmos.models.PartitionKeyDefinition;
import com.azure.cosmos.models.PartitionKeyDefinitionVersion;
import com.azure.cosmos.models.PartitionKind;
import com.azure.cosmos.models.SqlParameter;
import com.azure.cosmos.models.SqlQuerySpec;
import com.azure.cosmos.models.ThroughputProperties;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;

/** What a program in Java does with an account, in gateway mode. Ends with 1 at the first surprise. */
public class Smoke {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) {
        CosmosClient client = new CosmosClientBuilder()
            .endpoint(System.getenv("ACCOUNT_HOST"))
            .key(System.getenv("ACCOUNT_KEY"))
            .consistencyLevel(ConsistencyLevel.SESSION)
            .contentResponseOnWriteEnabled(true)
            .gatewayMode()
            .buildClient();
        try (client) {
            client.createDatabaseIfNotExists("java");
            CosmosDatabase database = client.getDatabase("java");
            orders(database);
            hierarchy(database);
            expect("containers", new TreeSet<>(database.readAllContainers().stream().map(c -> c.getId()).toList()).toString(), "[orders, tenants]");
            database.delete();
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
        // Threads of the client may go on for a while.
        System.exit(0);
    }

    private static void orders(CosmosDatabase database) {
        database.createContainer(new CosmosContainerProperties("orders", "/customer"), ThroughputProperties.createManualThroughput(12000));
        CosmosContainer orders = database.getContainer("orders");
        expect("throughput", orders.readThroughput().getProperties().getManualThroughput(), 12000);
        for (int i = 0; i < 20; i++) orders.createItem(order("o" + i, "c" + i % 4, i));
        expectStatus("an item that is there is not created again", 409, () -> orders.createItem(order("o1", "c1", 0)));
        PartitionKey c1 = new PartitionKey("c1");
        var read = orders.readItem("o1", c1, JsonNode.class);
        expect("an item is read", read.getItem().get("total").asInt(), 1);
        expectStatus("an item that is not there", 404, () -> orders.readItem("none", c1, JsonNode.class));
        expectStatus("a replace of another version", 412, () -> orders.replaceItem(
            order("o1", "c1", 0), "o1", c1, new CosmosItemRequestOptions().setIfMatchETag("\"other\"")));
        var patched = orders.patchItem("o1", c1, CosmosPatchOperations.create().increment("/total", 10), JsonNode.class);
        expect("a patch", patched.getItem().get("total").asInt(), 11);

        CosmosBatch batch = CosmosBatch.createCosmosBatch(c1);
        batch.upsertItemOperation(order("b1", "c1", 1));
        batch.deleteItemOperation("o5");
        expect("a batch", orders.executeCosmosBatch(batch).isSuccessStatusCode(), true);
        List<CosmosItemOperation> operations = new ArrayList<>();
        for (int i = 0; i < 30; i++) operations.add(CosmosBulkOperations.getUpsertItemOperation(order("k" + i, "k" + i, i), new PartitionKey("k" + i)));
        int written = 0;
        for (var done : orders.executeBulkOperations(operations)) if (done.getResponse() != null && done.getResponse().getStatusCode() == 201) written++;
        expect("bulk", written, 30);

        expect("a query of one partition key", ids(orders, "SELECT * FROM c", new CosmosQueryRequestOptions().setPartitionKey(c1)), "[b1, o1, o13, o17, o9]");
        var options = new CosmosQueryRequestOptions();
        expect("a query over partitions, in order", orders.queryItems(new SqlQuerySpec(
            "SELECT VALUE c.id FROM c WHERE c.total < @most ORDER BY c.total DESC OFFSET 1 LIMIT 3",
            List.of(new SqlParameter("@most", 20))), options, String.class).stream().toList().size(), 3);
        expect("a count over partitions", orders.queryItems("SELECT VALUE COUNT(1) FROM c", options, Integer.class).stream().toList(), List.of(50));
        expect("the largest over partitions", orders.queryItems("SELECT VALUE MAX(c.total) FROM c", options, Integer.class).stream().toList(), List.of(29));
        expect("distinct values over partitions", orders.queryItems("SELECT DISTINCT VALUE c.customer FROM c WHERE STARTSWITH(c.customer, 'c')", options, String.class).stream().count(), 4L);
        expect("groups over partitions", orders.queryItems("SELECT c.customer, COUNT(1) AS n FROM c WHERE STARTSWITH(c.customer, 'c') GROUP BY c.customer", options, JsonNode.class).stream().mapToInt(n -> n.get("n").asInt()).sum(), 20);

        int changes = 0;
        var feed = CosmosChangeFeedRequestOptions.createForProcessingFromBeginning(FeedRange.forFullRange());
        for (var page : orders.queryChangeFeed(feed, JsonNode.class).iterableByPage()) {
            changes += page.getResults().size();
            if (page.getResults().isEmpty()) break;
        }
        expect("the change feed", changes, 50);
    }

    private static void hierarchy(CosmosDatabase database) {
        PartitionKeyDefinition key = new PartitionKeyDefinition();
        key.setPaths(List.of("/tenant", "/user"));
        key.setKind(PartitionKind.MULTI_HASH);
        key.setVersion(PartitionKeyDefinitionVersion.V2);
        database.createContainer(new CosmosContainerProperties("tenants", key));
        CosmosContainer tenants = database.getContainer("tenants");
        for (int i = 0; i < 6; i++) {
            ObjectNode item = JSON.createObjectNode().put("id", "t" + i).put("tenant", "a" + i % 2).put("user", "u" + i);
            tenants.createItem(item, new PartitionKeyBuilder().add("a" + i % 2).add("u" + i).build(), null);
        }
        var whole = new PartitionKeyBuilder().add("a1").add("u3").build();
        expect("an item of a hierarchical key", tenants.readItem("t3", whole, JsonNode.class).getItem().get("id").asText(), "t3");
        var beginning = new CosmosQueryRequestOptions().setPartitionKey(new PartitionKeyBuilder().add("a1").build());
        expect("the beginning of a hierarchical key", ids(tenants, "SELECT * FROM c", beginning), "[t1, t3, t5]");
    }

    private static ObjectNode order(String id, String customer, int total) {
        return JSON.createObjectNode().put("id", id).put("customer", customer).put("total", total);
    }

    private static String ids(CosmosContainer container, String query, CosmosQueryRequestOptions options) {
        TreeSet<String> ids = new TreeSet<>();
        container.queryItems(query, options, JsonNode.class).forEach(item -> ids.add(item.get("id").asText()));
        return ids.toString();
    }

    private static void expectStatus(String what, int status, Runnable work) {
        try {
            work.run();
        } catch (CosmosException error) {
            expect(what, error.getStatusCode(), status);
            return;
        }
        throw new AssertionError(what + ": it succeeded");
    }

    private static void expect(String what, Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
        System.out.println("ok " + what);
    }
}
