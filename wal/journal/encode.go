package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/logbatcher/logbatcher/schema"
)

// version is the first byte of every record, checkpoint and head of a file.
const version = 1

// ErrVersion is the error for what a later version has written.
var ErrVersion = errors.New("it was written by a later version of logbatcher: run that one, or give this one another folder")

var errDamaged = errors.New("it is not what this version writes")

// Numbers are varints, texts and lists have their length before them.

func putUint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func putInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

func putText[T string | []byte](b []byte, text T) []byte {
	return append(putUint(b, uint64(len(text))), text...)
}

func putTexts(b []byte, texts []string) []byte {
	b = putUint(b, uint64(len(texts)))
	for _, text := range texts {
		b = putText(b, text)
	}
	return b
}

// decoder reads what the functions above have written. After the first thing that is wrong it reads zeros and is bad.
type decoder struct {
	b   []byte
	bad bool
}

// decode returns the decoder of a record, checkpoint or head.
func decode(b []byte) (*decoder, error) {
	switch {
	case len(b) == 0:
		return nil, errDamaged
	case b[0] == 0:
		return nil, errDamaged
	case b[0] > version:
		return nil, fmt.Errorf("version %d: %w", b[0], ErrVersion)
	}
	return &decoder{b: b[1:]}, nil
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

// number reads a number that must fit in 31 bits: a place, or a number of rows.
func (d *decoder) number() int {
	n := d.uint()
	if n > 1<<31-1 {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) fixed() uint64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return n
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	n := d.b[0]
	d.b = d.b[1:]
	return n
}

// bytes returns bytes of the record itself.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	text := d.b[:n:n]
	d.b = d.b[n:]
	return text
}

func (d *decoder) text() string { return string(d.bytes()) }

// count reads the length of a list whose elements take so many bytes at least, so that a damaged one makes nobody allocate more than a
// multiple of what is there.
func (d *decoder) count(least int) int {
	n := d.uint()
	if n > uint64(len(d.b)/least) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	texts := make([]string, 0, n)
	for range n {
		texts = append(texts, d.text())
	}
	return texts
}

// end returns an error if something was wrong, or is left.
func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return errDamaged
	}
	return nil
}

func putRanges(b []byte, ranges []schema.PlaceRange) []byte {
	b = putUint(b, uint64(len(ranges)))
	at := uint32(0)
	for _, r := range ranges {
		b = putInt(b, int64(r.From)-int64(at))
		b = putUint(b, uint64(r.To-r.From))
		at = r.To
	}
	return b
}

func (d *decoder) ranges() []schema.PlaceRange {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	ranges := make([]schema.PlaceRange, 0, n)
	at := int64(0)
	for range n {
		from := at + d.int()
		to := from + int64(d.number())
		if from < 0 || to > 1<<32-1 {
			d.fail()
		}
		if d.bad {
			return nil
		}
		ranges = append(ranges, schema.PlaceRange{From: uint32(from), To: uint32(to)})
		at = to
	}
	return ranges
}

// normal returns the ranges in order, those that touch as one.
func normal(ranges []schema.PlaceRange) []schema.PlaceRange {
	slices.SortFunc(ranges, func(a, b schema.PlaceRange) int {
		switch {
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	})
	whole := ranges[:0]
	for _, r := range ranges {
		switch last := len(whole) - 1; {
		case r.To <= r.From:
		case last >= 0 && r.From <= whole[last].To:
			whole[last].To = max(whole[last].To, r.To)
		default:
			whole = append(whole, r)
		}
	}
	return whole
}

func putRefusals(b []byte, refusals []schema.Refusal) []byte {
	b = putUint(b, uint64(len(refusals)))
	for i := range refusals {
		r := &refusals[i]
		b = putUint(b, uint64(r.Index))
		b = append(b, byte(r.Reason))
		b = putText(b, r.Field)
		b = putText(b, r.Message)
		b = putText(b, r.Route)
	}
	return b
}

func (d *decoder) refusals() []schema.Refusal {
	n := d.count(5)
	if n == 0 {
		return nil
	}
	refusals := make([]schema.Refusal, 0, n)
	for range n {
		refusals = append(refusals, schema.Refusal{
			Index: uint32(d.number()), Reason: schema.Reason(d.byte()), Field: d.text(), Message: d.text(), Route: d.text(),
		})
	}
	return refusals
}

func putOutcome(b []byte, o *schema.Outcome) []byte {
	b = putUint(b, uint64(o.Unmatched))
	b = putRefusals(b, o.Refusals)
	b = putUint(b, uint64(len(o.DeadLettered)))
	for i := range o.DeadLettered {
		l := &o.DeadLettered[i]
		b = putUint(b, uint64(l.Rows))
		b = putInt(b, int64(l.Code))
		b = putText(b, l.Route)
		b = putText(b, l.Table)
		b = putText(b, l.ID)
		b = putText(b, l.Message)
	}
	return b
}

func (d *decoder) outcome() *schema.Outcome {
	o := &schema.Outcome{Unmatched: d.number(), Refusals: d.refusals()}
	if n := d.count(6); n > 0 {
		o.DeadLettered = make([]schema.DeadLettered, 0, n)
		for range n {
			o.DeadLettered = append(o.DeadLettered, schema.DeadLettered{
				Rows: d.number(), Code: int(d.int()), Route: d.text(), Table: d.text(), ID: d.text(), Message: d.text(),
			})
		}
	}
	return o
}

// empty reports whether nothing has to be told about a request but that it is settled.
func empty(o *schema.Outcome) bool {
	return o == nil || len(o.Refusals) == 0 && len(o.DeadLettered) == 0 && o.Unmatched == 0
}

// merge adds a part of a request's outcome to the whole.
func merge(whole, part *schema.Outcome) {
	whole.Refusals = append(whole.Refusals, part.Refusals...)
	whole.DeadLettered = append(whole.DeadLettered, part.DeadLettered...)
	whole.Unmatched += part.Unmatched
}

// sizeOf estimates what an outcome takes in memory and in a checkpoint.
func sizeOf(o *schema.Outcome) int {
	size := 64
	for i := range o.Refusals {
		r := &o.Refusals[i]
		size += 96 + len(r.Field) + len(r.Message) + len(r.Route)
	}
	for i := range o.DeadLettered {
		l := &o.DeadLettered[i]
		size += 96 + len(l.Route) + len(l.Table) + len(l.ID) + len(l.Message)
	}
	return size
}
