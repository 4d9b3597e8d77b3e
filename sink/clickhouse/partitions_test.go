package clickhouse_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// TestPartitionsAreClickHouses inserts one row a partition into tables partitioned by each kind of key, with the setting that refuses a
// second partition, and selects the rows by the partitioner's conditions.
func TestPartitionsAreClickHouses(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	zone, err := time.LoadLocation(server.Query(t, "SELECT timezone()"))
	if err != nil {
		t.Fatal(err)
	}
	columns := []schema.Column{
		column(t, "n", "UInt32", `attributes["n"]`),
		column(t, "seconds", "DateTime", "time"), column(t, "kolkata", "DateTime('Asia/Kolkata')", "time"),
		column(t, "nanoseconds", "DateTime64(9, 'America/New_York')", "time"), column(t, "milliseconds", "DateTime64(3)", "time"),
		column(t, "seen", "DateTime64(6, 'Australia/Lord_Howe')", "observed_time"), column(t, "day", "Date", "time"),
		column(t, "service", "LowCardinality(String)", "service"), column(t, "body", "String", "body"),
		column(t, "code", "FixedString(4)", `attributes["code"]`), column(t, "small", "Int8", `attributes["small"]`),
		column(t, "large", "UInt64", `attributes["large"]`), column(t, "flag", "Bool", `attributes["flag"]`),
		column(t, "id", "UUID", `attributes["id"]`), column(t, "v4", "IPv4", `attributes["v4"]`), column(t, "v6", "IPv6", `attributes["v6"]`),
		column(t, "level", "Enum8('low' = -3, 'high' = 4)", `attributes["level"]`), column(t, "shard", "String", "shard_id"),
	}
	definitions := make([]string, len(columns))
	for i, c := range columns {
		definitions[i] = c.Name + " " + c.Type.String()
	}
	for i, key := range []string{
		"", "n", "toDate(seconds)", "toYYYYMM(kolkata)", "toMonday(nanoseconds)", "toStartOfDay(kolkata)", "toStartOfHour(kolkata)", "toStartOfHour(seconds)",
		"toDate(milliseconds)", "toStartOfDay(nanoseconds)", "toStartOfHour(seen)", "toStartOfDay(seen)", "day", "toYYYYMM(day)", "toMonday(day)", "toDate(day)", "seconds",
		"service", "body", "code", "small", "large", "flag", "id", "v4", "v6", "level", "(small, toYYYYMM(seen))", "(service, toDate(nanoseconds))",
		"(level, flag, v4)", "(code, toStartOfHour(kolkata))", "(body, seconds, small, v4, level, flag)", "(shard, toStartOfDay(seconds))", "(toMonday(seconds), id, v6, day)",
		"(service, toYYYYMM(seconds))",
	} {
		name := fmt.Sprintf("t%d", i)
		partitionBy := ""
		if key != "" {
			partitionBy = "PARTITION BY " + key
		}
		server.Exec(t, "CREATE TABLE "+name+" ("+strings.Join(definitions, ", ")+") ENGINE = MergeTree "+partitionBy+" ORDER BY ()")
		layout, err := batch.NewLayout(&schema.Table{Database: server.Database, Name: name, Columns: columns, PartitionBy: key}, "test", zone)
		if err != nil {
			t.Fatal(err)
		}
		checkPartitions(t, server, name, layout)
	}
}

