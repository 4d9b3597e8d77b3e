package batch

import (
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go/compress"
)

// Compression is how a block's frames are compressed.
type Compression string

// The compressions, as the configuration writes them.
const (
	// Uncompressed costs no CPU, for a server close by.
	Uncompressed Compression = "none"
	// LZ4 is cheap, and logs take a fifth of the space.
	LZ4 Compression = "lz4"
	// ZSTD costs several times as much, for an expensive network.
	ZSTD Compression = "zstd"
)

// Compressions returns all compressions.
func Compressions() []Compression { return []Compression{Uncompressed, LZ4, ZSTD} }

// Validate reports a compression that does not exist.
func (c Compression) Validate() error {
	if !slices.Contains(Compressions(), c) {
		return fmt.Errorf("compression %q is none of %q", c, Compressions())
	}
	return nil
}

// compressor returns a compressor, or nil for Uncompressed.
func (c Compression) compressor() *compress.Writer {
	switch c {
	case LZ4:
		return compress.NewWriter(compress.LevelZero, compress.LZ4)
	case ZSTD:
		return compress.NewWriter(compress.LevelZero, compress.ZSTD)
	}
	return nil
}
