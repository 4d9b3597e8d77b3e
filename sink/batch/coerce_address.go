package batch

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/uuid"

	"github.com/logbatcher/logbatcher/schema"
)

// textToUUID takes the form with dashes and the one without, as in a trace id.
func textToUUID(_ *target, in *schema.Attribute, out *value) schema.Reason {
	id, err := uuid.Parse(in.Text)
	if err != nil || len(in.Text) != 36 && len(in.Text) != 32 {
		return schema.TypeMismatch
	}
	setUUID(id, out)
	return schema.NoReason
}

func bytesToUUID(_ *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) != len(uuid.UUID{}) {
		return schema.TypeMismatch
	}
	setUUID(uuid.UUID([]byte(in.Text)), out)
	return schema.NoReason
}

// setUUID stores the two halves as ClickHouse does, each as a little-endian number.
func setUUID(id uuid.UUID, out *value) {
	out.bits, out.high = binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
}

func textToAddress(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	return address, err == nil && address.Zone() == ""
}

func bytesToAddress(bytes string) (netip.Addr, bool) { return netip.AddrFromSlice([]byte(bytes)) }

// textToIPv4 takes an IPv4 address, also one written as an IPv6 address.
func textToIPv4(_ *target, in *schema.Attribute, out *value) schema.Reason {
	address, ok := textToAddress(in.Text)
	return setIPv4(address.Unmap(), ok, out)
}

func bytesToIPv4(_ *target, in *schema.Attribute, out *value) schema.Reason {
	address, ok := bytesToAddress(in.Text)
	return setIPv4(address, ok, out)
}

func setIPv4(address netip.Addr, ok bool, out *value) schema.Reason {
	if !ok || !address.Is4() {
		return schema.TypeMismatch
	}
	octets := address.As4()
	out.bits = uint64(binary.BigEndian.Uint32(octets[:]))
	return schema.NoReason
}

// textToIPv6 takes any address; an IPv4 one is stored mapped, as ClickHouse does.
func textToIPv6(_ *target, in *schema.Attribute, out *value) schema.Reason {
	address, ok := textToAddress(in.Text)
	return setIPv6(address, ok, out)
}

func bytesToIPv6(_ *target, in *schema.Attribute, out *value) schema.Reason {
	address, ok := bytesToAddress(in.Text)
	return setIPv6(address, ok, out)
}

func setIPv6(address netip.Addr, ok bool, out *value) schema.Reason {
	if !ok {
		return schema.TypeMismatch
	}
	octets := address.As16()
	out.bits, out.high = binary.LittleEndian.Uint64(octets[:8]), binary.LittleEndian.Uint64(octets[8:])
	return schema.NoReason
}
