package schema

import "slices"

// Widens tells whether every value of type from has its equal in type to, so that a column
// can be changed from one to the other and no row changes its meaning: wider integers and floats, more elements of an Enum,
// NULL allowed, LowCardinality put on or taken off, a longer FixedString, DateTime to DateTime64, a finer
// DateTime64, another time zone to show it in, and the same inside Array and Map.
//
// A finer DateTime64 holds fewer years; at nine digits it ends in 2262. So do
// the nanoseconds in which entries come.
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
	for _, v := range some {
		if !slices.Contains(all, v) {
			return false
		}
	}
	return true
}

// widensKey reports whether that change can be made on a column of a key, too: only where the values keep their order and
// their bytes. Another time zone is only shown in the sorting key, and makes other days in the partition key.
func WidensKey(from, to Type, partition bool) bool {
	if !Widens(from, to) || from.Nullable != to.Nullable {
		return false
	}
	if from.Kind == KindEnum8 || from.Kind == KindEnum16 || from.Kind == KindString {
		return from.Kind == to.Kind
	}
	from.LowCardinality, to.LowCardinality = false, false
	if !partition {
		from.Zone, to.Zone = "", ""
	}
	return from.Kind == to.Kind && from.String() == to.String()
}
