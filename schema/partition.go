package schema

import (
	"errors"
	"fmt"
	"time"
)

// PartitionFunction is what a partition key does to its column.
type PartitionFunction uint8

// The functions. PartitionValue is the column itself.
const (
	PartitionValue PartitionFunction = iota
	PartitionToDate
	PartitionToYYYYMM
	PartitionToMonday
	PartitionToStartOfDay
	PartitionToStartOfHour
)

// partitionFunctions is the table of the functions.
var partitionFunctions = [...]struct {
	name string
	// result is the kind of the function's value.
	result Kind
	// ofDay returns the value for a day. Nil: the value depends on the time zone, so there is none for a Date.
	ofDay func(days int64) uint64
	// end is the SQL expression for the end of the span in which the value is that of the time hi.
	end string
}{
	PartitionValue: {},
	PartitionToDate: {"toDate", KindDate,
		func(days int64) uint64 { return uint64(days) }, "addDays(toDate(hi), 1)"},
	PartitionToYYYYMM: {"toYYYYMM", KindUInt32, yearAndMonth, "addMonths(toStartOfMonth(hi), 1)"},
	PartitionToMonday: {"toMonday", KindDate,
		// 1970-01-01 was a Thursday. Before the first Monday, ClickHouse returns the first day.
		func(days int64) uint64 { return uint64(max(0, days-(days+3)%7)) }, "addDays(toMonday(hi), 7)"},
	PartitionToStartOfDay:  {"toStartOfDay", KindDateTime, nil, "addDays(toStartOfDay(hi), 1)"},
	PartitionToStartOfHour: {"toStartOfHour", KindDateTime, nil, "addHours(toStartOfHour(hi), 1)"},
}

func yearAndMonth(days int64) uint64 {
	year, month, _ := time.Unix(days*secondsPerDay, 0).UTC().Date()
	return uint64(year*100 + int(month))
}

// String returns the function's name in ClickHouse; PartitionValue has none.
func (f PartitionFunction) String() string { return partitionFunctions[f].name }

// Result returns the kind of the function's value for a column of the kind.
func (f PartitionFunction) Result(column Kind) Kind {
	if f == PartitionValue {
		return column
	}
	return partitionFunctions[f].result
}

// OfDay returns the function's value for a Date.
func (f PartitionFunction) OfDay(days int64) uint64 {
	if f == PartitionValue {
		return uint64(days)
	}
	return partitionFunctions[f].ofDay(days)
}

// End returns the SQL expression for the end of the span in which the function has the same value as for hi, a time in a column of the kind.
func (f PartitionFunction) End(column Kind) string {
	switch {
	case f != PartitionValue:
		return partitionFunctions[f].end
	case column == KindDate:
		return "addDays(hi, 1)"
	}
	return "addSeconds(hi, 1)"
}

// PartitionKey is one element of a partition key.
type PartitionKey struct {
	// Function is what is done to the column.
	Function PartitionFunction
	// Column is the column's place in the list of columns.
	Column int
	// Name is the column's name.
	Name string
}

// String returns the key as a ClickHouse expression.
func (k PartitionKey) String() string {
	if k.Function == PartitionValue {
		return QuoteIdentifier(k.Name)
	}
	return k.Function.String() + "(" + QuoteIdentifier(k.Name) + ")"
}

// supportedPartitions is what errors about a PARTITION BY expression offer instead.
const supportedPartitions = "the gateway has to know each row's partition: it can compute none, a column, toDate, toYYYYMM, " +
	"toMonday, toStartOfDay and toStartOfHour of a column, and tuples of these"

// ParsePartitionBy returns the elements of a PARTITION BY expression over columns. Without elements the table has one
// partition. The error for an expression that the gateway can't compute lists those that it can.
func ParsePartitionBy(expression string, columns []Column) ([]PartitionKey, error) {
	keys, err := parsePartitionKeys(expression, columns)
	if err != nil {
		return nil, fmt.Errorf("partition by %q: %w; %s", expression, err, supportedPartitions)
	}
	return keys, nil
}

func parsePartitionKeys(expression string, columns []Column) (keys []PartitionKey, err error) {
	if err := CheckBrackets(expression); err != nil {
		return nil, err
	}
	list := Tokens(expression)
	if len(list) > 0 && list[0].Is("tuple") && Wrapped(list[1:]) {
		list = list[1:]
	}
	parts := [][]Token{list}
	switch {
	case len(list) == 0:
		return nil, nil
	case Wrapped(list):
		parts = TopLevelParts(list[1 : len(list)-1])
	}
	for _, part := range parts {
		key, err := parsePartitionKey(part, columns)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parsePartitionKey reads a column, or a function of one.
func parsePartitionKey(list []Token, columns []Column) (PartitionKey, error) {
	function := PartitionValue
	if len(list) > 1 && list[0].Kind == WordToken && Wrapped(list[1:]) {
		name := list[0].Text
		for f := range partitionFunctions {
			if partitionFunctions[f].name == name {
				function = PartitionFunction(f)
			}
		}
		if function == PartitionValue {
			return PartitionKey{}, fmt.Errorf("function %s is not supported", name)
		}
		list = list[2 : len(list)-1]
		if len(list) != 1 {
			return PartitionKey{}, fmt.Errorf("%s takes the column alone; its zone is part of the column's type", name)
		}
	}
	if len(list) != 1 || !list[0].IsName() {
		return PartitionKey{}, errors.New("a key that is neither a column nor a function of one")
	}
	name := list[0].Text
	for i := range columns {
		if columns[i].Name == name {
			key := PartitionKey{Function: function, Column: i, Name: name}
			return key, key.check(columns[i].Type)
		}
	}
	return PartitionKey{}, fmt.Errorf("there is no column %q", name)
}

func (k PartitionKey) check(t Type) error {
	if t.Nullable {
		return fmt.Errorf("column %q is Nullable, which a partition key can't be", k.Name)
	}
	if k.Function == PartitionValue {
		switch t.Kind {
		case KindFloat32, KindFloat64, KindDateTime64, KindArray, KindMap:
			return fmt.Errorf("column %q has type %s, by whose value a table can't be partitioned", k.Name, t)
		}
		return nil
	}
	switch t.Kind {
	case KindDateTime, KindDateTime64:
		return nil
	case KindDate:
		if partitionFunctions[k.Function].ofDay == nil {
			return fmt.Errorf("%s of a Date is not computed; use the column itself", k.Function)
		}
		return nil
	}
	return errors.New(k.Function.String() + " needs a Date, DateTime or DateTime64, but column " + QuoteIdentifier(k.Name) + " has type " + t.String())
}
