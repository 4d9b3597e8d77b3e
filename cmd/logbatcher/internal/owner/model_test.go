package owner

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
)

var modelSeed = flag.Uint64("model.seed", 0, "run the model with this seed only")

var errCut = errors.New("the connection to Redis was cut")

// wire is a redis.Hook between an instance and Redis. It loses requests and replies, and delays requests until somebody delivers them.
type wire struct {
	random  *rand.Rand
	faulty  bool
	delayed *[][]any
}

func (*wire) DialHook(next redis.DialHook) redis.DialHook { return next }
func (*wire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !w.faulty || !strings.HasPrefix(cmd.Name(), "eval") || w.random.IntN(6) > 0 {
			return next(ctx, cmd)
		}
		switch w.random.IntN(3) {
		case 0: // the reply is lost
			_ = next(ctx, cmd)
		case 1: // the request comes late
			*w.delayed = append(*w.delayed, cmd.Args())
		}
		cmd.SetErr(errCut)
		return errCut
	}
}

// model is three instances, their Redis, and a client that sends every number once as far as it can know.
type model struct {
	t       *testing.T
	random  *rand.Rand
	redis   *redis.Client
	delayed [][]any
	logs    []string
	nodes   map[string]*gateway // by log
	wires   map[string]*wire
	clients map[string]*redis.Client
	alive   map[string]bool
	// rows counts each number in the table.
	rows map[uint64]int
	// at is the log of the instance that the client is connected to. sent is the last number it has sent there, committed what it knows.
	at              string
	sent, committed uint64
	// excused are the numbers that may be doubled: an owner that was away had stored them or put them into files when its producer was taken.
	excused map[uint64]bool
	history []string
}

// numbers is how many the client has.
const numbers = 40

func (m *model) note(format string, arguments ...any) {
	m.history = append(m.history, fmt.Sprintf(format, arguments...))
}

func (m *model) pick() string { return m.logs[m.random.IntN(len(m.logs))] }

// connect has the client open at an instance.
func (m *model) connect(log string) {
	m.disconnect()
	if !m.alive[log] {
		return
	}
	g := m.nodes[log]
	at, err := g.open(p, 5, m.committed)
	m.note("open at %s with %d: %d, %v", log, m.committed, at, err)
	if err == nil {
		m.at, m.sent = log, at
		m.learn()
	}
}

func (m *model) disconnect() {
	if m.at != "" {
		m.nodes[m.at].leave(p)
		m.at = ""
	}
}

// learn tells the client what its instance has committed.
func (m *model) learn() {
	if m.at == "" {
		return
	}
	if known, ok := m.nodes[m.at].Producer(p.tenant, p.id); ok {
		committed := known.Accepted
		if len(known.Unsettled) > 0 {
			committed = known.Unsettled[0] - 1
		}
		m.committed = max(m.committed, committed)
	}
}

// send sends some numbers. A stream that the server has ended sends none.
func (m *model) send(count int) {
	if m.at == "" {
		return
	}
	g := m.nodes[m.at]
	if !g.using[p] {
		m.at = ""
		return
	}
	m.sent = min(m.sent+uint64(count), numbers)
	g.accept(p, m.sent, 0)
	m.note("send to %s up to %d", m.at, m.sent)
}

// seal puts what an instance has accepted into files, commit stores some of what is in files.
func (m *model) seal(log string) {
	g := m.nodes[log]
	if known := g.known[p]; known != nil && m.alive[log] {
		for _, s := range known.Unsettled {
			g.accept(p, 0, 0)
			g.filed[p][s] = true
		}
	}
}

func (m *model) commit(log string, share float64) {
	g := m.nodes[log]
	if m.alive[log] {
		for s := range g.rest[p] {
			m.rows[s]++
		}
		delete(g.rest, p)
	}
	known := g.known[p]
	if known == nil || !m.alive[log] {
		return
	}
	var left []uint64
	for _, s := range known.Unsettled {
		if g.filed[p][s] && m.random.Float64() < share {
			m.rows[s]++
			delete(g.filed[p], s)
		} else {
			left = append(left, s)
		}
	}
	known.Unsettled = left
	m.note("%s commits all but %v", log, left)
}

