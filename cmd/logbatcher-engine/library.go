package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// A library is libchdb.so loaded into this process: ClickHouse's engine behind
// a C interface. Its fields are C functions, named in the comments. Handles are
// pointers into the library's memory and mean nothing to Go's collector, so
// they are uintptr here.
type library struct {
	setSignalHandlers  func(enabled int32)                                // chdb_set_signal_handlers_enabled
	connect            func(argc int32, argv unsafe.Pointer) uintptr      // chdb_connect
	closeConnection    func(handle uintptr)                               // chdb_close_conn
	query              statementFunc                                      // chdb_query_with_params_n
	insert             statementFunc                                      // chdb_stream_insert_with_params_n
	insertAppend       func(stream, data unsafe.Pointer, n uintptr) int32 // chdb_stream_append
	insertDone         func(stream unsafe.Pointer) unsafe.Pointer         // chdb_stream_done
	insertCancel       func(stream unsafe.Pointer)                        // chdb_stream_cancel_insert
	insertError        func(stream unsafe.Pointer) string                 // chdb_stream_insert_error
	insertDestroy      func(stream unsafe.Pointer)                        // chdb_destroy_insert_stream
	resultBuffer       func(result unsafe.Pointer) unsafe.Pointer         // chdb_result_buffer
	resultLength       func(result unsafe.Pointer) uintptr                // chdb_result_length
	resultError        func(result unsafe.Pointer) string                 // chdb_result_error
	resultRowsRead     func(result unsafe.Pointer) uint64                 // chdb_result_storage_rows_read
	resultBytesRead    func(result unsafe.Pointer) uint64                 // chdb_result_storage_bytes_read
	resultRowsWritten  func(result unsafe.Pointer) uint64                 // chdb_result_rows_written
	resultBytesWritten func(result unsafe.Pointer) uint64                 // chdb_result_bytes_written
	resultRows         func(result unsafe.Pointer) uint64                 // chdb_result_rows_read
	resultDestroy      func(result unsafe.Pointer)                        // chdb_destroy_query_result
}

// A statementFunc runs a statement, or opens an insert: the statement, the
// format of its output (or of the data to come), and the values of its
// parameters, all with their lengths.
type statementFunc func(connection uintptr,
	query unsafe.Pointer, queryLength uintptr,
	format unsafe.Pointer, formatLength uintptr,
	names, nameLengths, values, valueLengths unsafe.Pointer, count uintptr) unsafe.Pointer

// openLibrary loads the shared library at path and looks up its functions.
func openLibrary(path string) (lib *library, err error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	lib = &library{}
	for _, function := range []struct {
		name    string
		pointer any
	}{
		{"chdb_set_signal_handlers_enabled", &lib.setSignalHandlers},
		{"chdb_connect", &lib.connect},
		{"chdb_close_conn", &lib.closeConnection},
		{"chdb_query_with_params_n", &lib.query},
		{"chdb_stream_insert_with_params_n", &lib.insert},
		{"chdb_stream_append", &lib.insertAppend},
		{"chdb_stream_done", &lib.insertDone},
		{"chdb_stream_cancel_insert", &lib.insertCancel},
		{"chdb_stream_insert_error", &lib.insertError},
		{"chdb_destroy_insert_stream", &lib.insertDestroy},
		{"chdb_result_buffer", &lib.resultBuffer},
		{"chdb_result_length", &lib.resultLength},
		{"chdb_result_error", &lib.resultError},
		{"chdb_result_storage_rows_read", &lib.resultRowsRead},
		{"chdb_result_storage_bytes_read", &lib.resultBytesRead},
		{"chdb_result_rows_written", &lib.resultRowsWritten},
		{"chdb_result_bytes_written", &lib.resultBytesWritten},
		{"chdb_result_rows_read", &lib.resultRows},
		{"chdb_destroy_query_result", &lib.resultDestroy},
	} {
		symbol, err := purego.Dlsym(handle, function.name)
		if err != nil {
			return nil, fmt.Errorf("look up %s in %s: %w", function.name, path, err)
		}
		purego.RegisterFunc(function.pointer, symbol)
	}
	return lib, nil
}

// open connects to the engine with a server's command line. The first
// connection boots the engine, the others join it. It returns 0 where the
// engine refused.
func (lib *library) open(arguments ...string) uintptr {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pointers := make([]unsafe.Pointer, 0, len(arguments)+1)
	for _, argument := range arguments {
		text := append([]byte(argument), 0)
		pinner.Pin(&text[0])
		pointers = append(pointers, unsafe.Pointer(&text[0]))
	}
	pointers = append(pointers, nil)
	pinner.Pin(&pointers[0])
	return lib.connect(int32(len(arguments)), unsafe.Pointer(&pointers[0]))
}

// run calls a statementFunc with Go's strings.
func (run statementFunc) run(connection uintptr, query, format string, parameters map[string]string) unsafe.Pointer {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	pin := func(text string) (unsafe.Pointer, uintptr) {
		data := unsafe.Pointer(unsafe.StringData(text))
		if len(text) == 0 {
			empty := new(byte)
			data = unsafe.Pointer(empty)
		}
		pinner.Pin(data)
		return data, uintptr(len(text))
	}
	queryData, queryLength := pin(query)
	formatData, formatLength := pin(format)

	count := len(parameters)
	names, nameLengths := make([]unsafe.Pointer, 0, count+1), make([]uintptr, 0, count+1)
	values, valueLengths := make([]unsafe.Pointer, 0, count+1), make([]uintptr, 0, count+1)
	for name, value := range parameters {
		data, length := pin(name)
		names, nameLengths = append(names, data), append(nameLengths, length)
		data, length = pin(value)
		values, valueLengths = append(values, data), append(valueLengths, length)
	}
	names, nameLengths = append(names, nil), append(nameLengths, 0)
	values, valueLengths = append(values, nil), append(valueLengths, 0)
	pinner.Pin(&names[0])
	pinner.Pin(&nameLengths[0])
	pinner.Pin(&values[0])
	pinner.Pin(&valueLengths[0])
	return run(connection, queryData, queryLength, formatData, formatLength,
		unsafe.Pointer(&names[0]), unsafe.Pointer(&nameLengths[0]),
		unsafe.Pointer(&values[0]), unsafe.Pointer(&valueLengths[0]), uintptr(count))
}
