package deadletter

import (
	"errors"
	"io"
	"testing"
)

// reply is an error reply of Redis.
type reply string

func (r reply) Error() string { return string(r) }
func (r reply) RedisError()   {}

// Errors that an operator can fix are retried; those that no retry can change are permanent.
func TestWhichErrorsArePermanent(t *testing.T) {
	q := &Queue{}
	for _, test := range []struct {
		cause     error
		kind      Kind
		permanent bool
	}{
		{io.EOF, Away, false},
		{errors.New("i/o timeout"), Away, false},
		{reply("LOADING Redis is loading the dataset in memory"), Away, false},
		{reply("BUSY Redis is busy running a script"), Away, false},
		{reply("OOM command not allowed when used memory > 'maxmemory'."), Refused, false},
		{reply("NOAUTH Authentication required."), Refused, false},
		{reply("NOPERM this user has no permissions to run the 'xadd' command"), Refused, false},
		{reply("WRONGTYPE Operation against a key holding the wrong kind of value"), Refused, false},
		{reply("ERR Error running script (call to f_1): @user_script:3: WRONGTYPE Operation against"), Refused, false},
		{reply("ERR user_script:12: attempt to index a nil value"), Refused, false},
		{reply("ERR something new"), Refused, false},
		{reply("ERR max request size exceeded. Limit: 1000000 bytes, Actual: 1040000 bytes"), TooLarge, true},
		{reply("ERR Protocol error: invalid bulk length"), TooLarge, true},
	} {
		if e := q.failed("write", test.cause); e.Kind != test.kind || e.Permanent() != test.permanent {
			t.Errorf("%v: %v, permanent %v; want %v, %v", test.cause, e.Kind, e.Permanent(), test.kind, test.permanent)
		}
	}
}
