package batch

import (
	"math"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// The instants that DateTime64 can hold, in Unix seconds: the years 1900 to 2299.
const (
	firstDateTime64 = -2208988800
	lastDateTime64  = 10413791999
)

// secondsPerDay is a day's length in the count of days that Date is.
const secondsPerDay = 24 * 60 * 60

// moment is a point in time: Unix seconds, and the nanoseconds after them.
type moment struct{ seconds, nanoseconds int64 }

// parseTime reads RFC 3339, or ClickHouse's own form, "YYYY-MM-DD hh:mm:ss", which is in the column's zone. Either
// may have a fraction of a second.
func parseTime(t *target, text string) (moment, bool) {
	if len(text) < len(time.DateTime) || text[len(time.DateOnly)] != ' ' {
		seconds, nanoseconds, ok := schema.ParseRFC3339(text)
		return moment{seconds, nanoseconds}, ok
	}
	days, dayOK := schema.ParseDay(text[:len(time.DateOnly)])
	clock, nanoseconds, rest, clockOK := schema.ParseClock(text[len(time.DateOnly)+1:])
	if !dayOK || !clockOK || rest != "" {
		return moment{}, false
	}
	return moment{calendar{t.location}.instant(days, clock), nanoseconds}, true
}

func textToDate(t *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) == len(time.DateOnly) {
		days, ok := schema.ParseDay(in.Text)
		if !ok {
			return schema.TypeMismatch
		}
		return setDay(days, out)
	}
	at, ok := parseTime(t, in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	if in.Text[len(time.DateOnly)] == ' ' {
		days, _ := schema.ParseDay(in.Text[:len(time.DateOnly)]) // it has been read once
		return setDay(days, out)
	}
	return setDay(calendar{t.location}.dayOf(at.seconds), out)
}

func timeToDate(t *target, in *schema.Attribute, out *value) schema.Reason {
	return setDay(calendar{t.location}.dayOf(floorDivide(in.AsInt(), int64(time.Second))), out)
}

func setDay(day int64, out *value) schema.Reason {
	if day < 0 || day > math.MaxUint16 {
		return schema.OutOfRange
	}
	out.bits = uint64(day)
	return schema.NoReason
}

func setSeconds(seconds int64, out *value) schema.Reason {
	if seconds < 0 || seconds > math.MaxUint32 {
		return schema.OutOfRange
	}
	out.bits = uint64(seconds)
	return schema.NoReason
}

func textToDateTime(t *target, in *schema.Attribute, out *value) schema.Reason {
	at, ok := parseTime(t, in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	return setSeconds(at.seconds, out)
}

func intToDateTime(_ *target, in *schema.Attribute, out *value) schema.Reason {
	return setSeconds(in.AsInt(), out)
}

func timeToDateTime(_ *target, in *schema.Attribute, out *value) schema.Reason {
	return setSeconds(floorDivide(in.AsInt(), int64(time.Second)), out)
}

func textToDateTime64(t *target, in *schema.Attribute, out *value) schema.Reason {
	at, ok := parseTime(t, in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	seconds := at.seconds
	if seconds < firstDateTime64 || seconds > lastDateTime64 {
		return schema.OutOfRange
	}
	perSecond := int64(time.Second) / t.tick
	// Nine digits reach no further than the year 2262. The last second is given up: it is not whole.
	if seconds > math.MaxInt64/perSecond-1 {
		return schema.OutOfRange
	}
	out.bits = uint64(seconds*perSecond + at.nanoseconds/t.tick)
	return schema.NoReason
}

// timeToDateTime64 cuts off what is below the column's precision, towards the past.
func timeToDateTime64(t *target, in *schema.Attribute, out *value) schema.Reason {
	nanoseconds := in.AsInt()
	if nanoseconds < firstDateTime64*int64(time.Second) {
		return schema.OutOfRange
	}
	out.bits = uint64(floorDivide(nanoseconds, t.tick))
	return schema.NoReason
}

// floorDivide rounds towards the past, where Go's division rounds towards 1970.
func floorDivide(n, by int64) int64 {
	quotient := n / by
	if n%by < 0 {
		quotient--
	}
	return quotient
}
