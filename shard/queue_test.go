package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// sized returns an entry with a body of that size.
func sized(service string, bytes int) schema.Entry {
	e := entry(service, "EWR", time.Now())
	e.Body = strings.Repeat("x", bytes)
	return e
}

// TestStuckTableHoldsUpOnlyItself has tables that take no inserts, and producers that send all kinds of requests for them. Requests for
// other tables are committed all the while.
func TestStuckTableHoldsUpOnlyItself(t *testing.T) {
	large := func(service string) []schema.Entry { return []schema.Entry{sized(service, 900<<10)} }
	for name, waiting := range map[string]func(i int) []schema.Entry{
		"small":      func(int) []schema.Entry { return []schema.Entry{sized("stuck", 100)} },
		"large":      func(int) []schema.Entry { return large("stuck") },
		"two tables": func(int) []schema.Entry { return []schema.Entry{sized("stuck", 10<<10), sized("free", 10<<10)} },
		"two large tables": func(int) []schema.Entry {
			return []schema.Entry{sized("stuck", 450<<10), sized("free", 450<<10)}
		},
		"both stuck": func(int) []schema.Entry { return []schema.Entry{sized("stuck", 10<<10), sized("stuck2", 100<<10)} },
		"mixed": func(i int) []schema.Entry {
			return []schema.Entry{sized([]string{"stuck", "stuck2"}[i%2], 1<<(i%18)), sized([]string{"free", "stuck", "other"}[i%3], 1<<(i%19))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				delivery := &scripted{}
				delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
					if strings.HasPrefix(b.Layout().Table().Name, "of_stuck") {
						<-gate
					}
					return sink.Outcome{Committed: b.Rows()}, nil
				}
				r := start(t, testConfig(), delivery, filtered(t, "stuck"), filtered(t, "stuck2"), filtered(t, "free"), filtered(t, "other"))
				ctx, cancel := context.WithCancel(t.Context())
				const senders = 40
				ended := make(chan error, senders)
				named := make([]string, senders)
				for i := range senders {
					go func() {
						for {
							if _, err := r.tryPieces(ctx, func(_ schema.WaitCause, table string) { named[i] = table }, waiting(i)); err != nil {
								ended <- err
								return
							}
						}
					}()
				}
				for range 5 { // each is waiting
					time.Sleep(time.Second)
					synctest.Wait()
				}
				for i := range 20 {
					for _, entries := range [][]schema.Entry{large("free"), {sized("other", 10)}, {sized("free", 10), sized("other", 300<<10)}} {
						sequence := r.send(entries...)
						time.Sleep(1100 * time.Millisecond)
						synctest.Wait()
						if r.outcome(sequence) == nil {
							t.Fatalf("round %d: a request for the other tables is not committed", i)
						}
					}
				}
				for i, table := range named {
					if !strings.HasPrefix(table, "logs.of_stuck") {
						t.Errorf("sender %d waits for %q, want the table that stands still", i, table)
					}
				}
				cancel()
				for range senders {
					if err := <-ended; !errors.Is(err, context.Canceled) {
						t.Errorf("a waiting request ended with %v", err)
					}
				}
				close(gate)
				r.stop()
			})
		})
	}
}

// TestOnlyTableMayHoldEverything has one table, so nobody else needs the room.
func TestOnlyTableMayHoldEverything(t *testing.T) {
	for _, several := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			delivery := &scripted{}
			delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
				<-gate
				return sink.Outcome{Committed: b.Rows()}, nil
			}
			routes := []*schema.Route{firehose(t)}
			if several {
				routes = append(routes, filtered(t, "never"))
			}
			r := start(t, testConfig(), delivery, routes...)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				for {
					if _, err := r.try(ctx, sized("a", 50<<10)); err != nil {
						ended <- err
						return
					}
				}
			}()
			synctest.Wait()
			held, _ := r.routing.Load().routes[0].account.held()
			tables := r.budget.config.Tables
			if least := tables - 200<<10; !several && held < least {
				t.Errorf("the only table holds %d bytes, want nearly %d", held, tables)
			}
			if several && (held > tables/4+100<<10 || held < tables/4-200<<10) {
				t.Errorf("one of two tables holds %d bytes, want about a quarter of %d", held, tables)
			}
			cancel()
			<-ended
			close(gate)
			r.stop()
		})
	}
}

// TestLargeRequestsAreNotPassedForEver checks that a large request gets its turn among any number of small ones while all tables move.
func TestLargeRequestsAreNotPassedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivery := &scripted{}
		delivery.deliver = func(_ context.Context, b *batch.Block) (sink.Outcome, error) {
			time.Sleep(500 * time.Millisecond)
			return sink.Outcome{Committed: b.Rows()}, nil
		}
		var routes []*schema.Route
		for i := range 40 {
			routes = append(routes, filtered(t, fmt.Sprintf("s%d", i)))
		}
		config := testConfig()
		config.MaxOpenBatches = 100
		r := start(t, config, delivery, append(routes, filtered(t, "large"))...)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{}, 80)
		for i := range 80 {
			go func() {
				for ctx.Err() == nil {
					_, _ = r.try(ctx, sized(fmt.Sprintf("s%d", i%40), 20<<10))
				}
				ended <- struct{}{}
			}()
		}
		time.Sleep(5 * time.Second)
		for range 5 {
			begun := time.Now()
			r.send(sized("large", 900<<10), sized("s1", 10))
			if waited := time.Since(begun); waited > 2*claimEvery {
				t.Errorf("the large request waited %v", waited)
			}
		}
		cancel()
		for range 80 {
			<-ended
		}
		r.stop()
	})
}

