// A worker with nothing but a Redis client: answers each frame with the same.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

type object map[string]any

// answer is what an event asks for: a client's connect, each frame; its end asks for nothing.
func answer(event object) object {
	switch event["type"] {
	case "websocket.connect":
		return object{"type": "websocket.accept"}
	case "websocket.receive":
		if text, ok := event["text"]; ok {
			return object{"type": "websocket.send", "text": text}
		}
		return object{"type": "websocket.send", "bytes": event["bytes"]}
	case "websocket.disconnect":
		fmt.Println("left", event["session"], event["code"])
	}
	return nil
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go run . redis://localhost:6379 app")
	}
	ctx, broker := context.Background(), redis.NewClient(must(redis.ParseURL(os.Args[1])))
	for {
		popped := must(broker.BLPop(ctx, 0, "busgate:queue:"+os.Args[2]).Result())
		event := object{"__expires": math.Inf(1)}
		isRead := json.Unmarshal([]byte(popped[1]), &event) == nil
		if expires, _ := event["__expires"].(float64); !isRead || expires <= float64(time.Now().UnixMilli()) {
			continue
		}
		if message := answer(event); message != nil {
			message["channel"], message["lease"], message["done"] = event["reply_channel"], event["lease"], event["order"]
			must(broker.Publish(ctx, event["reply_topic"].(string), must(json.Marshal(message))).Result())
		}
	}
}
