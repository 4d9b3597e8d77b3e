package main

import (
	"errors"
	"fmt"
	"io"
	"unsafe"
)

// insertChunk is how much of an insert's data is handed to the engine at a time.
const insertChunk = 1 << 20

// insert runs an INSERT whose data comes from a reader, in any input format of
// ClickHouse's. The statement is open, and listed in system.processes, from
// before the first byte of data is read. When reading fails the insert is
// cancelled: nothing after the last whole block is written.
func (c *connection) insert(text, format string, parameters map[string]string, data io.Reader) (summary, error) {
	lib := c.engine.library
	stream := lib.insert.run(c.handle, text, format, parameters)
	if stream == nil {
		return summary{}, errStopped
	}
	defer lib.insertDestroy(stream)
	if message := lib.insertError(stream); message != "" {
		return summary{}, errors.New(message)
	}

	buffer := make([]byte, insertChunk)
	for {
		n, err := io.ReadFull(data, buffer)
		ended := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !ended {
			lib.insertCancel(stream)
			return summary{}, err
		}
		if n > 0 && lib.insertAppend(stream, unsafe.Pointer(&buffer[0]), uintptr(n)) != 0 {
			break // the engine refused a row; insertDone has the error
		}
		if ended {
			break
		}
	}

	result := lib.insertDone(stream)
	if result == nil {
		return summary{}, errStopped
	}
	defer lib.resultDestroy(result)
	if message := lib.resultError(result); message != "" {
		return summary{}, errors.New(message)
	}
	return c.summary(result), nil
}

// errBody marks an insert whose data could not be read to its end.
type errBody struct{ err error }

func (e *errBody) Error() string { return fmt.Sprintf("read data: %v", e.err) }
func (e *errBody) Unwrap() error { return e.err }

// bodyReader turns failures of the underlying reader into *errBody, among them
// the early end of a body, so that io.ReadFull cannot mistake one for the end
// of the data.
type bodyReader struct{ reader io.Reader }

func (b bodyReader) Read(buffer []byte) (int, error) {
	n, err := b.reader.Read(buffer)
	if err != nil && err != io.EOF {
		err = &errBody{err}
	}
	return n, err
}
