package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
)

// externalSuffixes end the names of the parameters that describe external
// tables, where a request brings any.
var externalSuffixes = []string{"_structure", "_format", "_types"}

// maxFieldBytes bounds a plain field of a form.
const maxFieldBytes = 1 << 20

// An external is a table whose rows come with the statement that reads it, as
// a file of a form.
type external struct {
	name, structure, format string
	data                    io.Reader
}

// forms returns the reader of a request's form, or nil where it has none.
func forms(r *http.Request) *multipart.Reader {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil
	}
	return multipart.NewReader(r.Body, parameters["boundary"])
}

// executeForm runs the statement of a form on the connection that has the
// form's files as temporary tables. The files come after the plain fields.
func (s *server) executeForm(ctx context.Context, parsed *request, form *multipart.Reader) (output []byte, format string, did summary, err error) {
	var c *connection
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", summary{}, &errBody{err}
		}
		if part.FileName() == "" {
			text, err := io.ReadAll(io.LimitReader(part, maxFieldBytes))
			if err != nil {
				return nil, "", summary{}, &errBody{err}
			}
			parsed.set(part.FormName(), string(text))
			continue
		}
		if c == nil {
			if c, err = s.engine.connect(ctx, parsed.database, parsed.plainSettings()); err != nil {
				return nil, "", summary{}, err
			}
		}
		if err := c.load(parsed.external(part)); err != nil {
			return nil, "", summary{}, err
		}
	}
	if c == nil {
		if c, err = s.engine.connect(ctx, parsed.database, parsed.plainSettings()); err != nil {
			return nil, "", summary{}, err
		}
	}
	if format = outputFormat(parsed.query); format == "" {
		format = parsed.format
	}
	output, did, err = c.query(withQueryIDs(parsed.query), format, parsed.parameters)
	return output, format, did, err
}

// external returns the table that a file of a form makes.
func (p *request) external(part *multipart.Part) external {
	e := external{name: part.FormName(), format: "TabSeparated", data: bodyReader{part}}
	for _, s := range p.settings {
		switch s.name {
		case e.name + "_structure":
			e.structure = s.value
		case e.name + "_format":
			e.format = s.value
		}
	}
	return e
}

// plainSettings returns the settings without the descriptions of external tables.
func (p *request) plainSettings() []setting {
	return slices.DeleteFunc(slices.Clone(p.settings), func(s setting) bool {
		return slices.ContainsFunc(externalSuffixes, func(suffix string) bool { return strings.HasSuffix(s.name, suffix) })
	})
}

// load makes a temporary table of the external one. It ends with the connection.
func (c *connection) load(e external) error {
	name := quoteIdentifier(e.name)
	if e.structure == "" {
		return exception(36, "BAD_ARGUMENTS", "Neither structure nor types have been provided for external table %s. Use fields %s_structure or %s_types to do so.",
			e.name, e.name, e.name)
	}
	if _, _, err := c.query(fmt.Sprintf("CREATE TEMPORARY TABLE %s (%s) ENGINE = Memory", name, e.structure), "Null", nil); err != nil {
		return err
	}
	_, err := c.insert("INSERT INTO "+name, e.format, nil, e.data)
	return err
}
