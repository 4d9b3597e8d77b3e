package sink

import "strings"

// An error that comes back this often in a row for one batch, with the same code and text, is no accident of the network. Fewer
// times suffice if other batches of the table were acknowledged meanwhile.
const (
	hopelessAfter       = 8
	hopelessAmongOthers = 3
)

// repeats is an error that keeps coming back for one piece.
type repeats struct {
	code         int
	text         string
	count        int
	acknowledged int // the table's inserts when it first came
}

// hopeless records a failure and reports whether more attempts will not help. ClickHouse also uses some codes of broken connections
// for what can't work (32 for a conversion), and those of disks for a part that it can't write. acknowledged counts the table's
// inserts.
func (r *repeats) hopeless(failure *Error, acknowledged int) bool {
	if failure.Code == 0 || failure.Overload || failure.Class != Ambiguous && failure.Class != Transient {
		*r = repeats{}
		return false
	}
	if text := withoutNumbers(failure.Error()); r.code != failure.Code || r.text != text {
		*r = repeats{code: failure.Code, text: text, acknowledged: acknowledged}
	}
	r.count++
	others := acknowledged > r.acknowledged
	if failure.Class == Transient {
		return others && r.count >= hopelessAfter
	}
	return r.count >= hopelessAfter || others && r.count >= hopelessAmongOthers
}

// withoutNumbers replaces every run of digits by a 0: the rest is the same for the same cause.
func withoutNumbers(text string) string {
	var b strings.Builder
	inNumber := false
	for _, r := range text {
		digit := r >= '0' && r <= '9'
		switch {
		case !digit:
			b.WriteRune(r)
		case !inNumber:
			b.WriteByte('0')
		}
		inNumber = digit
	}
	return b.String()
}
