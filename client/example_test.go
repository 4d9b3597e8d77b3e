package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
)

// Send a hundred entries and wait until they are safe.
func Example() {
	address, stop := startServer() // yours is at "localhost:4320"
	defer stop()

	config := client.DefaultConfig("shop", address)
	config.Open.ResourceAttributes = []*logbatcherv1.Attribute{{Key: "service.name", StringValue: "shop"}}
	config.OnRefusal = func(r client.Refused) {
		log.Printf("%q was refused: %s", r.Entry.GetBody(), r.GetMessage())
	}
	producer, err := client.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for n := range 100 {
		err := producer.Send(ctx, &logbatcherv1.Entry{
			TimeUnixNano: uint64(time.Now().UnixNano()), SeverityNumber: 9, Body: fmt.Sprintf("order %d paid", n),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(producer.Statistics().Reached, "entries are committed")
	// Output: 100 entries are committed
}

// Flush waits until what was sent so far is safe, but not forever. Here the server is away.
func ExampleProducer_Flush() {
	config := client.DefaultConfig("shop", "127.0.0.1:1")
	config.Log = nil // by default, standard error has a line about it now and then
	producer, err := client.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	if err := producer.Send(context.Background(), &logbatcherv1.Entry{Body: "order 1 paid"}); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var left *client.UnfinishedError
	if err := producer.Flush(ctx); errors.As(err, &left) {
		fmt.Println(left.Entries, "entry is not known to be safe:", left.Cause)
	}
	_ = producer.Close(ctx) // the same error
	// Output: 1 entry is not known to be safe: context deadline exceeded
}

// A token that was given with an entry comes back with its refusal.
func ExampleProducer_SendToken() {
	address, stop := startServer() // it refuses entries without a body
	defer stop()
	config := client.DefaultConfig("shop", address)
	config.OnRefusal = func(r client.Refused) { fmt.Printf("order %d: %s\n", r.Token, r.GetMessage()) }
	producer, err := client.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for order, text := range []string{"paid", "", "paid"} {
		if err := producer.SendToken(ctx, order, &logbatcherv1.Entry{Body: text}); err != nil {
			log.Fatal(err)
		}
	}
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: order 1: no body
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

// TLS and tokens belong to the connections. With several addresses, each stream begins with another one.
func ExampleOpen_credentials() {
	tls, err := credentials.NewClientTLSFromFile("ca.pem", "")
	if err != nil {
		log.Fatal(err)
	}
	config := client.DefaultConfig("shop", "logs-1.example.com:4320", "logs-2.example.com:4320")
	config.DialOptions = []grpc.DialOption{
		grpc.WithTransportCredentials(tls), grpc.WithPerRPCCredentials(client.Token{File: "/etc/shop/token"}),
	}
	config.Streams = 2
	producer, err := client.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	if err := producer.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// Log with log/slog. A service that logs must not stand still when the log can't be written: here a call waits for 50 ms at most.
func ExampleNewHandler() {
	address, stop := startServer()
	defer stop()
	producer, err := client.Open(client.DefaultConfig("shop", address))
	if err != nil {
		log.Fatal(err)
	}
	handler := client.NewHandler(producer, &client.HandlerOptions{MaxBlock: 50 * time.Millisecond, AddSource: true})
	logger := slog.New(handler).With("version", "1.2.3")
	logger.WithGroup("order").Info("paid", "id", 17, "took", 3*time.Millisecond) // order.id, order.took
	logger.Error("no answer", "error", io.ErrUnexpectedEOF)

	if err := producer.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(producer.Statistics().Reached, "records are committed,", handler.Dropped(), "were dropped")
	// Output: 2 records are committed, 0 were dropped
}
