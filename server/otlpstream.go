package server

import (
	"fmt"
	"strings"
	"sync"

	"github.com/logbatcher/logbatcher/schema"
)

// The tags of OTLP's resources and scopes.
const (
	resourceAttribute = 1<<3 | bytesTag
	resourceDropped   = 2<<3 | varintTag

	scopeName      = 1<<3 | bytesTag
	scopeVersion   = 2<<3 | bytesTag
	scopeAttribute = 3<<3 | bytesTag
	scopeDropped   = 4<<3 | varintTag
)

// otlpStreamBytes bounds what is kept of resources and scopes, in each of two generations.
const otlpStreamBytes = 4 << 20

// otlpStreams keeps the resources and scopes of requests, by their encoding. A sender has the same ones in each of its requests,
// and columns prepare a schema.Stream once and know it by its address. When the young generation has reached the bound it becomes
// the old one, which is then forgotten except for what is found in it in time.
type otlpStreams struct {
	bound int

	mu         sync.Mutex
	young, old map[string]*otlpResource
	bytes      int // of young
}

// otlpResource is a Resource.
type otlpResource struct {
	attributes []schema.Attribute
	service    string
	dropped    uint64
	bytes      int // with all streams
	own        int // without them
	refusal    *schema.Refusal
	// streams are by the encoding of the scope. otlpStreams guards them and bytes.
	streams map[string]*otlpStream
}

// otlpStream is what the records of one scope share. It is immutable.
type otlpStream struct {
	stream        *schema.Stream
	name, version string
	dropped       uint64
	bytes         int
	// refusal is why all records are refused, or nil.
	refusal *schema.Refusal
}

// resource returns the resource with an encoding, which need not be kept.
func (s *otlpStreams) resource(encoded []byte, d *otlpDecoder) (*otlpResource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.young[string(encoded)]; r != nil {
		return r, nil
	}
	r := s.old[string(encoded)]
	if r != nil && r.bytes > s.bound/2 {
		r.streams, r.bytes = nil, r.own // or it would come back, and grow, forever
	}
	if r == nil {
		var err error
		if r, err = d.readResource(encoded); err != nil {
			return nil, err
		}
	}
	if s.young == nil {
		s.young = make(map[string]*otlpResource)
	}
	s.young[strings.Clone(textOf(encoded))] = r
	s.grow(r.bytes)
	return r, nil
}

// stream returns what the records of a resource's scope share, for an encoding of the scope that need not be kept.
func (s *otlpStreams) stream(r *otlpResource, encoded []byte, d *otlpDecoder) (*otlpStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stream := r.streams[string(encoded)]; stream != nil {
		return stream, nil
	}
	stream, err := d.readScope(r, encoded)
	if err != nil {
		return nil, err
	}
	if r.streams == nil {
		r.streams = make(map[string]*otlpStream)
	}
	r.streams[string(encoded)] = stream
	r.bytes += stream.bytes
	s.grow(stream.bytes)
	return stream, nil
}

func (s *otlpStreams) grow(bytes int) {
	if s.bytes += bytes; s.bytes > s.bound {
		s.young, s.old, s.bytes = nil, s.young, 0
	}
}

// readResource decodes a Resource.
func (d *otlpDecoder) readResource(encoded []byte) (*otlpResource, error) {
	r := &otlpResource{}
	var attributes [][]byte
	fields := wire{data: encoded}
	for fields.next() {
		switch fields.tag {
		case resourceAttribute:
			attributes = append(attributes, fields.value)
		case resourceDropped:
			r.dropped = uint64(uint32(fields.bits))
		}
	}
	err := fields.err()
	if err == nil {
		r.attributes, r.refusal, err = d.ownAttributes("resource_attributes", len(encoded), attributes)
	}
	if a := schema.Lookup(r.attributes, "service.name"); a != nil {
		r.service = string(a.AppendText(nil))
	}
	r.own = len(encoded) + schema.AttributeBytes(r.attributes) + streamOverhead
	r.bytes = r.own
	return r, err
}

// readScope decodes an InstrumentationScope.
func (d *otlpDecoder) readScope(r *otlpResource, encoded []byte) (*otlpStream, error) {
	s := &otlpStream{refusal: r.refusal}
	var attributes [][]byte
	var name, version []byte
	fields := wire{data: encoded}
	for fields.next() {
		switch fields.tag {
		case scopeName:
			name = fields.value
		case scopeVersion:
			version = fields.value
		case scopeAttribute:
			attributes = append(attributes, fields.value)
		case scopeDropped:
			s.dropped = uint64(uint32(fields.bits))
		}
	}
	if fields.bad {
		return nil, errNotProtobuf
	}
	own, refusal, err := d.ownAttributes("scope_attributes", len(encoded), attributes)
	s.name, s.version = string(name), string(version)
	s.stream = &schema.Stream{ResourceAttributes: r.attributes, ScopeAttributes: own}
	if s.refusal == nil {
		s.refusal = refusal
	}
	s.bytes = 2*len(encoded) + schema.AttributeBytes(own) + streamOverhead
	return s, err
}

// streamOverhead is about what a resource or a scope occupies besides its encoding and its attributes.
const streamOverhead = 256

// ownAttributes decodes attributes of a resource or a scope, whose encoding has that size, into ones that alias nothing.
func (d *otlpDecoder) ownAttributes(list string, size int, encoded [][]byte) ([]schema.Attribute, *schema.Refusal, error) {
	tooLarge := func(what string, got int, bound string, limit int) *schema.Refusal {
		return &schema.Refusal{
			Field: list, Reason: schema.TooLarge,
			Message: fmt.Sprintf("there are %d %s; %s is %d", got, what, bound, limit),
		}
	}
	switch {
	case size > d.config.MaxOpenBytes:
		return nil, tooLarge("bytes", size, "the most in a resource or a scope", d.config.MaxOpenBytes), nil
	case len(encoded) > d.config.MaxEntryAttributes:
		return nil, tooLarge("attributes", len(encoded), "max_entry_attributes", d.config.MaxEntryAttributes), nil
	case len(encoded) == 0:
		return nil, nil, nil
	}
	d.text.begin()
	own := make([]schema.Attribute, len(encoded))
	for i := range own {
		a := &own[i]
		err := d.text.attribute(encoded[i], a)
		a.Key = strings.Clone(a.Key)
		if err != nil {
			if refusal := d.text.refusal(err, attributePath(list, a.Key)); refusal != nil {
				return nil, refusal, nil
			}
			return nil, nil, err
		}
		if d.text.generated {
			a.Text = string(d.text.text)
			d.text.used += len(a.Text)
		} else {
			a.Text = strings.Clone(a.Text)
		}
	}
	return own, nil, nil
}
