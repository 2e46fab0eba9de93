// What a program in Go does with an account: the official SDK against cosmos-local. Ends with 1 at the first surprise.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"sort"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
)

type order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Total    int    `json:"total"`
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func expect(what string, got any, wanted any) {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		log.Fatalf("%s: got %v, wanted %v", what, got, wanted)
	}
	fmt.Println("ok", what)
}

func statusOf(err error) int {
	var failed *azcore.ResponseError
	if errors.As(err, &failed) {
		return failed.StatusCode
	}
	return 0
}

func write(o order) []byte {
	bytes, err := json.Marshal(o)
	check(err)
	return bytes
}

func query(ctx context.Context, c *azcosmos.ContainerClient, text string, key azcosmos.PartitionKey, options *azcosmos.QueryOptions) []string {
	ids := []string{}
	pages := c.NewQueryItemsPager(text, key, options)
	for pages.More() {
		page, err := pages.NextPage(ctx)
		check(err)
		for _, bytes := range page.Items {
			var o order
			check(json.Unmarshal(bytes, &o))
			ids = append(ids, o.ID)
		}
	}
	sort.Strings(ids)
	return ids
}

func main() {
	ctx := context.Background()
	credential, err := azcosmos.NewKeyCredential(os.Getenv("ACCOUNT_KEY"))
	check(err)
	client, err := azcosmos.NewClientWithKey(os.Getenv("ACCOUNT_HOST"), credential, nil)
	check(err)

	_, err = client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "go"}, nil)
	check(err)
	database, err := client.NewDatabase("go")
	check(err)
	throughput := azcosmos.NewManualThroughputProperties(400)
	_, err = database.CreateContainer(ctx, azcosmos.ContainerProperties{
		ID:                     "orders",
		PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/customer"}},
	}, &azcosmos.CreateContainerOptions{ThroughputProperties: &throughput})
	check(err)
	orders, err := database.NewContainer("orders")
	check(err)

	for i := range 20 {
		o := order{ID: fmt.Sprint("o", i), Customer: fmt.Sprint("c", i%4), Total: i}
		_, err = orders.CreateItem(ctx, azcosmos.NewPartitionKeyString(o.Customer), write(o), nil)
		check(err)
	}
	c1 := azcosmos.NewPartitionKeyString("c1")
	_, err = orders.CreateItem(ctx, c1, write(order{ID: "o1", Customer: "c1"}), nil)
	expect("an item that is there is not created again", statusOf(err), http.StatusConflict)
	read, err := orders.ReadItem(ctx, c1, "o1", nil)
	check(err)
	var o order
	check(json.Unmarshal(read.Value, &o))
	expect("an item is read", o, order{ID: "o1", Customer: "c1", Total: 1})
	_, err = orders.ReadItem(ctx, c1, "none", nil)
	expect("an item that is not there", statusOf(err), http.StatusNotFound)
	etag := azcore.ETag(`"other"`)
	_, err = orders.ReplaceItem(ctx, c1, "o1", write(o), &azcosmos.ItemOptions{IfMatchEtag: &etag})
	expect("a replace of another version", statusOf(err), http.StatusPreconditionFailed)

	patch := azcosmos.PatchOperations{}
	patch.AppendIncrement("/total", 10)
	_, err = orders.PatchItem(ctx, c1, "o1", patch, nil)
	check(err)

	batch := orders.NewTransactionalBatch(c1)
	batch.UpsertItem(write(order{ID: "b1", Customer: "c1"}), nil)
	batch.DeleteItem("o5", nil)
	done, err := orders.ExecuteTransactionalBatch(ctx, batch, nil)
	check(err)
	expect("a batch", done.Success, true)

	expect("a query of one partition key", query(ctx, orders, "SELECT * FROM c", c1, nil), "[b1 o1 o13 o17 o9]")
	parameters := &azcosmos.QueryOptions{
		PageSizeHint:    2,
		QueryParameters: []azcosmos.QueryParameter{{Name: "@least", Value: 11}},
	}
	expect("a query with parameters, page by page",
		query(ctx, orders, "SELECT * FROM c WHERE c.total >= @least ORDER BY c.total", c1, parameters), "[o1 o13 o17]")
	expect("a query over all partition keys",
		query(ctx, orders, "SELECT * FROM c WHERE c.total >= 18", azcosmos.NewPartitionKey(), nil), "[o18 o19]")

	databases := client.NewQueryDatabasesPager("SELECT * FROM d WHERE d.id = 'go'", nil)
	page, err := databases.NextPage(ctx)
	check(err)
	expect("a query of databases", len(page.Databases), 1)
	_, err = database.Delete(ctx, nil)
	check(err)
}
