// What a page of a user's orders begins with: the orders, and where its stream goes on.
//
//	REDIS_URL=redis://127.0.0.1:6379 go run . USER
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// position is the last_event_id of a stream that gets all that is published from now on. On a cluster: one call for each
// channel, and commas between the answers.
func position(ctx context.Context, rdb *redis.Client, channels ...string) (string, error) {
	var keys []string
	for _, channel := range channels {
		keys = append(keys, "sse:{"+channel+"}")
	}
	id, err := rdb.FCallRO(ctx, "sse_position", keys).Text()
	if err != nil && strings.Contains(err.Error(), "Function not found") {
		return "", fmt.Errorf("no function sse_position in Redis, load it with sse-publish --install: %w", err)
	}
	return id, err
}

type page struct {
	Orders []json.RawMessage `json:"orders"`
	Stream string            `json:"stream"`
}

func check(err error) {
	if err != nil {
		log.Fatal("page: ", err)
	}
}

func main() {
	log.SetFlags(0)
	ctx, user, p := context.Background(), os.Args[1], page{Orders: []json.RawMessage{}}
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	check(err)
	rdb := redis.NewClient(options)
	// First the position, then the data. What is published between the two is in both: the page knows an order by its
	// number. The other way round it would be in neither.
	id, err := position(ctx, rdb, "orders:"+user)
	check(err)
	orders, err := rdb.LRange(ctx, "table:orders:"+user, 0, -1).Result() // yours are in a database
	check(err)
	for _, order := range orders {
		p.Orders = append(p.Orders, json.RawMessage(order))
	}
	p.Stream = "/stream?channel=orders:" + user + "&last_event_id=" + id
	check(json.NewEncoder(os.Stdout).Encode(p))
}
