package server

import (
	"math"
	"strings"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

const maxProducerBytes = 128

// maxNumber bounds the epochs and sequences that a client may claim, so that counting on never overflows.
const maxNumber = math.MaxInt64

// opening is a checked Open. Its strings alias nothing.
type opening struct {
	tenant    *tenant
	producer  string // empty: anonymous
	epoch     uint64
	committed uint64
	// logged is up to where the producer relies on a log.
	logged uint64
	// current is set if the opening names no epoch, but the sequence of its call's request: the producer's current epoch is meant.
	current  bool
	sequence uint64
	level    pb.Acknowledgement
	client   string
	defaults defaults
	// form is the opening as the log keeps it. Nil: there is no log.
	form []byte
}

// start is the sequence after which the producer goes on where its epoch is not known.
func (o *opening) start() uint64 { return max(o.committed, o.logged) }

// begins reports whether the opening begins an epoch, which is all that a unary call with it does.
func (o *opening) begins() bool { return o.producer != "" && o.epoch == 0 && !o.current }

// checkSequence returns why a request must not have that sequence.
func (o *opening) checkSequence(sequence uint64) error {
	switch {
	case o.producer == "" && sequence != 0:
		return errAnonymousSequence
	case o.producer != "" && sequence == 0:
		return errZeroSequence
	}
	return nil
}

// decodeOpening decodes and checks the opening of an encoded request. Without one it is an empty one.
func (c *Config) decodeOpening(data []byte, l *outline) (*opening, error) {
	open, err := c.unmarshalOpen(data, l)
	if err != nil {
		return nil, err
	}
	return c.checkOpening(open)
}

func (c *Config) unmarshalOpen(data []byte, l *outline) (*pb.Open, error) {
	if l.openBytes > c.MaxOpenBytes {
		return nil, statusTooLarge("max_open_bytes", c.MaxOpenBytes, l.openBytes)
	}
	open := &pb.Open{}
	fields := wire{data: data}
	for fields.next() {
		if fields.tag == requestOpen && open.UnmarshalVT(fields.value) != nil { // protobuf merges several into one
			return nil, statusMalformed(problemNoMessage)
		}
	}
	if fields.bad {
		return nil, statusMalformed(problemNoMessage)
	}
	return open, nil
}

// checkOpening checks an Open and converts it.
func (c *Config) checkOpening(open *pb.Open) (*opening, error) {
	var violations []violation
	invalid := func(is bool, field, problem string) {
		if is {
			violations = append(violations, violation{"open." + field, problem})
		}
	}
	problem := checkProducer(open.Producer)
	invalid(problem != "", "producer", problem)
	invalid(open.Epoch > maxNumber, "epoch", "it must be below 2^63")
	invalid(open.CommittedSequence > maxNumber, "committed_sequence", "it must be below 2^63")
	invalid(open.CommittedSequence != 0 && open.Epoch == 0, "committed_sequence", "a new epoch has none: it must be 0 if the epoch is 0")
	invalid(open.LoggedSequence > maxNumber, "logged_sequence", "it must be below 2^63")
	invalid(open.LoggedSequence != 0 && open.Epoch == 0, "logged_sequence", "a new epoch has none: it must be 0 if the epoch is 0")
	invalid(open.Producer == "" && (open.Epoch != 0 || open.CommittedSequence != 0 || open.LoggedSequence != 0), "epoch",
		"an anonymous producer has none: it must be 0 if the producer is empty")
	_, known := pb.Acknowledgement_name[int32(open.Acknowledgement)]
	invalid(!known, "acknowledgement", "it is not one of Acknowledgement")
	problem = checkColo(open.Colo)
	invalid(problem != "", "colo", problem)
	field, problem := checkAttributes("resource_attributes", open.ResourceAttributes)
	invalid(problem != "", field, problem)
	field, problem = checkAttributes("scope_attributes", open.ScopeAttributes)
	invalid(problem != "", field, problem)
	field, problem = unknownField(open.ProtoReflect())
	invalid(problem != "", field, problem)
	if violations != nil {
		return nil, statusInvalidOpening(violations...)
	}
	level := open.Acknowledgement
	if level == pb.Acknowledgement_ACKNOWLEDGEMENT_UNSPECIFIED {
		level = pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED
	}
	o := &opening{
		producer: open.Producer, epoch: open.Epoch, committed: open.CommittedSequence, logged: open.LoggedSequence,
		level: level, client: text(open.Client),
	}
	return o, c.complete(o, open)
}

// complete sets an opening's defaults, and checks that its level can be reached.
func (c *Config) complete(o *opening, open *pb.Open) error {
	if c.WAL == nil && o.level == pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED {
		return errNoLog
	}
	o.defaults = c.defaultsOf(open)
	if c.WAL != nil {
		o.form = c.formOf(open)
	}
	return nil
}

// defaultsOf returns an Open's defaults for entries. The time of receipt is filled in for each request.
func (c *Config) defaultsOf(open *pb.Open) defaults {
	stream := &schema.Stream{
		ResourceAttributes: ownAttributes(open.ResourceAttributes),
		ScopeAttributes:    ownAttributes(open.ScopeAttributes),
	}
	d := defaults{
		stream:            stream,
		colo:              or(open.Colo, c.Colo),
		scopeName:         open.ScopeName,
		scopeVersion:      open.ScopeVersion,
		scopeSchemaURL:    open.ScopeSchemaUrl,
		resourceSchemaURL: open.ResourceSchemaUrl,
	}
	if a := schema.Lookup(stream.ResourceAttributes, "service.name"); a != nil && a.Type == schema.String {
		d.service = a.Text
	}
	return d
}

// ownAttributes returns attributes that alias nothing.
func ownAttributes(attributes []*pb.Attribute) []schema.Attribute {
	if len(attributes) == 0 {
		return nil
	}
	own := make([]schema.Attribute, len(attributes))
	for i, a := range attributes {
		viewAttribute(a, &own[i])
		own[i].Key, own[i].Text = strings.Clone(own[i].Key), strings.Clone(own[i].Text)
	}
	return own
}

func checkProducer(id string) string {
	notPrintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if len(id) > maxProducerBytes || strings.ContainsFunc(id, notPrintable) {
		return "it must be at most 128 bytes of printable ASCII without spaces"
	}
	return ""
}

// nextEpoch returns the epoch after last. It is at least the clock, so it grows over restarts, which forget the last one.
func nextEpoch(last uint64, now time.Time) uint64 {
	return max(last+1, uint64(max(now.UnixMilli(), 1)))
}
