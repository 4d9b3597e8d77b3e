//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// audit has `logbatcher audit` check the books of each gateway, once all that it has received is settled. No fault damages books, so all
// must add up.
func (r *run) audit(ctx context.Context) error {
	if !r.options.log {
		r.say("there are no books to audit: the gateways have no log")
		return nil
	}
	var problems []error
	for _, g := range r.gateways {
		if err := r.auditGateway(ctx, g); err != nil {
			problems = append(problems, fmt.Errorf("audit of %s: %w", g.name, err))
		}
	}
	return errors.Join(problems...)
}

func (r *run) auditGateway(ctx context.Context, g *gateway) error {
	if err := r.awaitSettled(ctx, g); err != nil {
		return err
	}
	address, _ := g.addresses()
	output, err := exec.CommandContext(ctx, r.binary, "audit", "--config", g.file, "--address", address).CombinedOutput()
	for line := range strings.Lines(string(output)) {
		r.say("audit of %s: %s", g.name, strings.TrimSuffix(line, "\n"))
	}
	return err
}

// listPatience is how long the list of settled batches may be behind the accounts: it is written with checkpoints.
const listPatience = 15 * time.Second

// awaitSettled blocks until nothing that a gateway has received is in flight, and the list of its settled batches is as long as its accounts
// say. It says how much is not in the list after listPatience, which the audit can't compare.
func (r *run) awaitSettled(ctx context.Context, g *gateway) error {
	if err := g.awaitServing(ctx); err != nil {
		return err
	}
	address, _ := g.addresses()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, r.options.patience)
	defer cancel()
	var inFlight uint64
	for busy := time.Now(); ; rest(ctx, 100*time.Millisecond) {
		if ctx.Err() != nil {
			return fmt.Errorf("%d rows and entries are in flight after %v", inFlight, r.options.patience)
		}
		now, unlisted, err := readBooks(ctx, logbatcherv1.NewAdminServiceClient(conn))
		if inFlight = now; err != nil {
			return fmt.Errorf("read the books: %w", err)
		}
		switch {
		case inFlight > 0:
			busy = time.Now()
		case unlisted == 0:
			return nil
		case time.Since(busy) > listPatience:
			r.say("%d rows of %s are in no batch of its list, so the audit can't compare them", unlisted, g.name)
			return nil
		}
	}
}

// readBooks returns how many rows and entries are in flight, and how many settled rows are in no batch of the list.
func readBooks(ctx context.Context, admin logbatcherv1.AdminServiceClient) (inFlight uint64, unlisted int64, err error) {
	books, err := admin.GetBooks(ctx, &logbatcherv1.GetBooksRequest{})
	listed := map[string]int64{} // by batch: after a crash some come twice
	for err == nil {
		var part *logbatcherv1.GetBooksResponse
		if part, err = books.Recv(); err != nil {
			break
		}
		for _, t := range part.Tables {
			inFlight += t.RowsInFlight
			unlisted += int64(t.RowsCommitted + t.RowsDeadLettered)
		}
		for _, p := range part.Producers {
			inFlight += p.EntriesInFlight
		}
		for _, b := range part.Batches {
			listed[b.BatchId] = int64(b.RowsCommitted + b.RowsDeadLettered)
		}
	}
	for _, rows := range listed {
		unlisted -= rows
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return inFlight, unlisted, err
}
