package batch

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/uuid"

	"github.com/logbatcher/logbatcher/schema"
)

// textToUUID takes the form with dashes and the one without, such as a trace id has.
func textToUUID(_ *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) != 36 && len(in.Text) != 32 {
		return schema.TypeMismatch
	}
	id, err := uuid.Parse(in.Text)
	if err != nil {
		return schema.TypeMismatch
	}
	setUUID(id, out)
	return schema.NoReason
}

func bytesToUUID(_ *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) != 16 {
		return schema.TypeMismatch
	}
	setUUID(uuid.UUID([]byte(in.Text)), out)
	return schema.NoReason
}

// setUUID stores the two halves as ClickHouse does, each as a little-endian number.
func setUUID(id uuid.UUID, out *value) {
	binary.LittleEndian.PutUint64(out.wide[:8], binary.BigEndian.Uint64(id[:8]))
	binary.LittleEndian.PutUint64(out.wide[8:], binary.BigEndian.Uint64(id[8:]))
}

func parseAddress(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	return address, err == nil && address.Zone() == ""
}

// textToIPv4 takes an IPv4 address, also where it is written as an IPv6 one.
func textToIPv4(_ *target, in *schema.Attribute, out *value) schema.Reason {
	address, ok := parseAddress(in.Text)
	if !ok || !address.Unmap().Is4() {
		return schema.TypeMismatch
	}
	octets := address.Unmap().As4()
	out.bits = uint64(binary.BigEndian.Uint32(octets[:]))
	return schema.NoReason
}

func bytesToIPv4(_ *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) != 4 {
		return schema.TypeMismatch
	}
	for i := range 4 {
		out.bits = out.bits<<8 | uint64(in.Text[i])
	}
	return schema.NoReason
}

// textToIPv6 takes any address; an IPv4 one is stored mapped, as ClickHouse does.
func textToIPv6(_ *target, in *schema.Attribute, out *value) schema.Reason {
	address, ok := parseAddress(in.Text)
	if !ok {
		return schema.TypeMismatch
	}
	out.wide = address.As16()
	return schema.NoReason
}

func bytesToIPv6(_ *target, in *schema.Attribute, out *value) schema.Reason {
	switch len(in.Text) {
	case 16:
		copy(out.wide[:], in.Text)
	case 4:
		out.wide[10], out.wide[11] = 0xff, 0xff
		copy(out.wide[12:], in.Text)
	default:
		return schema.TypeMismatch
	}
	return schema.NoReason
}
