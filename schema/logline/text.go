package logline

import (
	"regexp"
	"strings"
)

// White is what may precede a stamp or a level: white space, a byte order mark where files were joined, and the separator of
// JSON text sequences.
const White = " \t\r\v\f\x1e\u00a0\ufeff"

// escapes matches terminal escape sequences: control sequences such as colours, operating system commands such as
// links, the shorter ones, and colours as rsyslog writes them.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|\x1b|#033\[[0-9;]*m`)

// Plain returns s without escape sequences.
func Plain(s string) string {
	if strings.IndexByte(s, '\x1b') < 0 && !strings.Contains(s, "#033[") {
		return s
	}
	return escapes.ReplaceAllString(s, "")
}
