package server

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"

	"github.com/logbatcher/logbatcher/schema"
)

// replays has the intakes for requests of the log, by protocol and by the bounds under which they were accepted.
type replays struct {
	mu      sync.Mutex
	intakes map[replayed]*intake
}

type replayed struct {
	protocol string
	bounds   entryBounds
}

// replayIntake returns the intake for a protocol's requests that were accepted under the bounds.
func (in *ingest) replayIntake(protocol string, bounds entryBounds) (*intake, error) {
	r := &in.replays
	r.mu.Lock()
	defer r.mu.Unlock()
	key := replayed{protocol, bounds}
	if known := r.intakes[key]; known != nil {
		return known, nil
	}
	c, b, m := in.config.within(bounds), in.intake.budget, in.metrics
	var replay *intake
	switch protocol {
	case protocolProtobuf:
		replay = newIntake(protocol, c, b, m, newProtobufDecoder(c))
	case protocolOTLP:
		replay = newOTLPIntake(c, b, m, newOTLPDecoder(c))
	case protocolJSONLines, protocolEntryLines:
		replay = newIntake(protocol, c, b, m, newJSONDecoder(c, protocol == protocolEntryLines))
	default:
		return nil, fmt.Errorf("the log has a request of an unknown protocol, %q", protocol)
	}
	if r.intakes == nil {
		r.intakes = make(map[replayed]*intake)
	}
	r.intakes[key] = replay
	return replay, nil
}

// Replay routes a request of the log, with its number there. Its entries are those that it was accepted with, whatever the bounds and
// defaults are now; skip reports the ones that are in a batch of a route already, nil: none. It waits for memory like any request. After
// nil, its outcome goes to Log.Placed and Log.Settled; after an error, nothing of it was routed.
func (s *Server) Replay(ctx context.Context, logged *schema.LoggedRequest, lsn uint64, skip func(route string, place uint32) bool) error {
	if err := s.ingest.replay(ctx, logged, lsn, skip); err != nil {
		return fmt.Errorf("replay request %d of producer %q, number %d in the log: %w", logged.Sequence, logged.Producer, lsn, err)
	}
	return nil
}

// Settle records the outcome of a request that an earlier process had logged, if its producer is known. Log calls it.
func (s *Server) Settle(tenant, producer string, epoch, sequence uint64, o *schema.Outcome) {
	if p := s.ingest.registry.lookup(tenant, producer); p != nil {
		p.settle(epoch, sequence, nil, o)
	}
}

func (in *ingest) replay(ctx context.Context, logged *schema.LoggedRequest, lsn uint64, skip func(route string, place uint32) bool) error {
	if logged.Opening == nil {
		return errBadForm
	}
	bounds, shared, err := readForm(logged.Opening.Data)
	if err != nil {
		return err
	}
	replay, err := in.replayIntake(logged.Protocol, bounds)
	if err != nil {
		return err
	}
	r, err := replay.take(ctx, &frame{mem.BufferSlice{mem.SliceBuffer(logged.Data)}}, logged.Received, nil)
	if err != nil {
		return err
	}
	values := in.config.defaultsOf(shared)
	if err := r.decode(ctx, &values); err != nil {
		r.free()
		return err
	}
	r.Tenant, r.Producer, r.Epoch, r.Sequence = logged.Tenant, logged.Producer, logged.Epoch, logged.Sequence
	r.Routes, r.Routing, r.LSN, r.Skip = logged.Routes, logged.Routing, lsn, skip

	// What was refused at receipt stays refused. Anything else is refused only if this version knows no entry in what another one took.
	refusals, refused := logged.Refusals, make(map[uint32]bool, len(logged.Refusals))
	for i := range refusals {
		refused[refusals[i].Index] = true
	}
	for i := range r.refusals {
		if !refused[r.refusals[i].Index] {
			refusals = append(slices.Clip(refusals), r.refusals[i])
		}
	}
	if len(refused) > 0 {
		r.Skip = func(route string, place uint32) bool { return refused[place] || skip != nil && skip(route, place) }
	}
	log := in.config.WAL
	r.Placed = func(o *schema.Outcome) { log.Placed(lsn, withRefusals(refusals, o)) }
	r.Settled = func(o *schema.Outcome) { log.Settled(lsn, withRefusals(refusals, o), nil) }
	if len(r.Entries) == 0 && !r.pieces {
		r.end()
		return nil
	}
	if err := in.router.Route(ctx, &r.Request, func(schema.WaitCause, string) {}); err != nil {
		r.free()
		return err
	}
	return nil
}
