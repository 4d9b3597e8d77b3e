package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/server/access"
)

const referenceFile = "../../../../docs/logbatcher.yaml"

// TestReference keeps docs/logbatcher.yaml complete: every setting is in it, nothing else is, and its values
// are the defaults.
func TestReference(t *testing.T) {
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(t.Context(), referenceFile, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings.All(Default()) {
		if _, written := c.origins[s.Path]; !written {
			t.Errorf("%s is not in the reference", s.Path)
		}
	}
	for _, element := range []any{&Column{}, &Route{}, &schema.Retention{}, &schema.Index{}, &ErrorClass{}, &access.Tenant{}} {
		for _, f := range settings.Fields(reflect.ValueOf(element).Elem(), "") {
			if !regexp.MustCompile(`(?m)^[ #-]*` + f.Key + `:`).Match(data) {
				t.Errorf("%T: %s is not in the reference", element, f.Key)
			}
		}
	}
	routes, _ := c.Routes()
	if want := schema.DefaultRoute("default"); !reflect.DeepEqual(routes, []*schema.Route{want}) {
		t.Errorf("the route is not the firehose:\n%+v %+v\n%+v %+v", routes[0], routes[0].Table, want, want.Table)
	}
	route := defaultRoute()
	written := c.RouteList[0]
	if written.MaxAge != route.MaxAge || written.MaxAhead != route.MaxAhead || written.OnTimeOutOfRange != route.OnTimeOutOfRange ||
		written.Retention != route.Retention || written.HoldFor != route.HoldFor || written.TTL != route.TTL {
		t.Errorf("the route's values are not the defaults: %+v", written)
	}
	c.ColumnList, c.RouteList, c.origins = nil, nil, nil
	c.ClickHouse.ErrorClasses = nil
	if want := Default(); !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

// TestReferenceChoices keeps the choices of a setting in its comment.
func TestReferenceChoices(t *testing.T) {
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	c, err := Load(t.Context(), referenceFile, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings.All(Default()) {
		end := c.origins[s.Path].line - 1
		start := end
		for start > 0 && strings.HasPrefix(strings.TrimSpace(lines[start-1]), "#") {
			start--
		}
		comment := strings.Join(lines[start:end], " ")
		if start == end {
			t.Errorf("%s has no comment", s.Path)
		}
		for _, choice := range append(slices.Clone(s.Choices()), s.Max()) {
			if choice != "" && !strings.Contains(comment, choice) {
				t.Errorf("the comment of %s does not say %s: %s", s.Path, choice, comment)
			}
		}
	}
}
