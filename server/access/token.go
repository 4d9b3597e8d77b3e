package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A token is lb_ID_SECRET. The id may be known: it finds the token's line, and names the token in logs. The secret has 130 random
// bits, so it can't be guessed however fast its hash is, and a slow hash would only let callers without a token cost more.
const (
	tokenPrefix    = "lb_"
	tokenIDLength  = 8
	maxTokenLength = 128
)

// sumPrefix begins the hash of a token.
const sumPrefix = "sha256:"

// Token is the line of a token in its file, which does not have the token itself.
type Token struct {
	// ID names the token.
	ID string
	// Tenant is the name of the tenant that it speaks for.
	Tenant string
	// Expires is until when it is valid. Zero: forever.
	Expires time.Time
	// Rights are what it may do. Empty: what its tenant may.
	Rights []Right

	sum [sha256.Size]byte
}

// NewToken makes a token. It returns the token, which is nowhere else, and its line.
func NewToken(tenant string, expires time.Time, rights []Right) (token string, line *Token, err error) {
	if !tenantName.MatchString(tenant) {
		return "", nil, fmt.Errorf("%s; this is %q", tenantNameRule, tenant)
	}
	id := strings.ToLower(rand.Text()[:tokenIDLength])
	token = tokenPrefix + id + "_" + strings.ToLower(rand.Text())
	return token, &Token{ID: id, Tenant: tenant, Expires: expires.UTC().Truncate(time.Second), Rights: rights, sum: sha256.Sum256([]byte(token))}, nil
}

// String returns the line as ParseTokens reads it.
func (t *Token) String() string {
	line := t.ID + " " + sumPrefix + hex.EncodeToString(t.sum[:]) + " tenant=" + t.Tenant
	if !t.Expires.IsZero() {
		line += " expires=" + t.Expires.Format(time.RFC3339)
	}
	if len(t.Rights) > 0 {
		names := make([]string, len(t.Rights))
		for i, right := range t.Rights {
			names[i] = string(right)
		}
		line += " rights=" + strings.Join(names, ",")
	}
	return line
}

// ParseTokens reads a file of tokens: a line for each, with an id, a hash and what else String writes. Empty lines and lines that begin
// with # are skipped. It returns everything that is wrong. Its messages quote nothing but names of keys, because somebody may have
// written a token where its hash belongs.
func ParseTokens(data []byte) (tokens []*Token, problems []string) {
	first := map[string]int{}
	number := 0
	for text := range bytes.Lines(data) {
		number++
		line := strings.TrimSpace(string(text))
		if line == "" || line[0] == '#' {
			continue
		}
		token, problem := parseToken(line)
		if problem == "" && first[token.ID] > 0 {
			problem = fmt.Sprintf("line %d has the same id", first[token.ID])
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("line %d: %s", number, problem))
			continue
		}
		first[token.ID] = number
		tokens = append(tokens, token)
	}
	return tokens, problems
}

func parseToken(line string) (token *Token, problem string) {
	if !utf8.ValidString(line) {
		return nil, "it is not UTF-8"
	}
	words := strings.Fields(line)
	token = &Token{ID: words[0]}
	if !isTokenID(token.ID) {
		return nil, "it must begin with the id of the token, as logbatcher token new prints it; if this is a token itself, make a new one"
	}
	if len(words) < 2 || !token.setSum(words[1]) {
		return nil, "behind the id must be sha256: and 64 hexadecimal digits, as logbatcher token new prints them; if this is a token itself, make a new one"
	}
	seen := map[string]bool{}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		if problem := token.set(key, value); problem != "" {
			return nil, problem
		}
		if seen[key] {
			return nil, key + " is there twice"
		}
		seen[key] = true
	}
	if token.Tenant == "" {
		return nil, "there is no tenant; write tenant=NAME"
	}
	return token, ""
}

func (t *Token) setSum(word string) bool {
	digits, found := strings.CutPrefix(word, sumPrefix)
	if !found || len(digits) != 2*len(t.sum) {
		return false
	}
	_, err := hex.Decode(t.sum[:], []byte(digits))
	return err == nil
}

func (t *Token) set(key, value string) (problem string) {
	switch key {
	case "tenant":
		t.Tenant = value
		if !tenantName.MatchString(value) {
			return "tenant: " + tenantNameRule
		}
	case "expires":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil || at.IsZero() {
			return "expires must be a time as in 2027-01-31T00:00:00Z"
		}
		t.Expires = at.UTC()
	case "rights":
		for name := range strings.SplitSeq(value, ",") {
			right, problem := ParseRight(name)
			if problem != "" {
				return "rights are " + strings.Join(allRights, ", ") + ", with commas between them"
			}
			t.Rights = append(t.Rights, right)
		}
	default:
		return "behind the hash may be tenant=, expires= and rights="
	}
	return ""
}

func isTokenID(text string) bool {
	notInID := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	return len(text) == tokenIDLength && !strings.ContainsFunc(text, notInID)
}

// tokenID returns the id of a token; empty if it is not formed like one.
func tokenID(token string) string {
	id, secret, found := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	if !found || secret == "" || !isTokenID(id) || !strings.HasPrefix(token, tokenPrefix) || len(token) > maxTokenLength {
		return ""
	}
	return id
}
