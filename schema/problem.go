package schema

// Problem is an error in the configuration.
type Problem struct {
	// Path is the path of the setting, such as "routes[2].filter.all[0].body.matches".
	Path string
	// Message describes what is wrong and what would be right.
	Message string
}

// Error returns path and message.
func (p Problem) Error() string { return p.Path + ": " + p.Message }
