package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFrames(t *testing.T) {
	data := bytes.Repeat([]byte("a line of text\n"), 300_000) // several frames
	for _, method := range []string{"", "LZ4", "LZ4HC", "ZSTD", "NONE"} {
		frames, err := compressed(data, method)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(newFrameReader(bytes.NewReader(frames)))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes back, %v", method, len(got), err)
		}
		for _, cut := range []int{1, len(frames) / 2, len(frames) - 1} {
			if _, err := io.ReadAll(newFrameReader(bytes.NewReader(frames[:cut]))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s cut to %d bytes: %v", method, cut, err)
			}
		}
	}
	if got, err := io.ReadAll(newFrameReader(bytes.NewReader(nil))); err != nil || len(got) > 0 {
		t.Errorf("no frames: %q, %v", got, err)
	}
}
