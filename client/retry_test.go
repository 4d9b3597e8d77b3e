package client

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// TestBackoffGrowsUntilProgress opens streams that get nothing committed, then one that does.
func TestBackoffGrowsUntilProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fruitless = 30
		var opened []time.Time
		conn := serve(t, func(n int, open *logbatcherv1.Open, s serverStream) error {
			opened = append(opened, time.Now())
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1, Resumed: true, CommittedSequence: open.GetCommittedSequence()}); err != nil {
				return err
			}
			if n == fruitless {
				if err := s.Send(&logbatcherv1.IngestStreamResponse{CommittedSequence: 1}); err != nil {
					return err
				}
			}
			if n <= fruitless {
				return unavailable("away")
			}
			return store(s, func(*logbatcherv1.IngestStreamRequest) error { return nil })
		})
		var l ledger
		c := l.config("backoff")
		c.MinBackoff, c.MaxBackoff = 100*time.Millisecond, 10*time.Second
		if err := runFor(t, time.Hour, conn, c, bodies("a"), bodies("b")); err != nil {
			t.Fatal(err)
		}
		if len(opened) != fruitless+2 || l.committed.Entries != 2 || len(l.errors) != fruitless+1 {
			t.Fatalf("%d streams, %d errors, %+v", len(opened), len(l.errors), l.committed)
		}
		// Full jitter: thirty waits below 10 s last 75 s and more, nearly always; without growth they take 3 s.
		if took := opened[fruitless].Sub(opened[0]); took < 30*time.Second {
			t.Errorf("%d streams that got nothing committed took %v", fruitless, took)
		}
		if wait := opened[fruitless+1].Sub(opened[fruitless]); wait > c.MinBackoff*3/2 {
			t.Errorf("after progress the wait was %v", wait)
		}
	})
}

// TestGivesUp tries servers that can't be reached.
func TestGivesUp(t *testing.T) {
	for name, test := range map[string]struct {
		dial   func(context.Context) (net.Conn, error)
		stream func(serverStream) error
		want   string
	}{
		"nobody listens": {dial: func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") }, want: "connection refused"},
		"connections are not answered": {dial: func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			go func() { // reads what it is sent, for as long as the client likes
				buffer := make([]byte, 1024)
				for {
					if _, err := there.Read(buffer); err != nil {
						return
					}
				}
			}()
			return here, nil
		}, want: "server preface"},
		"no welcome": {stream: func(s serverStream) error { <-s.Context().Done(); return s.Context().Err() }, want: "no Welcome from the server within 1m0s"},
		"nothing is committed": {stream: func(s serverStream) error {
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1, Resumed: true}); err != nil {
				return err
			}
			<-s.Context().Done()
			return s.Context().Err()
		}, want: "nothing was committed for 10m0s"},
		"streams break": {stream: func(s serverStream) error {
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1, Resumed: true}); err != nil {
				return err
			}
			return unavailable("broken")
		}, want: "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conn *grpc.ClientConn
				if test.dial != nil {
					conn = connect(t, test.dial)
				} else {
					conn = serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error { return test.stream(s) })
				}
				var l ledger
				c := l.config("gives-up")
				c.MinBackoff, c.MaxBackoff = 100*time.Millisecond, 10*time.Second
				c.GiveUpAfter = 10 * time.Minute
				began := time.Now()
				err := runFor(t, time.Hour, conn, c, bodies("a"))
				if took := time.Since(began); took != c.GiveUpAfter {
					t.Errorf("gave up after %v", took)
				}
				if !errors.Is(err, ErrGaveUp) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("Close ended with %v, want %q in it", err, test.want)
				}
				if name != "nothing is committed" && len(l.errors) == 0 {
					t.Error("OnError was not called")
				}
			})
		})
	}
}

// TestIdleProducerDoesNotGiveUp leaves a stream open for a day with nothing to send.
func TestIdleProducerDoesNotGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := serve(t, func(n int, _ *logbatcherv1.Open, s serverStream) error {
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			return store(s, func(*logbatcherv1.IngestStreamRequest) error { return nil })
		})
		var l ledger
		c := l.config("idle")
		c.GiveUpAfter = time.Minute
		c.Conns = []grpc.ClientConnInterface{conn}
		p := open(t, c)
		for range 2 {
			time.Sleep(24 * time.Hour) // the bubble's clock
			if err := p.Send(t.Context(), bodies("late")...); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil || l.committed.Entries != 2 || len(l.errors) > 0 {
			t.Errorf("Close ended with %v, committed %+v, reported %v", err, l.committed, l.errors)
		}
	})
}

// TestWhatGRPCRefuses tries connections on which no stream can work.
func TestWhatGRPCRefuses(t *testing.T) {
	stream := func(_ int, _ *logbatcherv1.Open, s serverStream) error {
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
			return err
		}
		return store(s, func(*logbatcherv1.IngestStreamRequest) error { return nil })
	}
	closed := serve(t, stream)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for want, conn := range map[string]*grpc.ClientConn{
		"closing":          closed,
		"not installed":    serve(t, stream, grpc.WithDefaultCallOptions(grpc.UseCompressor("abacus"))),
		"send the opening": serve(t, stream, grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(3))),
	} {
		var l ledger
		if err := run(t, conn, l.config("refused"), bodies("a")); err == nil || !strings.Contains(err.Error(), want) || len(l.errors) != 1 {
			t.Errorf("Close ended with %v, want %q in it; reported %v", err, want, l.errors)
		}
	}
}

