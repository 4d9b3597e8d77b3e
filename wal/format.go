package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/google/uuid"
)

// All numbers on the disk are little-endian. docs/wal.md shows the same layouts.
//
//	segment header, 64 bytes              record header, 32 bytes
//	 0  "LBWALSEG"                         0  CRC32C of bytes 4 to 32
//	 8  version                  u32       4  length of the payload       u32
//	12  zero                     u32       8  LSN                         u64
//	16  id of the log            16 bytes 16  kind                        u8
//	32  number of this segment   u64      17  flags                       u8
//	40  LSN of its first record  u64      18  zero                        u16
//	48  end of the segment before u64     20  number of the segment, low  u32
//	56  number of that one, low  u32      24  durable offset / 8          u32
//	60  CRC32C of bytes 0 to 60           28  CRC32C of the payload
//	                                      then the payload, and zeros to a multiple of 8
const (
	segmentHeader = 64
	recordHeader  = 32
	formatVersion = 1
	segmentMagic  = "LBWALSEG"
	// maxRecord bounds a payload: the largest request that can be configured, and what is stored beside it.
	maxRecord = 1<<30 + 64<<20
)

// flagZstd marks a payload that is compressed.
const flagZstd = 1

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// align returns n, or the next multiple of 8 above.
func align[T int | int64](n T) T { return (n + 7) &^ 7 }

// header is what a segment says of itself.
type header struct {
	log      uuid.UUID
	seq      uint64
	first    LSN    // of the first record, here or later if there is none yet
	previous uint64 // number of the segment before. Those in between never counted. 0: this is the first.
	before   int64  // where the segment before ends: what stands behind was never durable
}

func (h *header) marshal() []byte {
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	le.PutUint32(b[8:], formatVersion)
	copy(b[16:], h.log[:])
	le.PutUint64(b[32:], h.seq)
	le.PutUint64(b[40:], uint64(h.first))
	le.PutUint64(b[48:], uint64(h.before))
	le.PutUint32(b[56:], uint32(h.previous))
	le.PutUint32(b[60:], checksum(b[:60]))
	return b
}

// errVersion is the error for files of a later version, which are not damaged.
var errVersion = errors.New("written by a later version")

// unmarshal reads the header of the segment with the number.
func (h *header) unmarshal(b []byte, seq uint64) error {
	switch {
	case len(b) < segmentHeader || string(b[:8]) != segmentMagic || le.Uint32(b[60:]) != checksum(b[:60]):
		return errors.New("the header is damaged")
	case le.Uint32(b[8:]) != formatVersion:
		return fmt.Errorf("%w of the format: %d, this program knows %d", errVersion, le.Uint32(b[8:]), formatVersion)
	case le.Uint64(b[32:]) != seq:
		return fmt.Errorf("the header is that of segment %016x", le.Uint64(b[32:]))
	}
	*h = header{log: uuid.UUID(b[16:32]), seq: seq, first: LSN(le.Uint64(b[40:])), before: int64(le.Uint64(b[48:]))}
	// Only the low half is stored. The segment before is less than 2³² segments away.
	h.previous = seq&^0xffffffff | uint64(le.Uint32(b[56:]))
	if h.previous >= seq && h.previous >= 1<<32 {
		h.previous -= 1 << 32
	}
	if h.previous >= seq || h.before < 0 {
		return errors.New("the header is damaged")
	}
	return nil
}

// putRecord writes what Append knows of a record's header. stamp adds the rest.
func putRecord(b []byte, lsn LSN, kind, flags uint8, length int, sum uint32) {
	le.PutUint32(b[4:], uint32(length))
	le.PutUint64(b[8:], uint64(lsn))
	b[16], b[17], b[18], b[19] = kind, flags, 0, 0
	le.PutUint32(b[28:], sum)
}

// stamp completes the headers of the records in a group, before it is written to the segment at the offset, up to which the segment is
// durable. A group that has to be written again is stamped again.
func stamp(group []byte, seq uint64, offset int64) {
	for len(group) > 0 {
		le.PutUint32(group[20:], uint32(seq))
		le.PutUint32(group[24:], uint32(offset/8))
		le.PutUint32(group, checksum(group[4:recordHeader]))
		group = group[recordHeader+align(int(le.Uint32(group[4:]))):]
	}
}

// recordInfo is the header of a record.
type recordInfo struct {
	length  int64
	lsn     LSN
	kind    uint8
	flags   uint8
	durable int64 // the segment was durable up to here when the record was written
	sum     uint32
}

// size is what the record takes in its segment.
func (r *recordInfo) size() int64 { return recordHeader + align(r.length) }

// unmarshal reads the header of a record of the segment, and reports whether it is one.
func (r *recordInfo) unmarshal(b []byte, seq uint64) bool {
	if le.Uint32(b[20:]) != uint32(seq) || le.Uint32(b) != checksum(b[4:recordHeader]) {
		return false
	}
	*r = recordInfo{
		length: int64(le.Uint32(b[4:])), lsn: LSN(le.Uint64(b[8:])), kind: b[16], flags: b[17],
		durable: int64(le.Uint32(b[24:])) * 8, sum: le.Uint32(b[28:]),
	}
	return r.length <= maxRecord && r.lsn > 0
}
