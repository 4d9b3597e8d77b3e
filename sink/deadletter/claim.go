package deadletter

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/sink"
)

var (
	//go:embed claim.lua
	claimSource string
	//go:embed release.lua
	releaseSource string
	//go:embed remove.lua
	removeSource string
	//go:embed replace.lua
	replaceSource string

	claimScript   = redis.NewScript(claimSource)
	releaseScript = redis.NewScript(releaseSource)
	removeScript  = redis.NewScript(usageSource + removeSource)
	replaceScript = redis.NewScript(usageSource + replaceSource)
)

// gone is what scripts return for a letter that is not in the stream any more.
const gone = "gone"

// claim gives the letter to the holder of the token for a time, unless somebody else has it or it is gone. It returns the other
// holder's token, or gone, or "".
func (q *Queue) claim(ctx context.Context, s *Stored, token string, ttl time.Duration) (string, error) {
	holder, err := claimScript.Run(ctx, q.client, []string{q.cfg.Stream, q.cfg.claimKey(s.Letter.ID)}, s.StreamID, token, ttl.Milliseconds()).Text()
	if err != nil {
		return "", q.failed("claim a letter of", err)
	}
	return holder, nil
}

// release ends the claim.
func (q *Queue) release(ctx context.Context, s *Stored, token string) error {
	if err := releaseScript.Run(ctx, q.client, []string{q.cfg.claimKey(s.Letter.ID)}, token).Err(); err != nil {
		return q.failed("release a letter of", err)
	}
	return nil
}

// remove deletes the letter. Unless its rows are stored, it does not if somebody else has claimed it. It returns what claim does.
func (q *Queue) remove(ctx context.Context, s *Stored, token string, stored bool) (string, error) {
	keys := []string{q.cfg.Stream, q.cfg.usageKey(), q.cfg.claimKey(s.Letter.ID)}
	holder, err := removeScript.Run(ctx, q.client, keys, s.StreamID, token, stored).Text()
	if err != nil {
		return "", q.failed("delete a letter of", err)
	}
	return holder, nil
}

// replace puts letters in the place of one that is claimed, and ends the claim. It returns the letters as they are in the queue; none
// if the claim or the letter is not there any more.
func (q *Queue) replace(ctx context.Context, s *Stored, token string, letters []*sink.DeadLetter) ([]Stored, error) {
	keys := []string{q.cfg.Stream, q.cfg.usageKey(), q.cfg.claimKey(s.Letter.ID)}
	arguments := []any{s.StreamID, token, int64(rememberIDs / time.Second)}
	for _, letter := range letters {
		fields, size := encode(letter)
		if size > sink.MaxLetterBytes {
			return nil, &Error{
				Kind: TooLarge, Op: "replace a letter of", Stream: q.cfg.Stream,
				Err: fmt.Errorf("letter %s takes %d bytes, more than %d", letter.ID, size, sink.MaxLetterBytes),
			}
		}
		keys = append(keys, q.cfg.idKey(letter.ID))
		arguments = append(append(arguments, len(fields)), fields...)
	}
	ids, err := replaceScript.Run(ctx, q.client, keys, arguments...).StringSlice()
	if err != nil {
		return nil, q.failed("replace a letter of", err)
	}
	if len(ids) != len(letters) {
		return nil, nil
	}
	replaced := make([]Stored, len(letters))
	for i, letter := range letters {
		replaced[i] = Stored{StreamID: ids[i], Letter: *letter}
	}
	return replaced, nil
}

// last returns the stream id of the newest letter, or "" if there is none.
func (q *Queue) last(ctx context.Context) (string, error) {
	newest, err := q.client.XRevRangeN(ctx, q.cfg.Stream, "+", "-", 1).Result()
	if err != nil {
		return "", q.failed("list", err)
	}
	if len(newest) == 0 {
		return "", nil
	}
	return newest[0].ID, nil
}
