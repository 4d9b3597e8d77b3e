package schema

import "slices"

// Widens reports whether type to holds every value of type from, so that a column can change from one to the other
// without changing a row: wider integers and floats, more elements of an Enum, Nullable, LowCardinality added or removed,
// a longer FixedString, DateTime to DateTime64, a finer DateTime64, another time zone, and the same inside Array and Map.
//
// A finer DateTime64 holds fewer years: at nine digits it ends in 2262, as the times of entries do.
func Widens(from, to Type) bool {
	if from.Nullable && !to.Nullable {
		return false
	}
	if from.Kind != to.Kind {
		return from.Kind.widens(to.Kind) && !to.LowCardinality && !from.LowCardinality ||
			from.Kind == KindEnum8 && to.Kind == KindEnum16 && containsEnum(to.Enum, from.Enum)
	}
	switch from.Kind {
	case KindFixedString:
		return to.Length >= from.Length
	case KindDateTime64:
		return to.Precision >= from.Precision
	case KindEnum8, KindEnum16:
		return containsEnum(to.Enum, from.Enum)
	case KindArray:
		return Widens(*from.Element, *to.Element)
	case KindMap:
		return Widens(*from.Key, *to.Key) && Widens(*from.Value, *to.Value)
	}
	return true
}

func containsEnum(all, some []EnumValue) bool {
	return !slices.ContainsFunc(some, func(v EnumValue) bool { return !slices.Contains(all, v) })
}

// WidensKey reports whether that change is also possible in a column of a key, where values have to keep their order and
// their bytes. Another time zone changes only how a sorting key is shown, but the days of a partition key.
func WidensKey(from, to Type, partition bool) bool {
	if !Widens(from, to) || from.Nullable != to.Nullable {
		return false
	}
	if from.Kind.IsEnum() || from.Kind == KindString {
		return from.Kind == to.Kind
	}
	from.LowCardinality, to.LowCardinality = false, false
	if !partition {
		from.Zone, to.Zone = "", ""
	}
	return from.Kind == to.Kind && from.String() == to.String()
}
