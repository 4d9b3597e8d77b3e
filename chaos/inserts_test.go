//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// TestInsertFaults has the proxy strike an insert in each way, and counts how often it is executed.
func TestInsertFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault    insertFault
		answer   string // status and code of the exception; "": none
		executed int64
	}{
		"none":             {0, "200 ", 1},
		"refuse":           {refuseInsert, "500 252", 0},
		"fail":             {failInsert, "500 252", 1},
		"drop answer":      {dropAnswer, "", 1},
		"late answer":      {lateAnswer, "200 ", 1},
		"empty 200":        {emptyAnswer, "200 209", 0},
		"empty 200, after": {emptyAnswerAfter, "200 209", 1},
		"replay":           {replayInsert, "200 ", 2},
		"late":             {lateInsert, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var executed atomic.Int64
			target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err != nil || string(body) != "rows" {
					t.Errorf("%q, %v", body, err)
				}
				executed.Add(1)
			}))
			defer target.Close()
			p, err := newInsertProxy(func() string { return target.URL })
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			insert := func() (answer string) {
				response, err := client.Post("http://"+p.address+"/?query=INSERT+INTO+t", "", strings.NewReader("rows"))
				if err != nil {
					return ""
				}
				defer response.Body.Close()
				return fmt.Sprint(response.StatusCode, " ", response.Header.Get("X-ClickHouse-Exception-Code"))
			}
			struck := make(chan int, 1)
			if test.fault != 0 {
				go func() { struck <- p.strike(t.Context(), test.fault, 1, 252, 10*time.Millisecond, time.Hour) }()
				embeddedtest.Eventually(t, "the proxy waits for an insert", func() bool {
					p.mu.Lock()
					defer p.mu.Unlock()
					return p.left == 1
				})
			}
			if answer := insert(); answer != test.answer {
				t.Errorf("the answer is %q, want %q", answer, test.answer)
			}
			if test.fault != 0 {
				if n := <-struck; n != 1 {
					t.Errorf("%d inserts were struck, want 1", n)
				}
			}
			embeddedtest.Eventually(t, fmt.Sprintf("it is executed %d times", test.executed), func() bool { return executed.Load() == test.executed })
			if answer := insert(); answer != "200 " {
				t.Errorf("the next insert is answered with %q", answer)
			}
		})
	}
}
