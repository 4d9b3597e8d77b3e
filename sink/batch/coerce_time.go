package batch

import (
	"math"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// The range of DateTime64 in Unix seconds: the years 1900 to 2299.
const (
	firstDateTime64 = -2208988800
	lastDateTime64  = 10413791999
)

func (t *target) calendar() schema.Calendar { return schema.Calendar{Zone: t.location} }

// parseTime parses RFC 3339, or ClickHouse's own form in the column's zone.
func parseTime(t *target, text string) (time.Time, bool) {
	if local, ok := parseLocal(text); ok {
		return t.calendar().Instant(local), true
	}
	return schema.ParseTime(text)
}

// parseLocal parses "YYYY-MM-DD hh:mm:ss", with or without a fraction, as if it were UTC.
func parseLocal(text string) (time.Time, bool) {
	const day = len(time.DateOnly)
	if len(text) <= day || text[day] != ' ' {
		return time.Time{}, false
	}
	return schema.ParseTime(text[:day] + "T" + text[day+1:] + "Z")
}

func textToDate(t *target, in *schema.Attribute, out *value) schema.Reason {
	local, ok := parseLocal(in.Text)
	if len(in.Text) == len(time.DateOnly) {
		day, err := time.Parse(time.DateOnly, in.Text)
		local, ok = day, err == nil
	}
	if ok {
		return setDay(schema.FloorDivide(local.Unix(), 24*60*60), out)
	}
	at, ok := schema.ParseTime(in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	return setDay(t.calendar().Day(at.Unix()), out)
}

func timeToDate(t *target, in *schema.Attribute, out *value) schema.Reason {
	return setDay(t.calendar().Day(time.Unix(0, in.AsInt()).Unix()), out)
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
	return setSeconds(at.Unix(), out)
}

func intToDateTime(_ *target, in *schema.Attribute, out *value) schema.Reason {
	return setSeconds(in.AsInt(), out)
}

func timeToDateTime(_ *target, in *schema.Attribute, out *value) schema.Reason {
	return setSeconds(time.Unix(0, in.AsInt()).Unix(), out)
}

func textToDateTime64(t *target, in *schema.Attribute, out *value) schema.Reason {
	at, ok := parseTime(t, in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	seconds, perSecond := at.Unix(), int64(time.Second)/t.tick
	// Nine digits end in 2262, within a second that is refused as a whole.
	if seconds < firstDateTime64 || seconds > min(lastDateTime64, math.MaxInt64/perSecond-1) {
		return schema.OutOfRange
	}
	out.bits = uint64(seconds*perSecond + int64(at.Nanosecond())/t.tick)
	return schema.NoReason
}

// timeToDateTime64 truncates to the column's precision, towards the past.
func timeToDateTime64(t *target, in *schema.Attribute, out *value) schema.Reason {
	nanoseconds := in.AsInt()
	if nanoseconds < firstDateTime64*int64(time.Second) {
		return schema.OutOfRange
	}
	out.bits = uint64(schema.FloorDivide(nanoseconds, t.tick))
	return schema.NoReason
}
