package owner

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/schema"
)

var (
	//go:embed records.lua
	recordsSource string
	//go:embed read.lua
	readSource string
	//go:embed write.lua
	writeSource string
	//go:embed leave.lua
	leaveSource string
	//go:embed check.lua
	checkSource string
	//go:embed want.lua
	wantSource string

	readScript  = redis.NewScript(recordsSource + readSource)
	writeScript = redis.NewScript(recordsSource + writeSource)
	leaveScript = redis.NewScript(recordsSource + leaveSource)
	checkScript = redis.NewScript(recordsSource + checkSource)
	wantScript  = redis.NewScript(recordsSource + wantSource)
)

// callTimeout bounds each request to Redis: an opening that waits longer is better tried again.
const callTimeout = 3 * time.Second

var (
	// errChanged is returned if the record is not the one that was to be replaced.
	errChanged = errors.New("another instance has changed the producer's owner at this moment")
	// errFresh is returned for a producer without a record while owners may have one to write again.
	errFresh = errors.New("a producer's owner may not have written its record again yet, because Redis has started or lost its records a moment ago")
)

// released is told to a log whose producer an operator has released, until another has claimed it; then it is told from where.
const released = "released"

// books is what Redis has of owners. All keys have one hash slot.
type books struct {
	client redis.UniversalClient
	// prefix begins all keys and has their hash tag.
	prefix string
	// grace is how long owners have to write their records again when Redis may have lost some.
	grace time.Duration
	// idle is how long is kept what an owner has left.
	idle time.Duration
	// errors counts failed scripts.
	errors prometheus.Counter
}

// instancePrefix begins the field of an instance, by its log, among the records: it is lost with them, and only with them.
const instancePrefix = "@"

func (b *books) owned() string            { return b.prefix + ":owned" }
func (b *books) left(p producer) string   { return b.prefix + ":left:" + p.field() }
func (b *books) wanted(log string) string { return b.prefix + ":wanted:" + log }
func (b *books) taken(log string) string  { return b.prefix + ":taken:" + log }

// run runs a script, for the named purpose.
func (b *books) run(ctx context.Context, purpose string, script *redis.Script, keys []string, arguments ...any) (*redis.Cmd, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer := script.Run(ctx, b.client, keys, arguments...)
	if err := answer.Err(); err != nil {
		b.errors.Inc()
		return nil, fmt.Errorf("%s in Redis: %w", purpose, err)
	}
	return answer, nil
}

// read returns the producer's record, of revision 0 if there is none, and who its owner is.
func (b *books) read(ctx context.Context, p producer) (*record, instance, error) {
	answer, err := b.run(ctx, "read a producer's owner", readScript, []string{b.owned(), b.left(p)}, p.field())
	if err != nil {
		return nil, instance{}, err
	}
	texts, err := answer.StringSlice()
	if err == nil && len(texts) != 2 {
		err = fmt.Errorf("the script answered %q", texts)
	}
	if err != nil {
		return nil, instance{}, fmt.Errorf("read a producer's owner in Redis: %w", err)
	}
	r, err := parseRecord(texts[0])
	if err != nil {
		return nil, instance{}, fmt.Errorf("producer %s: %w", p.field(), err)
	}
	return r, parseInstance(texts[1]), nil
}

// write puts next, whose log is set unless the producer is released, in the place of r. Without r it fails with errFresh for the grace after
// Redis may have lost records; again is set by an owner that writes its own again. tell is for the log that the producer was released from.
func (b *books) write(ctx context.Context, p producer, r, next *record, again bool, log, tell string) error {
	text, err := next.encode()
	if err != nil {
		return fmt.Errorf("write a producer's owner: %w", err)
	}
	grace := b.grace.Milliseconds()
	if again {
		grace = 0
	}
	answer, err := b.run(ctx, "write a producer's owner", writeScript, []string{b.owned(), b.left(p), b.taken(log)}, p.field(), r.revision, text, grace, tell)
	if err != nil {
		return err
	}
	switch revision := fmt.Sprint(answer.Val()); revision {
	case "":
		return errChanged
	case "fresh":
		return errFresh
	default:
		next.revision, err = strconv.ParseUint(revision, 10, 64)
		return err
	}
}

