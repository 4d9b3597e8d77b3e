package deadletter

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Kind is what an error of the queue means for whoever called.
type Kind uint8

// The kinds, and what to do.
const (
	// Away: Redis does not answer, or not yet. The letter may be in the queue or not; write it again until
	// it is acknowledged.
	Away Kind = iota
	// Full: the queue has no room, and ctx ended before there was any. Write it again later.
	Full
	// Refused: Redis answers and says no. It stays so until somebody follows the advice; write it again then.
	Refused
	// TooLarge: the letter is larger than an entry may be, or than Redis takes. Divide its rows over several letters.
	TooLarge
	// Malformed: the letter has no id, or an entry of the stream is not a letter.
	Malformed
)

var kindNames = [...]string{"away", "full", "refused", "too_large", "malformed"}

// String returns the kind as metrics and logs write it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Error is a failed operation on the queue.
type Error struct {
	// Kind is what the error means.
	Kind Kind
	// Op is what was tried: "write", "list", "measure" or "check".
	Op string
	// Stream is the stream that it was tried on.
	Stream string
	// Advice is what an operator can do. Empty: nothing but wait.
	Advice string
	// Err is the cause.
	Err error
}

// Error returns what was tried, on which stream, the cause and the advice.
func (e *Error) Error() string {
	text := e.Op + " " + e.Stream + ": " + e.Kind.String() + ": " + e.Err.Error()
	if e.Advice != "" {
		text += " (" + e.Advice + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether the same call can never succeed, whatever an operator does. The
// delivery, which does not know this package, asks for it.
func (e *Error) Permanent() bool { return e.Kind == TooLarge || e.Kind == Malformed }

const rightsAdvice = "the Redis user needs: ~ for the stream's keys; +evalsha +eval +xadd +xlen +xdel +xrange +get +set +expire +hset +hmget +memory|usage"

// refusals are the beginnings of Redis's error replies that we know what to say about.
var refusals = []struct {
	code, advice string
	kind         Kind
}{
	{"LOADING", "Redis is reading its data back after a start", Away},
	{"CLUSTERDOWN", "the Redis Cluster has slots that nobody serves: see CLUSTER INFO", Away},
	{"MASTERDOWN", "the replica that answers has lost its master", Away},
	{"TRYAGAIN", "the Redis Cluster is moving the slot", Away},
	{"BUSY", "a script of somebody else blocks Redis: see SCRIPT KILL", Away},
	{"ERR max number of clients", "raise Redis's maxclients", Away},
	// Bounds of hosted Redis services and of proto-max-bulk-len.
	{"ERR max request size exceeded", "raise the largest request that Redis takes to 2 MiB", TooLarge},
	{"ERR Protocol error: invalid bulk length", "raise Redis's proto-max-bulk-len to 2mb", TooLarge},
	{"OOM", "Redis has reached its maxmemory: raise it, or lower max_bytes and delete letters", Refused},
	{"READONLY", "this Redis is a replica: configure its master, or the Sentinels", Refused},
	{"NOREPLICAS", "Redis has fewer good replicas than its min-replicas-to-write", Refused},
	{"MISCONF", "Redis cannot write its snapshot: see its log and its disk", Refused},
	{"NOAUTH", "configure Redis's password", Refused},
	// What Redis says instead to a command with as many arguments as ours.
	{"ERR Protocol error: unauthenticated", "configure Redis's password", Refused},
	{"WRONGPASS", "Redis's user name or password is wrong", Refused},
	{"NOPERM", rightsAdvice, Refused},
	{"ERR The user executing the script", rightsAdvice, Refused}, // Redis 7, of a command inside of it
	{"WRONGTYPE", "one of the queue's keys holds something else: rename it, or configure another stream", Refused},
	{"MOVED", "this Redis is part of a cluster: configure it as one", Refused},
	{"CROSSSLOT", "this Redis is part of a cluster: configure it as one", Refused},
}

// failed returns the error of an operation that Redis did not carry out.
func (q *Queue) failed(op string, cause error) *Error {
	e := &Error{Kind: Away, Op: op, Stream: q.cfg.Stream, Err: cause}
	var reply redis.Error
	if !errors.As(cause, &reply) {
		return e
	}
	e.Kind = Refused
	text := reply.Error()
	for _, known := range refusals {
		// Redis 6 puts "ERR Error running script (…): @user_script:3:" before what a command in it said.
		if strings.HasPrefix(text, known.code) || strings.Contains(text, ": "+known.code+" ") {
			e.Kind, e.Advice = known.kind, known.advice
			break
		}
	}
	return e
}
