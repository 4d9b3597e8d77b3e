package sink

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

// parseTime reads RFC 3339, or ClickHouse's own form, which is in the column's zone. Either may have
// a fraction of a second.
func parseTime(t *target, text string) (time.Time, bool) {
	if len(text) < len(time.DateTime) {
		return time.Time{}, false
	}
	if text[10] == ' ' {
		at, err := time.ParseInLocation(time.DateTime, text, t.location)
		return at, err == nil
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

func textToDate(t *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) == len(time.DateOnly) {
		at, err := time.Parse(time.DateOnly, in.Text)
		if err != nil {
			return schema.TypeMismatch
		}
		return setDay(at.Unix()/secondsPerDay, at.Unix() < 0, out)
	}
	at, ok := parseTime(t, in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	return localDay(at, t.location, out)
}

func timeToDate(t *target, in *schema.Attribute, out *value) schema.Reason {
	return localDay(time.Unix(0, in.AsInt()), t.location, out)
}

// localDay is the day that a calendar in that zone shows.
func localDay(at time.Time, location *time.Location, out *value) schema.Reason {
	year, month, day := at.In(location).Date()
	seconds := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()
	return setDay(seconds/secondsPerDay, seconds < 0, out)
}

func setDay(day int64, before bool, out *value) schema.Reason {
	if before || day > math.MaxUint16 {
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
	return setSeconds(floorDivide(in.AsInt(), int64(time.Second)), out)
}

func textToDateTime64(t *target, in *schema.Attribute, out *value) schema.Reason {
	at, ok := parseTime(t, in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	seconds := at.Unix()
	if seconds < firstDateTime64 || seconds > lastDateTime64 {
		return schema.OutOfRange
	}
	perSecond := int64(time.Second) / t.tick
	// Nine digits reach no further than the year 2262. The last second is given up: it is not whole.
	if seconds > math.MaxInt64/perSecond-1 {
		return schema.OutOfRange
	}
	out.bits = uint64(seconds*perSecond + int64(at.Nanosecond())/t.tick)
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
