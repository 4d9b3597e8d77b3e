package logbatcherv1

// HasUnknownFields reports whether the entry, attributes aside, came with fields that this version of the
// protocol doesn't have. Reflection answers that too, at several times the cost of decoding an entry.
func (x *Entry) HasUnknownFields() bool { return len(x.unknownFields) > 0 }

// HasUnknownFields reports whether the attribute came with fields that this version of the protocol doesn't have.
func (x *Attribute) HasUnknownFields() bool { return len(x.unknownFields) > 0 }
