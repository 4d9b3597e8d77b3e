// Package accesslog makes up the access log of a web shop, in the combined format that Apache and
// nginx write: a start time and a seed flow in, lines flow out.
//
// What must always hold: the same arguments give the same bytes; time stamps never go back; every
// address is one that RFC 5737 and RFC 3849 keep for documentation.
package accesslog

import (
	"bufio"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// RequestsPerSecond is how many lines, on average, one second of the log has.
const RequestsPerSecond = 40

// Generate writes lines to w, as if logged from start on. The traffic: visitors who walk from page to
// page and load what the pages need, a few who order, crawlers, an API client, probes for
// holes, and now and then some seconds in which the back end answers 502 and 503.
func Generate(w io.Writer, lines int, start time.Time, seed uint64) error {
	out := bufio.NewWriterSize(w, 64<<10)
	g := generator{
		rand: rand.New(rand.NewPCG(seed, 0x10c)),
		now:  start,
	}
	for range 60 {
		g.visitors = append(g.visitors, g.newVisitor())
	}
	var line []byte
	for range lines {
		line = g.appendLine(line[:0])
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

type generator struct {
	rand     *rand.Rand
	now      time.Time
	visitors []visitor
	outage   time.Time // the back end fails until then
}

// visitor is one client. What it asks for next is in todo, or else made up by its kind.
type visitor struct {
	kind    kind
	address string
	user    string
	agent   string
	page    string // where it is: the referer of what it asks for
	todo    []request
	left    int // pages until it leaves
}

type kind uint8

const (
	browsing kind = iota
	crawling
	calling // the API
	probing
)

type request struct {
	method, path string
	asset        bool
}

func (g *generator) newVisitor() visitor {
	v := visitor{user: "-", page: "-", address: g.address(), left: 1 + g.rand.IntN(25)}
	switch n := g.rand.IntN(100); {
	case n < 78:
		v.agent = pick(g.rand, browsers)
		v.page = pick(g.rand, referers)
	case n < 88:
		v.kind, v.agent, v.left = crawling, pick(g.rand, crawlers), 200
	case n < 97:
		v.kind, v.agent, v.user, v.left = calling, pick(g.rand, apiClients), pick(g.rand, apiUsers), 400
	default:
		v.kind, v.agent, v.left = probing, pick(g.rand, probers), 8
	}
	return v
}

func (g *generator) address() string {
	blocks := [...][3]byte{{192, 0, 2}, {198, 51, 100}, {203, 0, 113}}
	if g.rand.IntN(8) > 0 {
		b := blocks[g.rand.IntN(len(blocks))]
		return netip.AddrFrom4([4]byte{b[0], b[1], b[2], byte(1 + g.rand.IntN(254))}).String()
	}
	ip := [16]byte{0x20, 0x01, 0x0d, 0xb8, 4: byte(g.rand.IntN(64)), 5: byte(g.rand.IntN(256)), 15: byte(1 + g.rand.IntN(255))}
	return netip.AddrFrom16(ip).String()
}

// next returns what v asks for now.
func (g *generator) next(v *visitor) request {
	if len(v.todo) > 0 {
		r := v.todo[0]
		v.todo = v.todo[1:]
		return r
	}
	v.left--
	switch v.kind {
	case crawling:
		if g.rand.IntN(40) == 0 {
			return request{method: "GET", path: "/robots.txt"}
		}
		return request{method: "GET", path: g.page()}
	case calling:
		return g.apiCall()
	case probing:
		return request{method: "GET", path: pick(g.rand, probes)}
	}
	if g.rand.IntN(30) == 0 {
		for _, path := range []string{"/cart", "/checkout", "/checkout/payment"} {
			v.todo = append(v.todo, request{method: "POST", path: path})
		}
		v.todo = append(v.todo, request{method: "GET", path: "/orders/" + strconv.Itoa(100000+g.rand.IntN(900000))})
	} else {
		for range g.rand.IntN(4) {
			v.todo = append(v.todo, request{method: "GET", path: pick(g.rand, assets), asset: true})
		}
	}
	return request{method: "GET", path: g.page()}
}

// page returns a page of the shop; low numbers of products are asked for far more often.
func (g *generator) page() string {
	product := strconv.Itoa(1 + int(2000*math.Pow(g.rand.Float64(), 4)))
	switch n := g.rand.IntN(100); {
	case n < 20:
		return "/"
	case n < 60:
		return "/products/" + product
	case n < 78:
		return "/categories/" + pick(g.rand, categories) + "?page=" + strconv.Itoa(1+g.rand.IntN(12))
	case n < 92:
		return "/search?q=" + pick(g.rand, searches)
	}
	return pick(g.rand, pages)
}

func (g *generator) apiCall() request {
	id := strconv.Itoa(1 + g.rand.IntN(5000))
	switch n := g.rand.IntN(10); {
	case n < 5:
		return request{method: "GET", path: "/api/v1/products/" + id}
	case n < 8:
		return request{method: "GET", path: "/api/v1/orders?status=open&limit=50&after=" + id}
	case n < 9:
		return request{method: "PUT", path: "/api/v1/stock/" + id}
	}
	return request{method: "DELETE", path: "/api/v1/reservations/" + id}
}

// status returns how the shop answers.
func (g *generator) status(v *visitor, r request) int {
	n := g.rand.IntN(1000)
	if g.now.Before(g.outage) && !r.asset && n < 700 {
		return 502 + n%2
	}
	switch {
	case v.kind == probing:
		return [...]int{404, 404, 404, 403, 400}[n%5]
	case r.asset && n < 350:
		return 304
	case n < 2:
		return 500
	case n < 3:
		return 504
	case v.kind == calling && n < 15:
		return [...]int{401, 409, 422, 429}[n%4]
	case n < 18:
		return 404
	case r.method == "POST":
		return 303
	case r.method == "DELETE":
		return 204
	case n > 985:
		return 301
	}
	return 200
}

// size returns the length of an answer's body.
func (g *generator) size(status int, r request) int {
	spread := math.Exp(g.rand.NormFloat64() * 0.6)
	switch {
	case status == 204 || status == 304:
		return 0
	case status >= 400:
		return 150 + g.rand.IntN(400)
	case status >= 300:
		return 178
	case r.asset:
		return int(45_000 * spread)
	}
	return int(14_000 * spread)
}

func (g *generator) appendLine(b []byte) []byte {
	g.now = g.now.Add(time.Duration(g.rand.ExpFloat64() / RequestsPerSecond * float64(time.Second)))
	if g.rand.IntN(40_000) == 0 {
		g.outage = g.now.Add(time.Duration(5+g.rand.IntN(40)) * time.Second)
	}
	at := g.rand.IntN(len(g.visitors))
	v := &g.visitors[at]
	if v.left <= 0 && len(v.todo) == 0 {
		*v = g.newVisitor()
	}
	referer := v.page
	r := g.next(v)
	status := g.status(v, r)
	if v.kind == browsing && !r.asset && status < 400 {
		v.page = "https://shop.example.com" + r.path
	}
	if v.kind != browsing {
		referer = "-"
	}

	b = append(b, v.address...)
	b = append(b, " - "...)
	b = append(b, v.user...)
	b = append(b, ' ')
	b = g.now.AppendFormat(b, "[02/Jan/2006:15:04:05 -0700]")
	b = append(b, ` "`...)
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.path...)
	b = append(b, ` HTTP/`...)
	b = append(b, protocol(v.kind)...)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(g.size(status, r)), 10)
	b = append(b, ` "`...)
	b = append(b, referer...)
	b = append(b, `" "`...)
	b = append(b, v.agent...)
	return append(b, "\"\n"...)
}

func protocol(k kind) string {
	if k == browsing {
		return "2.0"
	}
	return "1.1"
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }
