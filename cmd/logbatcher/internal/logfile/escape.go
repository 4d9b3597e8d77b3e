package logfile

import (
	"regexp"
	"strings"
)

// white is what may precede a stamp or a level: white space, a byte order mark where files were joined, and the separator of
// JSON text sequences.
const white = " \t\r\v\f\x1e\u00a0\ufeff"

// escapes matches terminal escape sequences: control sequences such as colours, operating system commands such as
// links, and the shorter ones; and colours as rsyslog writes them.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|\x1b|#033\[[0-9;]*m`)

// plain returns s without escape sequences.
func plain(s string) string {
	if strings.IndexByte(s, '\x1b') < 0 && !strings.Contains(s, "#033[") {
		return s
	}
	return escapes.ReplaceAllString(s, "")
}

func isBlank(s string) bool {
	return s == "" || (s[0] <= ' ' || s[0] >= 0x80) && strings.Trim(s, white+"\n") == ""
}
