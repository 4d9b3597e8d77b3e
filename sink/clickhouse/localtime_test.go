package clickhouse_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// TestLocalTimesAreClickHouses inserts wall-clock times around every change of the clock, and has ClickHouse parse the same texts.
func TestLocalTimesAreClickHouses(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	zones := oddZones
	if os.Getenv("LOGBATCHER_TEST_ALL_ZONES") != "" {
		zones = append(zones[:len(zones):len(zones)], strings.Split(server.Query(t, "SELECT time_zone FROM system.time_zones ORDER BY 1"), "\n")...)
	}
	for i, zone := range zones {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Logf("%s: %v", zone, err)
			continue
		}
		narrow, wide := wallClock(location)
		compareLocalTimes(t, server, fmt.Sprint("narrow", i), "DateTime('"+zone+"')", "toDateTime(text, '"+zone+"')", location, narrow)
		compareLocalTimes(t, server, fmt.Sprint("wide", i), "DateTime64(3, '"+zone+"')", "toDateTime64(text, 3, '"+zone+"')", location, append(narrow, wide...))
	}
	// As it was reported.
	got := server.Query(t, "SELECT toUnixTimestamp(value) FROM narrow1 WHERE text IN ('2026-10-25 02:30:00', '2026-03-29 02:30:00') GROUP BY 1 ORDER BY 1")
	if got != "1774744200\n1792888200" {
		t.Errorf("in Berlin: %q", got)
	}
}

// wallClock returns wall-clock times around the clock's changes and others: those that a DateTime holds, and the rest.
func wallClock(location *time.Location) (narrow, wide []string) {
	seen := make(map[string]bool)
	add := func(at time.Time) {
		text := at.Format(time.DateTime)
		if seen[text] || at.Year() < 1900 || at.Year() > 2298 {
			return
		}
		seen[text] = true
		if at.Year() > 1970 && at.Year() < 2106 {
			narrow = append(narrow, text)
		} else {
			wide = append(wide, text)
		}
	}
	for at := time.Date(1900, 1, 2, 0, 0, 0, 0, time.UTC); at.Year() < 2299; {
		add(at.Add(11*time.Hour + 59*time.Second))
		_, change := at.In(location).ZoneBounds()
		if !change.After(at) || change.After(at.AddDate(2, 0, 0)) {
			at = at.AddDate(2, 0, 0)
			continue
		}
		_, before := change.Add(-time.Second).In(location).Zone()
		// The clock as it was before the change, four hours to both sides. Most zones' rules do not change after 2037.
		if change.Year() < 2040 || change.Year()%50 == 0 {
			shown := change.UTC().Add(time.Duration(before) * time.Second)
			for minutes := -150; minutes <= 150; minutes += 30 {
				add(shown.Add(time.Duration(minutes) * time.Minute))
				add(shown.Add(time.Duration(minutes)*time.Minute - time.Second))
			}
		}
		at = change.UTC().Add(time.Hour)
	}
	if location.String() == "Europe/Berlin" {
		narrow = append(narrow, "2026-10-25 02:30:00", "2026-03-29 02:30:00")
	}
	return narrow, wide
}

func compareLocalTimes(t *testing.T, server *embeddedtest.Server, table, typeText, theirs string, location *time.Location, texts []string) {
	t.Helper()
	layout, err := batch.NewLayout(&schema.Table{
		Database: server.Database, Name: table,
		Columns: []schema.Column{column(t, "text", "String", `attributes["value"]`), column(t, "value", typeText, `attributes["value"]`)},
	}, "test", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "CREATE TABLE "+table+" (text String, value "+typeText+") ENGINE = MergeTree ORDER BY ()")
	b := layout.NewBatch("b", nil)
	for _, text := range texts {
		e := entry(schema.StringAttribute("value", text))
		if err := b.Append(&e); err != nil {
			t.Fatalf("%s into %s: %v", text, typeText, err)
		}
	}
	insertBlock(t, server, table, b.Seal(batch.Uncompressed))
	answer := server.Query(t, "SELECT text, dateDiff('second', "+theirs+", value), toUnixTimestamp64Milli(toDateTime64("+theirs+", 3)), timeZoneOffset("+theirs+
		"), timeZoneOffset(value) FROM "+table+" WHERE value != "+theirs+" ORDER BY text")
	wrong := 0
	for line := range strings.SplitSeq(answer, "\n") {
		var day, clock string
		var difference, at, offset, ourOffset int64
		if n, _ := fmt.Sscan(line, &day, &clock, &difference, &at, &offset, &ourOffset); n < 6 {
			continue
		}
		// The two may have different editions of the time-zone database. Where those differ, the test proves nothing.
		zoneAt := func(at time.Time) int64 {
			_, offset := at.In(location).Zone()
			return int64(offset)
		}
		if theirs := time.UnixMilli(at); zoneAt(theirs) != offset || zoneAt(theirs.Add(time.Duration(difference)*time.Second)) != ourOffset {
			continue
		}
		if wrong++; wrong <= 3 {
			t.Errorf("%s %s in %s is %d seconds from ClickHouse's", day, clock, typeText, difference)
		}
	}
	if wrong > 3 {
		t.Errorf("%s: %d of %d are wrong", typeText, wrong, len(texts))
	}
}
