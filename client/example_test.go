package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
)

// Send a hundred entries and wait until they are safe.
func Example() {
	address, stop := startServer() // yours is at "localhost:4320"
	defer stop()

	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	config := client.DefaultConfig("shop/0")
	config.Open.ResourceAttributes = []*logbatcherv1.Attribute{{Key: "service.name", StringValue: "shop"}}
	config.GiveUpAfter = 5 * time.Minute
	config.OnError = func(err error) { log.Print(err) }
	config.OnRefusedEntry = func(entry *logbatcherv1.Entry, refusal *logbatcherv1.Refusal) {
		log.Printf("%q was refused: %s", entry.GetBody(), refusal.GetMessage())
	}
	committed := 0
	config.OnCommitted = func(c client.Committed) { committed += c.Entries - c.Refused }

	producer, err := client.NewProducer(conn, config)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	ended := make(chan error, 1)
	go func() { ended <- producer.Run(ctx) }()
	for i := range 10 {
		entries := make([]*logbatcherv1.Entry, 10)
		for k := range entries {
			entries[k] = &logbatcherv1.Entry{
				TimeUnixNano: uint64(time.Now().UnixNano()), SeverityNumber: 9, Body: fmt.Sprintf("order %d paid", 10*i+k),
			}
		}
		if err := producer.Send(ctx, entries); err != nil { // why Run has ended
			log.Fatal(err)
		}
	}
	producer.Close()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	fmt.Println(committed, "entries are committed")
	// Output: 100 entries are committed
}
