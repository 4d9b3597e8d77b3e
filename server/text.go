package server

import (
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// maxTextBytes bounds each text in a response, so that the size of a response follows from the number of things in it.
const maxTextBytes = 512

// maxKeyBytes bounds what a field's path repeats of a producer's key.
const maxKeyBytes = 128

// text makes s fit for a string field of protobuf, which must be UTF-8: a client refuses the whole response otherwise.
func text(s string) string { return longText(schema.Short(s, maxTextBytes)) }

// longText is text without the bound, for what comes from the configuration.
func longText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// attributePath names an attribute by its key, in ASCII and printable whatever the key.
func attributePath(list, key string) string {
	if len(key) > maxKeyBytes {
		key = key[:maxKeyBytes] + "..."
	}
	return list + "[" + strconv.QuoteToASCII(key) + "]"
}
