package wal

// FixSegment makes the checksums in a segment right, as far as its records' lengths lead, so that fuzzing gets behind them.
func FixSegment(b []byte, seq uint64) {
	if len(b) < segmentHeader {
		return
	}
	le.PutUint32(b[60:], checksum(b[:60]))
	for b = b[segmentHeader:]; len(b) >= recordHeader; {
		length := align(int64(le.Uint32(b[4:])))
		le.PutUint32(b[20:], uint32(seq))
		if length <= int64(len(b)-recordHeader) {
			le.PutUint32(b[28:], checksum(b[recordHeader:][:le.Uint32(b[4:])]))
		}
		le.PutUint32(b, checksum(b[4:recordHeader]))
		if length > int64(len(b)-recordHeader) {
			return
		}
		b = b[recordHeader+length:]
	}
}

// FixCheckpoint makes the checksums in a checkpoint right.
func FixCheckpoint(b []byte) {
	if len(b) >= checkpointHeader {
		le.PutUint64(b[48:], uint64(len(b)-checkpointHeader))
		le.PutUint32(b[56:], checksum(b[checkpointHeader:]))
		le.PutUint32(b[60:], checksum(b[:60]))
	}
}

// FixFile makes the checksums in the first front of a batch file right.
func FixFile(b []byte) {
	if len(b) < fileFront {
		return
	}
	if n := int64(le.Uint32(b[12:])) + int64(le.Uint32(b[40:])); n <= int64(len(b)-fileFront) {
		le.PutUint32(b[56:], checksum(b[fileFront:][:n]))
	}
	le.PutUint32(b[60:], checksum(b[:60]))
}