// leave gives the producer up, in the place of the record with the revision. Without left it deletes the record.
func (b *books) leave(ctx context.Context, p producer, revision uint64, next *record) error {
	text, keep := "", int64(0)
	if next != nil {
		var err error
		if text, err = next.encode(); err != nil {
			return fmt.Errorf("give a producer up: %w", err)
		}
		keep = b.idle.Milliseconds()
	}
	answer, err := b.run(ctx, "give a producer up", leaveScript, []string{b.owned(), b.left(p)}, p.field(), revision, text, keep)
	if err != nil {
		return err
	}
	if n, err := answer.Int(); err != nil || n != 1 {
		return errors.Join(errChanged, err)
	}
	return nil
}

// seen returns when the log was there last, by Redis's clock; the zero time if Redis does not know.
func (b *books) seen(ctx context.Context, log string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	text, err := b.client.HGet(ctx, b.owned(), instancePrefix+log).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return time.Time{}, fmt.Errorf("read in Redis when this log was there last: %w", err)
	}
	return parseInstance(text).seen, nil
}

// want asks the log to give the producer up for an opening with the epoch.
func (b *books) want(ctx context.Context, p producer, log string, epoch uint64) error {
	_, err := b.run(ctx, "ask for a producer", wantScript, []string{b.wanted(log)}, p.field(), epoch, wantedFor.Milliseconds())
	return err
}

// news is what a log learns from Redis.
type news struct {
	// mark changes when Redis may have lost records.
	mark string
	// wanted are the producers that others ask for.
	wanted map[producer]wish
	// taken are those that the log does not own any more though it has not given them up: from where another has them, or released.
	taken map[producer]string
}

// check tells Redis that the log lives, and returns what is new for it.
func (b *books) check(ctx context.Context, log string, self instance) (*news, error) {
	asked, keys := time.Now(), []string{b.owned(), b.wanted(log), b.taken(log)}
	answer, err := b.run(ctx, "ask what is wanted", checkScript, keys, log, self.Name+" "+self.Address)
	if err != nil {
		return nil, err
	}
	parts, err := answer.Slice()
	if err != nil || len(parts) != 4 {
		return nil, fmt.Errorf("ask what is wanted in Redis: the script answered %v: %w", answer.Val(), err)
	}
	n := &news{wanted: make(map[producer]wish), taken: make(map[producer]string)}
	n.mark, _ = parts[0].(string)
	now, _ := parts[3].(string)
	pairs(parts[1], func(p producer, text string) { n.wanted[p] = parseWish(text, now, asked) })
	pairs(parts[2], func(p producer, from string) { n.taken[p] = from })
	return n, nil
}

// wish is an opening elsewhere.
type wish struct {
	epoch uint64
	// at is when it was, by this process's clock, or a little earlier.
	at time.Time
}

// parseWish parses "epoch microseconds", when Redis's clock shows now. It was asked for that at some time.
func parseWish(text, now string, asked time.Time) wish {
	epoch, at, _ := strings.Cut(text, " ")
	w := wish{at: asked}
	w.epoch, _ = strconv.ParseUint(epoch, 10, 64)
	began, err := strconv.ParseInt(at, 10, 64)
	ended, err2 := strconv.ParseInt(now, 10, 64)
	if err == nil && err2 == nil {
		w.at = asked.Add(-time.Duration(max(0, ended-began)) * time.Microsecond)
	}
	return w
}

// pairs calls do for each field and value of a hash.
func pairs(hash any, do func(producer, string)) {
	list, _ := hash.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		field, _ := list[i].(string)
		value, _ := list[i+1].(string)
		if p, ok := parseField(field); ok {
			do(p, value)
		}
	}
}

// heard removes what was told to the log about the producer.
func (b *books) heard(ctx context.Context, p producer, log string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := b.client.HDel(ctx, b.taken(log), p.field()).Err(); err != nil {
		return fmt.Errorf("note in Redis that a producer is given up: %w", err)
	}
	return nil
}

// instance is the one that has a log.
type instance struct {
	Name, Address string
	// seen is when it was there last, by Redis's clock.
	seen time.Time
}

// parseInstance parses "microseconds name address".
func parseInstance(text string) instance {
	at, rest, _ := strings.Cut(text, " ")
	name, address, _ := strings.Cut(rest, " ")
	i := instance{Name: name, Address: address}
	if us, err := strconv.ParseInt(at, 10, 64); err == nil {
		i.seen = time.UnixMicro(us)
	}
	return i
}

// owns returns the error that names the owner.
func (i instance) owns(log string) error {
	return &schema.OwnedError{Instance: i.Name, Address: i.Address, Log: log}
}