func checkPartitions(t *testing.T, server *embeddedtest.Server, table string, layout *batch.Layout) {
	t.Helper()
	partitioner := layout.NewPartitioner()
	batches := make(map[*batch.Partition]*batch.Batch)
	origin := batch.Origin{ShardID: "EWR-1"}
	for i := range 24 {
		n := i % 8
		e := entry(schema.IntAttribute("n", int64(n)), schema.StringAttribute("code", []string{"a", "it's", "", `\`}[n%4]),
			schema.IntAttribute("small", int64(n-4)), schema.StringAttribute("large", []string{"18446744073709551615", "0"}[n%2]),
			schema.BoolAttribute("flag", n%2 == 0), schema.StringAttribute("id", fmt.Sprintf("00112233-4455-6677-8899-aabbccddee%02x", n)),
			schema.StringAttribute("v4", fmt.Sprintf("192.0.2.%d", n)), schema.StringAttribute("v6", fmt.Sprintf("2001:db8::%d", n)),
			schema.StringAttribute("level", []string{"low", "high"}[n%2]))
		e.Time += int64(n) * int64(5*time.Hour+17*time.Minute)
		e.ObservedTime = e.Time - int64(400*24*time.Hour)*int64(n%3) + 1
		e.Service, e.Body = fmt.Sprint("service ' \\ ", n%3), []string{"line\nbreak\t\x00\xff", "`", ""}[n%3]
		partition, rowError := partitioner.Of(&e, &origin)
		if rowError != nil {
			t.Fatalf("%s: %v", layout.Table().PartitionBy, rowError)
		}
		b := batches[partition]
		if b == nil {
			b = layout.NewBatch(fmt.Sprint("b-", len(batches)), partition)
			batches[partition] = b
		}
		b.Begin(origin, time.Unix(1, 0))
		if err := b.Append(&e); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range batches {
		insertBlock(t, server, table, b.Seal(batch.Uncompressed))
	}
	if got := server.Query(t, "SELECT uniqExact(_partition_id) FROM "+table); got != fmt.Sprint(len(batches)) {
		t.Errorf("%s: ClickHouse has %s partitions, we %d", layout.Table().PartitionBy, got, len(batches))
	}
	for partition, b := range batches {
		got := server.Query(t, "SELECT count(), uniqExact(_partition_id) FROM "+table+" WHERE "+partition.Condition)
		if want := fmt.Sprintf("%d\t1", b.Rows()); got != want {
			t.Errorf("%s: rows where %s: %q, want %q", layout.Table().PartitionBy, partition.Condition, got, want)
		}
	}
}

// oddZones have changed their clocks at midnight or by less or more than an hour, or have offsets that are not whole hours.
var oddZones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "America/Asuncion", "America/Havana", "America/Santiago",
	"America/Toronto", "Africa/Cairo", "Africa/Casablanca", "Africa/Monrovia", "Antarctica/Troll", "Asia/Amman", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu",
	"Asia/Kolkata", "Asia/Pyongyang", "Asia/Tehran", "Atlantic/Azores", "Australia/Lord_Howe", "Europe/Dublin", "Europe/London", "Pacific/Apia", "Pacific/Chatham",
	"Pacific/Kiritimati", "Pacific/Kwajalein", "Asia/Manila", "America/Nuuk",
}

// TestCalendarIsClickHouses compares the functions of partition keys around every change of the clock. LOGBATCHER_TEST_ALL_ZONES does so for
// all zones that ClickHouse knows.
func TestCalendarIsClickHouses(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	zones := oddZones
	if os.Getenv("LOGBATCHER_TEST_ALL_ZONES") != "" {
		zones = strings.Split(server.Query(t, "SELECT time_zone FROM system.time_zones ORDER BY 1"), "\n")
	}
	for _, zone := range zones {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Logf("%s: %v", zone, err)
			continue
		}
		compareCalendar(t, server, zone, instantsOf(location))
	}
}

// instantsOf returns times around each change of the clock, and some others.
func instantsOf(location *time.Location) []int64 {
	var instants []int64
	around := func(at int64) {
		for _, distance := range []int64{0, 1, 59, 60, 899, 900, 1799, 1800, 2700, 3599, 3600, 5400, 7199, 7200, 43200, 82800, 86399, 86400, 90000} {
			for _, instant := range []int64{at - distance, at + distance} {
				if instant >= 0 && instant <= math.MaxUint32 {
					instants = append(instants, instant)
				}
			}
		}
	}
	const step = 7 * 86400
	for at := int64(0); at <= math.MaxUint32; at += step {
		if at%(40*step) == 0 {
			instants = append(instants, at, at+at%86400)
		}
		_, before := time.Unix(at, 0).In(location).Zone()
		_, after := time.Unix(at+step, 0).In(location).Zone()
		if before == after {
			continue
		}
		low, high := at, at+step
		for high-low > 1 {
			middle := (low + high) / 2
			if _, offset := time.Unix(middle, 0).In(location).Zone(); offset == before {
				low = middle
			} else {
				high = middle
			}
		}
		around(high)
	}
	return instants
}

func compareCalendar(t *testing.T, server *embeddedtest.Server, zone string, instants []int64) {
	t.Helper()
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(instants), " ", ","), "[]")
	answer, err := server.Try(t.Context(), `SELECT toYYYYMMDD(toDate(ts)), toYYYYMM(ts), toYYYYMMDD(toMonday(ts)),
		toUnixTimestamp(toStartOfDay(ts)), toUnixTimestamp(toStartOfHour(ts)), timeZoneOffset(ts)
		FROM (SELECT toDateTime(arrayJoin([`+list+`]), '`+zone+`') AS ts) SETTINGS max_query_size = 100000000`, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(answer, "\n") {
		rows = append(rows, strings.Split(line, "\t"))
	}
	location := mustZone(zone)
	// The two may have different editions of the time-zone database. Years in which those differ prove nothing.
	disputed := make(map[int]bool)
	years := make([]int, len(instants))
	for i, instant := range instants {
		at := time.Unix(instant, 0).In(location)
		if _, offset := at.Zone(); fmt.Sprint(offset) != rows[i][5] {
			disputed[at.Year()] = true
		}
		years[i] = at.Year()
	}
	var stream schema.Stream
	var origin batch.Origin
	for f, function := range []string{"toDate", "toYYYYMM", "toMonday", "toStartOfDay", "toStartOfHour"} {
		layout, err := batch.NewLayout(&schema.Table{
			Database: "d", Name: "t", PartitionBy: function + "(ts)",
			Columns: []schema.Column{column(t, "ts", "DateTime('"+zone+"')", "time")},
		}, "test", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		partitioner := layout.NewPartitioner()
		wrong := 0
		for i, instant := range instants {
			e := schema.Entry{Time: instant*1e9 + 1, Stream: &stream}
			want := rows[i][f]
			if disputed[years[i]] {
				continue
			}
			partition, rowError := partitioner.Of(&e, &origin)
			if rowError != nil {
				if instant > 2*86400 && instant < math.MaxUint32-2*86400 {
					t.Errorf("%s(%d) in %s: %v", function, instant, zone, rowError)
				}
				continue
			}
			if partition.ID != want {
				if wrong++; wrong <= 3 {
					t.Errorf("%s(%d) in %s, which is %s: %s, ClickHouse has %s", function, instant, zone, time.Unix(instant, 0).In(location), partition.ID, want)
				}
			}
		}
		if wrong > 3 {
			t.Errorf("%s in %s: %d of %d are wrong", function, zone, wrong, len(instants))
		}
	}
}

func mustZone(name string) *time.Location {
	location, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return location
}
