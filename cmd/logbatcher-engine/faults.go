package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Faults are misbehaviours that a test asks for with POST /faults?…, only when
// the program was started with --faults. They concern inserts alone; each POST
// replaces all of them and sets the counts to zero, and GET /faults tells how
// often each has struck.
//
//	refuse=n           answer the next n inserts with an exception, executing none
//	corrupt_answer=n   execute the next n inserts and answer with an exception
//	drop_answer=n      execute the next n inserts and close the connection
//	delay_answer=d     execute, then hold each answer that long (until faults change)
//	code=n             the exception of refuse and corrupt_answer; 252 by default
//	match=text         only inserts whose statement contains the text
type faults struct {
	mu     sync.Mutex
	wanted faultPlan
	struck faultCounts
	change chan struct{} // closed and replaced when faults change
}

type faultPlan struct {
	refuse, corrupt, drop, code int
	delay                       time.Duration
	match                       string
}

// faultCounts is the answer to GET /faults.
type faultCounts struct {
	Refused   int `json:"refused"`
	Corrupted int `json:"corrupted"`
	Dropped   int `json:"dropped"`
	Holding   int `json:"holding"` // answers being held now
	Held      int `json:"held"`    // ever, with those
}

func newFaults() *faults {
	return &faults{change: make(chan struct{})}
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		plan, err := readFaultPlan(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		f.wanted = plan
		f.struck = faultCounts{Holding: f.struck.Holding}
		close(f.change)
		f.change = make(chan struct{})
		f.mu.Unlock()
	}
	f.mu.Lock()
	counts := f.struck
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(counts)
}

func readFaultPlan(values url.Values) (plan faultPlan, err error) {
	plan.code = 252
	plan.match = values.Get("match")
	if text := values.Get("delay_answer"); text != "" {
		if plan.delay, err = time.ParseDuration(text); err != nil {
			return plan, err
		}
	}
	for name, target := range map[string]*int{
		"refuse": &plan.refuse, "corrupt_answer": &plan.corrupt, "drop_answer": &plan.drop, "code": &plan.code,
	} {
		if text := values.Get(name); text != "" {
			if *target, err = strconv.Atoi(text); err != nil {
				return plan, err
			}
		}
	}
	return plan, nil
}

// beforeInsert says with which exception to refuse an insert, if at all.
func (f *faults) beforeInsert(statement string) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted.refuse == 0 || !strings.Contains(statement, f.wanted.match) {
		return nil
	}
	f.wanted.refuse--
	f.struck.Refused++
	return exception(f.wanted.code, "FAULT", "This insert was refused because a test asked for it")
}

// afterInsert spoils the answer of an insert that has been executed: it holds
// it, or says with which exception to answer, or closes the connection (by
// http.ErrAbortHandler).
func (f *faults) afterInsert(ctx context.Context, statement string) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	if !strings.Contains(statement, f.wanted.match) {
		f.mu.Unlock()
		return nil
	}
	plan, change := f.wanted, f.change
	switch {
	case plan.drop > 0:
		f.wanted.drop--
		f.struck.Dropped++
	case plan.corrupt > 0:
		f.wanted.corrupt--
		f.struck.Corrupted++
	}
	if plan.delay > 0 {
		f.struck.Holding++
		f.struck.Held++
	}
	f.mu.Unlock()

	if plan.delay > 0 {
		select {
		case <-time.After(plan.delay):
		case <-change:
		case <-ctx.Done():
		}
		f.mu.Lock()
		f.struck.Holding--
		f.mu.Unlock()
	}
	switch {
	case plan.drop > 0:
		panic(http.ErrAbortHandler)
	case plan.corrupt > 0:
		return exception(plan.code, "FAULT", "This insert was executed, and answered so because a test asked for it")
	}
	return nil
}