// excuse notes what may be doubled when the instances that do not live lose their producers.
func (m *model) excuse(log string) {
	known := m.nodes[log].known[p]
	if known == nil {
		return
	}
	waiting := map[uint64]bool{}
	for _, s := range known.Unsettled {
		waiting[s] = !m.nodes[log].filed[p][s]
	}
	for s := m.committed + 1; s <= known.Accepted; s++ {
		if !waiting[s] {
			m.excused[s] = true
		}
	}
}

func (m *model) kill(log string) {
	if m.at == log {
		m.at = ""
	}
	m.alive[log] = false
	m.note("kill %s", log)
}

func (m *model) restart(log string) {
	m.wires[log].faulty = false // Recover tries until Redis answers
	m.nodes[log].restart(m.clients[log], log)
	m.nodes[log].cfg.Grace = -freshPause // Claim does not wait for the grace to pass
	m.wires[log].faulty = true
	m.alive[log] = true
	m.note("restart %s: %+v", log, m.nodes[log].known[p])
}

// release has an operator release the producer from an instance that does not live.
func (m *model) release() {
	helper := ""
	for _, log := range m.logs {
		if m.alive[log] {
			helper = log
		}
	}
	if helper == "" {
		return
	}
	m.wires[helper].faulty = false
	defer func() { m.wires[helper].faulty = true }()
	states, err := m.nodes[helper].List(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	for i := range states {
		if log := states[i].Log; log != "" && !m.alive[log] {
			m.excuse(log)
			done, err := m.nodes[helper].release(m.t.Context(), &states[i], "me")
			m.note("release from %s: %v, %v", log, done, err)
		}
	}
}

// lose has Redis lose everything.
func (m *model) lose() {
	for _, log := range m.logs {
		// It returns, and is not told any more that another has, or had, the producer.
		text := m.redis.HGet(m.t.Context(), m.nodes[log].books.owned(), p.field()).Val() + m.redis.Get(m.t.Context(), m.nodes[log].books.left(p)).Val()
		if known := m.nodes[log].known[p]; known != nil && !m.alive[log] && text != "" && !strings.Contains(text, `"log":"`+log+`"`) {
			for _, s := range known.Unsettled {
				m.excused[s] = true
			}
		}
	}
	if err := m.redis.FlushDB(m.t.Context()).Err(); err != nil {
		m.t.Fatal(err)
	}
	m.note("Redis loses everything")
	owned := false
	for _, log := range m.logs {
		owned = owned || m.alive[log] && m.nodes[log].owned[p] != nil && !m.nodes[log].owned[p].unsure
		if !m.alive[log] {
			m.excuse(log)
		}
	}
	if !owned { // the record had what the last owner left
		for s := m.committed + 1; s <= numbers; s++ {
			m.excused[s] = m.excused[s] || m.rows[s] > 0
		}
	}
	m.connect(m.pick()) // before any owner has noticed: nothing without a record is claimed
	for _, log := range m.logs {
		if m.alive[log] {
			m.wires[log].faulty = false
			m.nodes[log].round()
			m.wires[log].faulty = true
		}
	}
	m.settleMark()
}

// settleMark makes the grace pass.
func (m *model) settleMark() {
	for _, log := range m.logs {
		if m.alive[log] {
			owned := m.nodes[log].books.owned()
			mark, err := m.redis.HGet(m.t.Context(), owned, "").Result()
			if err == nil {
				run, _, _ := strings.Cut(mark, " ")
				mark = run + " 1"
				err = m.redis.HSet(m.t.Context(), owned, "", mark).Err()
			}
			if err != nil {
				m.t.Fatal(err)
			}
			for _, other := range m.logs {
				m.nodes[other].mark = mark
			}
			return
		}
	}
}

// deliver delivers a delayed request.
func (m *model) deliver() {
	if n := len(m.delayed); n > 0 {
		i := m.random.IntN(n)
		arguments := m.delayed[i]
		m.delayed = append(m.delayed[:i], m.delayed[i+1:]...)
		err := m.redis.Do(m.t.Context(), arguments...).Err()
		m.note("a request comes late: %v, %v", arguments[min(6, len(arguments)-1):], err)
	}
}

func (m *model) step() {
	switch n := m.random.IntN(100); {
	case n < 18:
		m.connect(m.pick())
	case n < 40:
		m.send(1 + m.random.IntN(3))
	case n < 46:
		m.disconnect()
	case n < 54:
		m.seal(m.pick())
	case n < 64:
		m.commit(m.pick(), m.random.Float64())
	case n < 70:
		m.learn()
	case n < 84:
		if log := m.pick(); m.alive[log] {
			m.nodes[log].round()
		}
	case n < 88:
		m.kill(m.pick())
	case n < 93:
		if log := m.pick(); !m.alive[log] {
			m.restart(log)
		}
	case n < 95:
		m.release()
	case n < 96:
		m.lose()
	default:
		m.deliver()
	}
}

// finish brings everything to an end: all instances return, and the client sends what it does not know to be committed.
func (m *model) finish() {
	for len(m.delayed) > 0 {
		m.deliver()
	}
	for _, log := range m.logs {
		if !m.alive[log] {
			m.restart(log)
		}
		m.wires[log].faulty = false
	}
	m.settleMark()
	for range 50 {
		for _, log := range m.logs {
			m.seal(log)
			m.commit(log, 1)
			m.nodes[log].round()
		}
		if m.at == "" || !m.nodes[m.at].using[p] {
			m.connect(m.pick())
		}
		m.send(numbers)
		m.learn()
		if m.committed == numbers {
			break
		}
	}
	for _, log := range m.logs {
		m.seal(log)
		m.commit(log, 1)
	}
}

func (m *model) run(steps int) {
	for range steps {
		m.step()
	}
	m.finish()
	if m.committed != numbers {
		m.t.Errorf("the client knows %d of %d to be committed", m.committed, numbers)
	}
	for s := uint64(1); s <= numbers; s++ {
		if n := m.rows[s]; n == 0 || n > 1 && !m.excused[s] {
			m.t.Errorf("number %d is there %d times", s, n)
		}
	}
	owners := 0
	for _, log := range m.logs {
		if m.nodes[log].owned[p] != nil {
			owners++
		}
	}
	if owners != 1 {
		m.t.Errorf("%d owners", owners)
	}
	if m.t.Failed() {
		m.t.Log(strings.Join(m.history, "\n"))
	}
}

// TestModel runs random histories of instances that die and return, records that Redis loses, requests to Redis that are lost, come late, or
// have no reply, operators who release, and a client that moves with acknowledgements under way. Every number is stored, and none twice but
// those that were stored or in files and not known to the client when the producer was taken from an owner that was away, and those of
// which Redis lost what it should have told: the watermark that the last owner had left, or, to one that was away, that another has them.
func TestModel(t *testing.T) {
	server := embeddedtest.Redis(t)
	client := connect(t, server)
	seeds := uint64(300)
	if testing.Short() {
		seeds = 40
	}
	first := uint64(1)
	if *modelSeed != 0 {
		first, seeds = *modelSeed, *modelSeed
	}
	for seed := first; seed <= seeds; seed++ {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			if err := client.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			m := &model{
				t: t, random: rand.New(rand.NewPCG(seed, 0)), redis: client, logs: []string{"a", "b", "c"}, nodes: map[string]*gateway{},
				wires: map[string]*wire{}, clients: map[string]*redis.Client{}, alive: map[string]bool{}, rows: map[uint64]int{}, excused: map[uint64]bool{},
			}
			for _, log := range m.logs {
				w := &wire{random: m.random, delayed: &m.delayed}
				own := redis.NewClient(client.Options())
				t.Cleanup(func() { _ = own.Close() })
				own.AddHook(w)
				m.wires[log] = w
				m.nodes[log] = &gateway{t: t, known: map[producer]*schema.LoggedProducer{}, filed: map[producer]map[uint64]bool{}}
				m.clients[log] = own
				m.restart(log)
			}
			m.settleMark()
			m.run(250)
		})
		if !ok {
			return
		}
	}
}
