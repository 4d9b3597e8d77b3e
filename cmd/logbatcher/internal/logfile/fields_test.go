package logfile

import "testing"

// The host of a line of syslog.
func TestHost(t *testing.T) {
	const web1 = `host.name="web1"`
	for _, test := range []struct{ line, attributes string }{
		{"Mar  1 10:15:00 web1 sshd[811]: session opened", web1},
		{"Mar  1 10:15:00 web1 sshd(pam_unix)[811]: session opened", web1},
		{"Mar  1 10:15:00 web1 kernel: [    0.000000] Linux", web1},
		{"Mar  1 10:15:00 web1 text without a tag", ``},
		{"Mar  1 10:15:00 web1 postfix/smtpd[7]: connect", web1},
		{"<38>Mar  1 10:15:00 web1 sshd[811]: session opened", web1},
		{"2026-03-01T10:15:00.123456+01:00 web1 sshd[811]: session opened", web1},
		{"2026-03-01T10:15:00Z INFO main[7]: no syslog", ``},
		{"2026-03-01T10:15:00Z web1 main: perhaps syslog", ``},
		{`<165>1 2026-03-01T10:15:00.003Z web1 shop 811 ID47 [a@1 x="1"][b@2] cart is full`, web1},
		{`<165>1 2026-03-01T10:15:00.003Z - - - - - text`, ``},
		{`<165>1 2026-03-01T10:15:00.003Z`, ``},
	} {
		records, _ := readAll(t, test.line, Options{})
		if r := records[0]; attributesText(r) != test.attributes || r.Body != test.line {
			t.Errorf("%s:\n got %s\nwant %s", test.line, attributesText(r), test.attributes)
		}
	}
}
