// Publishes one text in the three ways there are: plain, with an event name, durable.
//
//	REDIS_URL=redis://127.0.0.1:6379 go run . CHANNEL TEXT
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// envelope gives data an event name. Text that users wrote goes into one, lest it begins like one.
func envelope(event, data string) (string, error) {
	if strings.ContainsAny(event, "\r\n\x00") {
		return "", fmt.Errorf("event %q holds a line break or a NUL", event)
	}
	return "\x1eSSE/1\nevent: " + event + "\n\n" + data, nil
}

// publishDurable keeps an event and publishes it. It returns its id, and how many gateways got it now.
func publishDurable(ctx context.Context, rdb *redis.Client, channel, data, event string) (string, int64, error) {
	// The key of the channel's history, and not the channel: on a cluster that is needed.
	answer, err := rdb.FCall(ctx, "sse_publish", []string{"sse:{" + channel + "}"}, data, event).Slice()
	if err != nil && strings.Contains(err.Error(), "Function not found") {
		return "", 0, fmt.Errorf("no function sse_publish in Redis, load it with sse-publish --install: %w", err)
	} else if err != nil {
		return "", 0, err
	}
	return answer[0].(string), answer[1].(int64), nil
}

func check(err error) {
	if err != nil {
		log.Fatal("publish: ", err)
	}
}

func main() {
	log.SetFlags(0)
	ctx, channel, text := context.Background(), os.Args[1], os.Args[2]
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	check(err)
	options.MaxRetries = -1 // an event whose answer was lost may have been published
	rdb := redis.NewClient(options)
	plain, err := rdb.Publish(ctx, channel, text).Result()
	check(err)
	message, err := envelope("order", text)
	check(err)
	named, err := rdb.Publish(ctx, channel, message).Result()
	check(err)
	id, durable, err := publishDurable(ctx, rdb, channel, text, "order")
	check(err)
	fmt.Printf("plain: gateways %d\nnamed: gateways %d\ndurable: gateways %d, id %s\n", plain, named, durable, id)
}