// TestTenantsTakeTurns has a tenant with many requests wait for a table, and others with few that come later: they don't wait for all of it.
func TestTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Limit: 200, Tables: 100, TableShare: 1, LargestRequest: 100})
		table := account(b, "table")
		var order []string // of the grants, one each second
		var senders sync.WaitGroup
		send := func(tenant string, bytes int, requests int) {
			senders.Go(func() {
				for range requests {
					request := []reservation{{table, bytes}}
					if err := b.reserve(t.Context(), tenant, request, func() {}, func(schema.WaitCause, string) {}); err != nil {
						t.Error(err)
					}
					order = append(order, tenant)
					time.Sleep(time.Second)
					b.unreserve(request)
				}
			})
		}
		for range 30 {
			send("many", 100, 2)
		}
		synctest.Wait()
		send("few", 100, 3)
		synctest.Wait()
		send("small", 60, 5)
		senders.Wait()
		last := func(tenant string) int {
			for i := len(order) - 1; i >= 0; i-- {
				if order[i] == tenant {
					return i
				}
			}
			return -1
		}
		if len(order) != 68 || last("few") > 12 || last("small") > 12 {
			t.Errorf("%d grants: %v", len(order), order)
		}
	})
}

// busy keeps a table busy until ctx ends: what is settled is reserved again at once. It returns the longest wait for a reservation.
func busy(ctx context.Context, b *Budget, account *tableAccount, bytes int) (longest time.Duration) {
	request := []reservation{{account, bytes}}
	for ctx.Err() == nil {
		begun := time.Now()
		if err := b.reserve(ctx, "", request, func() {}, func(schema.WaitCause, string) {}); err != nil {
			return longest
		}
		longest = max(longest, time.Since(begun))
		account.charge(bytes, 1)
		b.unreserve(request)
		time.Sleep(500 * time.Millisecond)
		account.settle(bytes, 1)
	}
	return longest
}

// TestAllTablesTogetherMakeRoom has a request that needs more than is ever free at once. It keeps the others waiting until it has room,
// unless tables that stand still hold what it lacks.
func TestAllTablesTogetherMakeRoom(t *testing.T) {
	for _, stuck := range []int{0, 800} {
		t.Run(fmt.Sprintf("%d bytes stuck", stuck), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBudget(BudgetConfig{Limit: 2000, Tables: 1000, TableShare: 0.25, LargestRequest: 400})
				b.setTables(true)
				account(b, "stuck").charge(stuck, 1)
				ctx, cancel := context.WithTimeout(t.Context(), 5*claimEvery)
				defer cancel()
				waits := make(chan time.Duration)
				const tables = 10
				for i := range tables {
					table := account(b, fmt.Sprint(i))
					for range 2 { // one of them always waits
						go func() { waits <- busy(ctx, b, table, (1000-stuck)/tables) }()
					}
					time.Sleep(50 * time.Millisecond) // so they settle one by one
				}
				begun := time.Now()
				large := []reservation{{account(b, "large"), 400}}
				err := b.reserve(ctx, "", large, func() {}, func(schema.WaitCause, string) {})
				waited := time.Since(begun)
				if err == nil {
					b.unreserve(large)
				}
				cancel()
				longest := time.Duration(0)
				for range 2 * tables {
					longest = max(longest, <-waits)
				}
				switch {
				case stuck == 0 && err != nil:
					t.Errorf("the large request waited %v in vain", waited)
				case stuck > 0 && err == nil:
					t.Error("the large request found room beside a table that holds it")
				case stuck > 0 && longest > time.Second:
					t.Errorf("small requests waited %v for one that could not be let in", longest)
				}
			})
		})
	}
}

// TestQueueKeepsToWhatIsThere makes random requests and settlements and checks the budget's books after each.
func TestQueueKeepsToWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(BudgetConfig{Limit: 1000, Tables: 800, TableShare: 0.25, LargestRequest: 100})
		b.setTables(true)
		var tables []*tableAccount
		for i := range 6 {
			tables = append(tables, account(b, fmt.Sprint(i)))
		}
		done := make(chan error, 200)
		for i := range 200 {
			go func() {
				request := []reservation{{tables[i%6], 1 + i%50}}
				if i%3 == 0 {
					request = append(request, reservation{tables[(i+1)%6], 1 + i%40})
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%7*10)*time.Second)
				defer cancel()
				err := b.reserve(ctx, "", request, func() {}, func(schema.WaitCause, string) {})
				if err == nil {
					time.Sleep(time.Duration(i%5) * time.Second)
					for _, r := range request {
						r.account.charge(r.bytes, 1)
					}
					b.unreserve(request)
					time.Sleep(time.Second)
					for _, r := range request {
						r.account.settle(r.bytes, 1)
					}
				}
				done <- err
			}()
		}
		granted := 0
		for range 200 {
			if <-done == nil {
				granted++
			}
		}
		sum := 0
		for _, table := range tables {
			bytes, rows := table.held()
			sum += bytes + rows
		}
		if b.Used() != 0 || sum != 0 || b.queue.claims.Len() != 0 {
			t.Errorf("used %d, tables hold %d, %d wait", b.Used(), sum, b.queue.claims.Len())
		}
		if granted < 100 {
			t.Errorf("%d of 200 were granted", granted)
		}
	})
}

func TestMatched(t *testing.T) {
	set := make([]uint64, 3)
	want := []int{0, 5, 63, 64, 130, 191}
	for _, n := range want {
		set[n/64] |= 1 << (n % 64)
	}
	if got := slices.Collect(matched(set)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
