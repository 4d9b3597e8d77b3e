package logfile

import "testing"

// The fields of access logs, syslog and klog.
func TestFields(t *testing.T) {
	for _, test := range []struct{ line, service, attributes string }{
		{`192.0.2.1 - ann [01/Mar/2026:10:15:00 +0000] "GET /a/b?c=d HTTP/1.1" 200 512`, "",
			`client.address="192.0.2.1" user.name="ann" http.request.method="GET" network.protocol.version="1.1" url.path="/a/b" url.query="c=d" http.response.status_code=200 http.response.body.size=512`},
		{`2001:db8::1 - - [01/Mar/2026:10:15:00 +0000] "POST / HTTP/2.0" 201 - "https://example.com/" "curl/8 \"x\""`, "",
			`client.address="2001:db8::1" http.request.method="POST" network.protocol.version="2.0" url.path="/" http.response.status_code=201 http.referer="https://example.com/" user_agent.original="curl/8 \\\"x\\\""`},
		{`shop.example.com:443 192.0.2.1 - - [01/Mar/2026:10:15:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`, "",
			`server.address="shop.example.com:443" client.address="192.0.2.1" http.request.method="GET" network.protocol.version="1.1" url.path="/" http.response.status_code=200 http.response.body.size=5`},
		{`192.0.2.1 - - [01/Mar/2026:10:15:00 +0000] "\x16\x03\x01" 400 150 "-" "-"`, "",
			`client.address="192.0.2.1" http.response.status_code=400 http.response.body.size=150`},
		{`192.0.2.1 - - [01/Mar/2026:10:15:00 +0000] "" 408 0`, "",
			`client.address="192.0.2.1" http.response.status_code=408 http.response.body.size=0`},
		{`192.0.2.1 - - [01/Mar/2026:10:15:00 +0000] "GET /a b HTTP/1.0" 200 1`, "",
			`client.address="192.0.2.1" http.request.method="GET" network.protocol.version="1.0" url.path="/a b" http.response.status_code=200 http.response.body.size=1`},
		{`192.0.2.1 - - [01/Mar/2026:10:15:00 +0000] "GET /`, "", `client.address="192.0.2.1"`},
		{`192.0.2.1 - - [01/Mar/2026:10:15:00 +0000]`, "", `client.address="192.0.2.1"`},

		{"Mar  1 10:15:00 web1 sshd[811]: session opened", "sshd", `host.name="web1" process.pid=811`},
		{"Mar  1 10:15:00 web1 sshd(pam_unix)[811]: session opened", "sshd", `host.name="web1" process.pid=811`},
		{"Mar  1 10:15:00 web1 kernel: [    0.000000] Linux", "kernel", `host.name="web1"`},
		{"Mar  1 10:15:00 web1 text without a tag", "", ``},
		{"Mar  1 10:15:00 web1 postfix/smtpd[7]: connect", "postfix/smtpd", `host.name="web1" process.pid=7`},
		{"<38>Mar  1 10:15:00 web1 sshd[811]: session opened", "sshd", `host.name="web1" process.pid=811 syslog.facility=4`},
		{"2026-03-01T10:15:00.123456+01:00 web1 sshd[811]: session opened", "sshd", `host.name="web1" process.pid=811`},
		{"2026-03-01T10:15:00Z INFO main[7]: no syslog", "", ``},
		{"2026-03-01T10:15:00Z web1 main: perhaps syslog", "", ``},
		{`<165>1 2026-03-01T10:15:00.003Z web1 shop 811 ID47 [a@1 x="1" y="\"]"][b@2] cart is full`, "shop",
			`syslog.facility=20 host.name="web1" process.pid=811 syslog.msgid="ID47" a@1.x="1" a@1.y="\"]"`},
		{`<165>1 2026-03-01T10:15:00.003Z - - - - - text`, "", `syslog.facility=20`},
		{`<165>1 2026-03-01T10:15:00.003Z web1 shop main - [broken text`, "shop", `syslog.facility=20 host.name="web1" process.pid="main"`},
		{`<165>1 2026-03-01T10:15:00.003Z`, "", `syslog.facility=20`},

		{"I0301 10:15:00.123456   17813 controller.go:116] up", "", `thread.id=17813 code.file.path="controller.go" code.line.number=116`},
		{"I0301 10:15:00.123456 text", "", ``},
	} {
		records, _ := readAll(t, test.line, Options{})
		if r := records[0]; r.Service != test.service || attributesText(r) != test.attributes || r.Body != test.line {
			t.Errorf("%s:\n got %q %s\nwant %q %s", test.line, r.Service, attributesText(r), test.service, test.attributes)
		}
	}
}
