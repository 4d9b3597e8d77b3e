package deadletter

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Kind is what an error of the queue means for the caller.
type Kind string

// The kinds, and what to do.
const (
	// Away: Redis does not answer, or not yet. The letter may be in the queue or not; retry until it is acknowledged.
	Away Kind = "away"
	// Full: the queue has no room, and ctx ended before there was any. Retry later.
	Full Kind = "full"
	// Refused: Redis refuses the letter until somebody follows the advice. Retry then.
	Refused Kind = "refused"
	// TooLarge: the letter is larger than an entry may be, or than Redis accepts. Divide its rows over several letters.
	TooLarge Kind = "too_large"
	// Malformed: the letter has no id.
	Malformed Kind = "malformed"
)

// Error is a failed operation on the queue.
type Error struct {
	// Kind is what the error means.
	Kind Kind
	// Op is what was tried, such as "write" or "list".
	Op string
	// Stream is the stream that it was tried on.
	Stream string
	// Advice is what an operator can do. Empty: only wait.
	Advice string
	// Err is the cause.
	Err error
}

// Error returns the operation, the stream, the cause and the advice.
func (e *Error) Error() string {
	text := e.Op + " " + e.Stream + ": " + string(e.Kind) + ": " + e.Err.Error()
	if e.Advice != "" {
		text += " (" + e.Advice + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether the same call can never succeed, whatever an operator does. It is part of the contract of
// sink.DeadLetters.
func (e *Error) Permanent() bool { return e.Kind == TooLarge || e.Kind == Malformed }

const rightsAdvice = "the Redis user needs: ~ for the stream's keys; +evalsha +eval +xadd +xlen +xdel +xrange +xrevrange +get +set +expire +del +hset +hmget +memory|usage"

// refusals are known error replies of Redis, by their beginnings.
var refusals = []struct {
	code, advice string
	kind         Kind
}{
	{"LOADING", "Redis is loading its data after a start", Away},
	{"CLUSTERDOWN", "the Redis Cluster has slots that no node serves: see CLUSTER INFO", Away},
	{"MASTERDOWN", "this Redis is a replica that has lost its master", Away},
	{"TRYAGAIN", "the Redis Cluster is moving the slot", Away},
	{"BUSY", "another client's script blocks Redis: see SCRIPT KILL", Away},
	{"ERR max number of clients", "raise Redis's maxclients", Away},
	// Limits of hosted Redis services, and proto-max-bulk-len.
	{"ERR max request size exceeded", "raise Redis's request size limit to 2 MiB", TooLarge},
	{"ERR Protocol error: invalid bulk length", "raise Redis's proto-max-bulk-len to 2mb", TooLarge},
	{"OOM", "Redis has reached its maxmemory: raise it, or lower max_bytes and delete letters", Refused},
	{"READONLY", "this Redis is a replica: configure its master, or the Sentinels", Refused},
	{"NOREPLICAS", "Redis has fewer healthy replicas than min-replicas-to-write", Refused},
	{"MISCONF", "Redis can't write its snapshot: see its log and its disk", Refused},
	{"NOAUTH", "configure Redis's password", Refused},
	// The reply to an unauthenticated command with as many arguments as ours.
	{"ERR Protocol error: unauthenticated", "configure Redis's password", Refused},
	{"WRONGPASS", "Redis's user name or password is wrong", Refused},
	{"NOPERM", rightsAdvice, Refused},
	{"ERR The user executing the script", rightsAdvice, Refused}, // Redis 7, about a command in the script
	{"WRONGTYPE", "one of the queue's keys holds something else: rename it, or configure another stream", Refused},
	{"MOVED", "this Redis is part of a cluster: configure it as one", Refused},
	{"CROSSSLOT", "this Redis is part of a cluster: configure it as one", Refused},
}

// failed returns the error of an operation that failed in Redis or on the way.
func (q *Queue) failed(op string, cause error) *Error {
	e := &Error{Kind: Away, Op: op, Stream: q.cfg.Stream, Err: cause}
	var reply redis.Error
	if !errors.As(cause, &reply) {
		return e
	}
	e.Kind = Refused
	text := reply.Error()
	for _, known := range refusals {
		// Redis 6 puts "ERR Error running script (…): @user_script:3:" before the error of a command in the script.
		if strings.HasPrefix(text, known.code) || strings.Contains(text, ": "+known.code+" ") {
			e.Kind, e.Advice = known.kind, known.advice
			break
		}
	}
	return e
}
