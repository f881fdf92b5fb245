// A worker with nothing but a Redis client: answers each frame with the same.
//
// go run . [redis://localhost:6379] [app]
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

type object map[string]any

// reply says something to the client's session, and that the event was handled.
func reply(ctx context.Context, broker *redis.Client, event, message object) error {
	message["channel"], message["lease"], message["done"] = event["reply_channel"], event["lease"], event["order"]
	payload, _ := json.Marshal(message)
	return broker.Publish(ctx, event["reply_topic"].(string), payload).Err()
}

// handle does what an event asks for: a client's connect, each frame, its end.
func handle(ctx context.Context, broker *redis.Client, event object) error {
	switch event["type"] {
	case "websocket.connect":
		return reply(ctx, broker, event, object{"type": "websocket.accept"})
	case "websocket.receive":
		if text, ok := event["text"]; ok {
			return reply(ctx, broker, event, object{"type": "websocket.send", "text": text})
		}
		return reply(ctx, broker, event, object{"type": "websocket.send", "bytes": event["bytes"]})
	case "websocket.disconnect":
		fmt.Println("left", event["session"], event["code"])
	}
	return nil
}

// argument is the nth of the command line, or what stands in its place.
func argument(n int, otherwise string) string {
	if len(os.Args) > n {
		return os.Args[n]
	}
	return otherwise
}

// work takes events until the broker goes away.
func work(ctx context.Context, broker *redis.Client, queue string) error {
	for {
		popped, err := broker.BLPop(ctx, 0, "busgate:queue:"+queue).Result()
		if err != nil {
			return err
		}
		var event object
		if json.Unmarshal([]byte(popped[1]), &event) != nil {
			continue
		}
		if expires, ok := event["__expires"].(float64); ok && expires <= float64(time.Now().UnixMilli()) {
			continue
		}
		if err := handle(ctx, broker, event); err != nil {
			return err
		}
	}
}

func main() {
	options, err := redis.ParseURL(argument(1, "redis://localhost:6379"))
	if err == nil {
		fmt.Println("reading", argument(2, "app"))
		err = work(context.Background(), redis.NewClient(options), argument(2, "app"))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
