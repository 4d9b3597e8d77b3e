package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
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

// Send makes a request of each slice, so send many entries at once: here whatever has come in meanwhile, up to 1000.
func ExampleProducer_Send() {
	address, stop := startServer()
	defer stop()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	producer, err := client.NewProducer(conn, client.DefaultConfig("shop/1"))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	ended := make(chan error, 1)
	go func() { ended <- producer.Run(ctx) }()

	entries := make(chan *logbatcherv1.Entry, 1000)
	go func() { // the program that logs
		defer close(entries)
		for i := range 5000 {
			entries <- &logbatcherv1.Entry{Body: fmt.Sprintf("order %d paid", i)}
		}
	}()
	for first := range entries {
		batch := []*logbatcherv1.Entry{first}
		for len(batch) < cap(entries) && len(entries) > 0 {
			batch = append(batch, <-entries)
		}
		if err := producer.Send(ctx, batch); err != nil {
			log.Fatal(err)
		}
	}
	producer.Close()
	fmt.Println("ended with", <-ended, "after", producer.Statistics().Streams, "stream")
	// Output: ended with <nil> after 1 stream
}

// An attribute's value is the field that is set. A zero looks like a field that is not set, so it needs its type.
func Example_attributes() {
	entry := &logbatcherv1.Entry{
		Body: "order paid",
		Attributes: []*logbatcherv1.Attribute{
			{Key: "user", StringValue: "ada"},
			{Key: "items", IntValue: 3},
			{Key: "discount", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE}, // 0.0
			{Key: "gift", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BOOL},       // false
			{Key: "cart", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_JSON, StringValue: `{"book":1,"pen":2}`},
		},
	}
	fmt.Println(len(entry.GetAttributes()), "attributes")
	// Output: 5 attributes
}

// TLS and tokens belong to the connection. Many producers may share it.
func ExampleNewProducer_credentials() {
	tls, err := credentials.NewClientTLSFromFile("ca.pem", "")
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient("logs.example.com:4320",
		grpc.WithTransportCredentials(tls), grpc.WithPerRPCCredentials(client.Token{File: "/etc/shop/token"}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	producer, err := client.NewProducer(conn, client.DefaultConfig("shop/2"))
	if err != nil {
		log.Fatal(err)
	}
	if err := producer.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
