// Command go sends log records from the OpenTelemetry SDK to LogBatcher, over OTLP/gRPC:
//
//	OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4320 OTEL_SERVICE_NAME=shop go run .
//
// The code is as for any OTLP receiver; only the endpoint is LogBatcher's. The program logs with log/slog.
package main

import (
	"context"
	"log"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	// What LogBatcher refuses is reported as a partial success, and what could not be sent as an error.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Print(err) }))
	exporter, err := otlploggrpc.New(ctx)
	if err != nil {
		return err
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	logger := otelslog.NewLogger("checkout", otelslog.WithLoggerProvider(provider))

	logger.Info("hello from the OpenTelemetry SDK in Go", "order", 17, "amount", 12.5)
	logger.Warn("payment is slow", "order", 17, "took", 3*time.Second)

	// Shutdown sends what is left, and waits until LogBatcher has answered: by default, once it is committed.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return provider.Shutdown(ctx)
}
