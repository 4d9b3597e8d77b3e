package batch

import (
	"math"
	"strings"
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
	if local, days, ok := parseLocalTime(text); ok {
		local.seconds = calendar{t.location}.instant(days, local.seconds-days*secondsPerDay)
		return local, true
	}
	at, ok := schema.ParseTime(text)
	return moment{at.Unix(), int64(at.Nanosecond())}, ok
}

// parseLocalTime reads "YYYY-MM-DD hh:mm:ss", and a fraction, as if it were UTC. It also returns the day.
func parseLocalTime(text string) (at moment, days int64, ok bool) {
	day, clock, found := strings.Cut(text, " ")
	if !found {
		return moment{}, 0, false
	}
	parsed, ok := schema.ParseTime(day + "T" + clock + "Z")
	at = moment{parsed.Unix(), int64(parsed.Nanosecond())}
	return at, floorDivide(at.seconds, secondsPerDay), ok
}

func textToDate(t *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) == len(time.DateOnly) {
		day, ok := schema.ParseTime(in.Text + "T00:00:00Z")
		if !ok {
			return schema.TypeMismatch
		}
		return setDay(floorDivide(day.Unix(), secondsPerDay), out)
	}
	if _, days, ok := parseLocalTime(in.Text); ok {
		return setDay(days, out)
	}
	at, ok := schema.ParseTime(in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	return setDay(calendar{t.location}.dayOf(at.Unix()), out)
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
