package wal

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// compressFrom is the length of a payload from which on it is worth to compress it.
const compressFrom = 4 << 10

// codec compresses payloads. Reading is always possible, whatever is configured.
type codec struct {
	zstd    bool
	encoder func() (*zstd.Encoder, error)
	decoder func() (*zstd.Decoder, error)
}

func newCodec(compression string) codec {
	return codec{
		zstd: compression == Zstd,
		encoder: sync.OnceValues(func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
		}),
		decoder: sync.OnceValues(func() (*zstd.Decoder, error) {
			return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxRecord), zstd.WithDecoderConcurrency(1))
		}),
	}
}

// compress returns the payload compressed, or nil if that is not wanted or makes it no smaller.
func (c *codec) compress(payload [][]byte, length int) []byte {
	if !c.zstd || length < compressFrom {
		return nil
	}
	encoder, err := c.encoder()
	if err != nil {
		return nil
	}
	whole := payload[0]
	if len(payload) > 1 {
		whole = make([]byte, 0, length)
		for _, part := range payload {
			whole = append(whole, part...)
		}
	}
	if packed := encoder.EncodeAll(whole, make([]byte, 0, length)); len(packed) < length {
		return packed
	}
	return nil
}

// decompress appends the payload to into.
func (c *codec) decompress(packed, into []byte) ([]byte, error) {
	decoder, err := c.decoder()
	if err != nil {
		return nil, err
	}
	payload, err := decoder.DecodeAll(packed, into)
	if err != nil {
		return nil, fmt.Errorf("decompress a record: %w", err)
	}
	return payload, nil
}