// TestTLSToAPlainPort speaks TLS to a real server without.
func TestTLSToAPlainPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() { server.Stop(); <-ended }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var l ledger
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := l.config("tls", conn)
	c.OnError = func(err error) { l.errors = append(l.errors, err); cancel() }
	p := open(t, c)
	if err := p.Send(ctx, bodies("a")...); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(ctx); !errors.Is(err, context.Canceled) || len(l.errors) == 0 || !strings.Contains(l.errors[0].Error(), "TLS") {
		t.Errorf("Close: %v, reported %v", err, l.errors)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	good := DefaultConfig("id", "localhost:4320")
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	bad := Config{Open: &logbatcherv1.Open{Producer: "caf\xe9 0", Epoch: 1}, GiveUpAfter: -1, WhenFull: 7}
	_, err := Open(bad)
	for _, name := range []string{
		"Addresses", "Producer", "Epoch", "Streams", "BatchEntries", "BatchBytes", "Linger", "MaxBytes", "WhenFull", "MinBackoff", "MaxBackoff",
		"WelcomeTimeout", "FlushTimeout", "GiveUpAfter",
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %s is not in it", err, name)
		}
	}
	for name, change := range map[string]func(*Config){
		"no opening":          func(c *Config) { c.Open = nil },
		"long id":             func(c *Config) { c.Open.Producer = strings.Repeat("x", 129) },
		"long id of streams":  func(c *Config) { c.Open.Producer, c.Streams = strings.Repeat("x", 127), 2 },
		"two ways to connect": func(c *Config) { c.Conns = []grpc.ClientConnInterface{nil} },
		"a nil connection":    func(c *Config) { c.Addresses, c.Conns = nil, []grpc.ClientConnInterface{nil} },
		"zero MinBackoff":     func(c *Config) { c.MinBackoff = 0 },
		"zero back-offs":      func(c *Config) { c.MinBackoff, c.MaxBackoff = 0, 0 },
		"inverted":            func(c *Config) { c.MinBackoff, c.MaxBackoff = c.MaxBackoff, c.MinBackoff },
		"negative memory":     func(c *Config) { c.MaxBytes = -1 },
		"negative timeout":    func(c *Config) { c.WelcomeTimeout = -1 },
	} {
		c := DefaultConfig("id", "localhost:4320")
		change(&c)
		if err := c.check(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestRetryDelayIsHeeded asks for an hour, and for a minute.
func TestRetryDelayIsHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := []time.Duration{time.Minute, time.Hour}
		var opened []time.Time
		conn := serve(t, func(n int, _ *logbatcherv1.Open, s serverStream) error {
			opened = append(opened, time.Now())
			if n < len(asked) {
				full, err := status.New(codes.ResourceExhausted, "full").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(asked[n])})
				if err != nil {
					return err
				}
				return full.Err()
			}
			if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
				return err
			}
			return store(s, func(*logbatcherv1.IngestStreamRequest) error { return nil })
		})
		var l ledger
		c := l.config("asked")
		c.MaxBackoff = 10 * time.Minute
		if err := runFor(t, time.Hour, conn, c, bodies("a")); err != nil {
			t.Fatal(err)
		}
		for n, want := range []time.Duration{time.Minute, c.MaxBackoff} {
			if wait := opened[n+1].Sub(opened[n]); wait != want {
				t.Errorf("waited %v, want %v", wait, want)
			}
		}
	})
}

// TestCloseWithNothingLeft closes producers that have nothing to wait for, whatever their server does.
func TestCloseWithNothingLeft(t *testing.T) {
	closing := func(t *testing.T, conn grpc.ClientConnInterface, before func(*Producer)) {
		t.Helper()
		var l ledger
		p := open(t, l.config("close", conn))
		before(p)
		began := time.Now()
		if err := p.Close(t.Context()); err != nil || time.Since(began) > farewell {
			t.Errorf("Close returned after %v with %v", time.Since(began), err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		if err := p.Send(t.Context(), bodies("late")...); !errors.Is(err, ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
		if err := p.Flush(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Flush after Close: %v", err)
		}
	}
	silent := func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") }
	t.Run("at once", func(t *testing.T) { closing(t, connect(t, silent), func(*Producer) {}) })
	t.Run("in a pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			closing(t, connect(t, silent), func(*Producer) { synctest.Wait() })
		})
	})
	t.Run("before the welcome", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error { <-s.Context().Done(); return nil })
			closing(t, conn, func(*Producer) { synctest.Wait() })
		})
	})
	t.Run("the server does not end the stream", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error {
				_ = s.Send(&logbatcherv1.IngestStreamResponse{Welcome: &logbatcherv1.Welcome{Epoch: 1}})
				if _, err := s.Recv(); err != nil {
					return err
				}
				_ = s.Send(&logbatcherv1.IngestStreamResponse{CommittedSequence: 1})
				<-s.Context().Done()
				return nil
			})
			closing(t, conn, func(p *Producer) {
				if err := p.Send(t.Context(), bodies("a")...); err != nil {
					t.Error(err)
				}
				if err := p.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	})
}
