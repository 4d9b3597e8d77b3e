package batch

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// projection computes a column's value from an entry. It is immutable.
type projection struct {
	schema.Column
	typeText string
	target   target
	// fallback is the value for an absent source, and for one that can't be coerced if OnError is UseDefault.
	fallback value
	// slot is the index into attributeReader.found of an attribute.
	slot int32
}

// row is what projections read: an entry, and the request it came with.
type row struct {
	entry    *schema.Entry
	origin   *Origin
	received int64
	// found is attributeReader.found. Nil: attributes are looked up.
	found []int32
	// own holds a field of the entry as coercions take it.
	own schema.Attribute
}

// newProjection returns the projection of a column, and everything that is wrong with it.
func newProjection(c *schema.Column, server *time.Location) (projection, []error) {
	p := projection{Column: *c, typeText: c.Type.String(), slot: inMap}
	if err := c.Type.Validate(); err != nil {
		return p, []error{err}
	}
	p.target = newTarget(c.Type, server)
	var problems []error
	for _, err := range []error{p.checkSource(), p.prepareFallback()} {
		if err != nil {
			problems = append(problems, err)
		}
	}
	return p, problems
}

func newTarget(t schema.Type, server *time.Location) target {
	t.LowCardinality, t.Nullable = false, false
	made := target{Type: t, tick: 1, location: server}
	made.low, made.high = t.Kind.Range()
	for range 9 - t.Precision {
		made.tick *= 10
	}
	if zone, err := time.LoadLocation(t.Zone); err == nil && t.Zone != "" { // Validate has loaded it
		made.location = zone
	}
	if t.Kind.IsEnum() {
		made.elements = make(map[string]int16, len(t.Enum))
		for _, e := range t.Enum {
			made.elements[e.Name] = e.Value
		}
	}
	return made
}

// checkSource returns an error for a source that can never fill the column.
func (p *projection) checkSource() error {
	field := p.Source.Field
	switch {
	case p.Name == schema.BatchIDColumn && (field != schema.FieldBatchID || p.typeText != "LowCardinality(String)"):
		return fmt.Errorf("it has to be the batch id, of type LowCardinality(String); it is %q of type %s", p.Source, p.typeText)
	case field == schema.FieldBatchID && (p.Type.Kind != schema.KindString || p.Type.Nullable):
		return fmt.Errorf("the batch id needs type LowCardinality(String) or String, not %s", p.typeText)
	case field.IsMap() != (p.Type.Kind == schema.KindMap) && field != schema.NoField:
		return fmt.Errorf("a Map takes attributes, resource_attributes or scope_attributes, and these need a Map; here %q meets %s", p.Source, p.typeText)
	case field.IsAttribute() && p.Source.Key == "":
		return errors.New("the attribute's key is missing")
	case field == schema.NoField && p.Required:
		return errors.New("a column without a source can't be required")
	case field > schema.FieldShardID:
		return fmt.Errorf("unknown source %d", field)
	case field.IsAttribute() || field.IsMap() || field == schema.NoField || field == schema.FieldBatchID:
		return nil
	}
	if t := field.Type(); coercions[p.Type.Kind][t].apply == nil {
		return fmt.Errorf("%q is of type %s, which can't become %s", p.Source, t, p.typeText)
	}
	return nil
}

// prepareFallback computes the default once: the configured one, else NULL, else the type's zero value.
func (p *projection) prepareFallback() error {
	p.fallback.null = p.Type.Nullable && !p.HasDefault
	if p.Type.Kind.IsEnum() {
		p.fallback.bits = uint64(p.Type.Enum[0].Value) // as in ClickHouse
	}
	switch {
	case p.Default == "":
		return nil
	case !p.HasDefault:
		return errors.New("there is a default, but HasDefault is not set")
	}
	in := schema.StringAttribute("", strings.Clone(p.Default))
	if p.Type.Kind == schema.KindArray {
		in.Type = schema.JSON
	}
	coerce := coercions[p.Type.Kind][in.Type].apply
	if coerce == nil {
		return fmt.Errorf("%s takes no default", p.typeText)
	}
	p.fallback.clear()
	if reason := coerce(&p.target, &in, &p.fallback); reason != schema.NoReason {
		return fmt.Errorf("the default is wrong: %s", p.rowError(&in, reason).Message)
	}
	return nil
}

// evaluate stores the row's value in out, or returns why there can be no row.
func (p *projection) evaluate(r *row, out *value) *RowError {
	in := p.read(r)
	if in == nil {
		if p.Required && p.OnError != schema.UseDefault {
			return p.rowError(nil, schema.MissingValue)
		}
		out.set(&p.fallback)
		return nil
	}
	reason := schema.TypeMismatch
	out.clear()
	// An attribute of an unknown type must not pass for one of the entry's times.
	if in.Type < schema.Time || in == &r.own {
		if apply := coercions[p.target.Kind][in.Type].apply; apply != nil {
			reason = apply(&p.target, in, out)
		}
	}
	switch {
	case reason == schema.NoReason:
		return nil
	case p.OnError == schema.UseDefault:
		out.set(&p.fallback)
		return nil
	}
	return p.rowError(in, reason)
}

// read returns the source's value, or nil if it is absent.
func (p *projection) read(r *row) *schema.Attribute {
	switch field := p.Source.Field; {
	case field == schema.FieldAttribute && r.found != nil:
		if place := r.found[p.slot]; place > 0 {
			return &r.entry.Attributes[place-1]
		}
		return nil
	case field < schema.FieldReceivedTime: // a field of the entry
		return p.Source.Value(r.entry, &r.own)
	}
	r.own = schema.Attribute{Type: p.Source.Field.Type()}
	switch p.Source.Field {
	case schema.FieldReceivedTime:
		r.own.Bits = uint64(r.received)
	case schema.FieldSequence:
		r.own.Bits = min(r.origin.Sequence, math.MaxInt64) // attributes have no unsigned numbers, and no producer counts this far
	case schema.FieldTenant:
		r.own.Text = r.origin.Tenant
	case schema.FieldProducer:
		r.own.Text = r.origin.Producer
	case schema.FieldShardID:
		r.own.Text = r.origin.ShardID
	}
	if r.own.Text == "" && r.own.Bits == 0 {
		return nil
	}
	return &r.own
}
