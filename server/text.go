package server

import (
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// maxTextBytes bounds each text in a response, so that the size of a response follows from the number of outcomes in it.
const maxTextBytes = 512

// maxKeyBytes bounds the part of a producer's key in the path of a field.
const maxKeyBytes = 128

// text makes s valid UTF-8 for a string field, without which a client refuses the whole response, and bounds its length.
func text(s string) string { return longText(schema.Short(s, maxTextBytes)) }

// longText is text without the bound, for texts from the configuration.
func longText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// attributePath returns the path of an attribute, in printable ASCII whatever its key.
func attributePath(list, key string) string {
	if len(key) > maxKeyBytes {
		key = key[:maxKeyBytes] + "..."
	}
	return list + "[" + strconv.QuoteToASCII(key) + "]"
}
