package owner

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// maxSums bounds the hashes of requests that are handed over with a producer: a repeat that is further behind is not compared.
const maxSums = 64

// producer names a producer: its id is unique within its tenant.
type producer struct{ tenant, id string }

// field is the producer's name in Redis. Neither half has a space.
func (p producer) field() string { return p.tenant + " " + p.id }

func parseField(field string) (producer, bool) {
	tenant, id, ok := strings.Cut(field, " ")
	return producer{tenant, id}, ok && id != ""
}

// mark is a place in a producer's sequences: everything of the epoch up to Sequence.
type mark struct {
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
}

func (m mark) String() string {
	return strconv.FormatUint(m.Epoch, 10) + " " + strconv.FormatUint(m.Sequence, 10)
}

func parseMark(text string) (m mark, ok bool) {
	epoch, sequence, found := strings.Cut(text, " ")
	var errs [2]error
	m.Epoch, errs[0] = strconv.ParseUint(epoch, 10, 64)
	m.Sequence, errs[1] = strconv.ParseUint(sequence, 10, 64)
	return m, found && errs[0] == nil && errs[1] == nil
}

// record is what Redis has of a producer.
type record struct {
	// Log is the owner's log. Empty: nobody owns the producer.
	Log string `json:"log,omitempty"`
	// From is where its owner began with it.
	From mark `json:"from"`
	// First is where the owner began that found no record. Redis may have lost one: whoever had the producer before must know.
	First mark `json:"first"`
	// Left is what the last owner gave the producer up with.
	Left *left `json:"left,omitempty"`
	// Released is the log that did not give it up: an operator did.
	Released string `json:"released,omitempty"`
	// Time is when the record was written, in Unix milliseconds, by the writer's clock. It is for people.
	Time int64 `json:"time"`

	// revision grows with each write, and is the time by Redis's clock, in microseconds, unless two come close. 0: there is no record. first is the revision
	// of the record that was written when there was none.
	revision, first uint64
	// unsure is set in an owner's memory if giving the producer up had no answer: it may belong to another by now.
	unsure bool
}

// left is what an owner gives a producer up with. Nothing is unsettled.
type left struct {
	Epoch     uint64                 `json:"epoch"`
	Committed uint64                 `json:"committed"`
	Logged    uint64                 `json:"logged"`
	Sums      []uint64               `json:"sums,omitempty"`
	Outcomes  []schema.LoggedOutcome `json:"outcomes,omitempty"`
}

func leave(p *schema.LoggedProducer) *left {
	sums := p.Sums[max(0, len(p.Sums)-maxSums):]
	return &left{Epoch: p.Epoch, Committed: p.Accepted, Logged: p.Accepted, Sums: sums, Outcomes: p.Outcomes}
}

// state returns what is known of the producer to whom nobody's log has anything of it.
func (r *record) state(p producer) schema.LoggedProducer {
	known := schema.LoggedProducer{Tenant: p.tenant, Producer: p.id}
	if l := r.Left; l != nil {
		known.Epoch, known.Start, known.Accepted = l.Epoch, l.Committed-uint64(len(l.Sums)), l.Committed
		known.Sums, known.Outcomes = l.Sums, l.Outcomes
		return known
	}
	known.Epoch, known.Start, known.Accepted = r.From.Epoch, r.From.Sequence, r.From.Sequence
	return known
}

func (r *record) encode() (string, error) {
	r.Time = time.Now().UnixMilli()
	data, err := json.Marshal(r)
	return string(data), err
}

// parseRecord parses "revision first json". An empty text is no record.
func parseRecord(text string) (*record, error) {
	r := &record{}
	if text == "" {
		return r, nil
	}
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return nil, errors.New("the record can't be read: it has no revision")
	}
	var errs [3]error
	r.revision, errs[0] = strconv.ParseUint(parts[0], 10, 64)
	r.first, errs[1] = strconv.ParseUint(parts[1], 10, 64)
	errs[2] = json.Unmarshal([]byte(parts[2]), r)
	err := errors.Join(errs[:]...)
	if err == nil && r.Left != nil && uint64(len(r.Left.Sums)) > r.Left.Committed {
		err = errors.New("it has more sums than sequences")
	}
	if err != nil {
		return nil, fmt.Errorf("the record can't be read: %w", err)
	}
	return r, nil
}
