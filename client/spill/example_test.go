package spill_test

import (
	"context"
	"log"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/client/spill"
)

// Keep what is not committed on disk. The next process with the same folder sends it, each entry once.
func ExampleOpen() {
	kept, err := spill.Open(spill.DefaultConfig("/var/lib/shop/spill"))
	if err != nil {
		log.Fatal(err)
	}
	config := client.DefaultConfig("shop", "logs.example.com:4320")
	config.Spill = kept
	producer, err := client.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := producer.Send(ctx, &logbatcherv1.Entry{Body: "order 17 paid"}); err != nil {
		log.Fatal(err)
	}
	if err := producer.Close(ctx); err != nil { // what is left is in the folder
		log.Print(err)
	}
}
