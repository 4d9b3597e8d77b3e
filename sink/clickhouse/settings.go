package clickhouse

import "github.com/logbatcher/logbatcher/sink"

// insertSetting is a setting that every insert carries, against whatever the user's profile says.
type insertSetting struct {
	name, value string
	// required says that the gateway can't keep its promises on a server that does not know the setting.
	required bool
	reason   string
}

// insertSettings make an insert one part or nothing, and its token count. Those that a server does not know are left
// out: a server refuses an insert with an unknown one.
var insertSettings = []insertSetting{
	{"async_insert", "0", false, "an asynchronous insert is merged with others and split again"},
	{"insert_deduplicate", "1", false, "tokens count"},
	{"deduplicate_insert", "enable", false, "tokens count; takes the place of insert_deduplicate since 26.2"},
	{"max_partitions_per_insert_block", "1", true, "a batch that is not one part is refused"},
	{"throw_on_max_partitions_per_insert_block", "1", true, "and not only logged"},
	{"insert_deduplication_token", "", true, "the batch's token; set for each attempt"},
	// Measured on 26.7: with use_strict_insert_block_limits=1 in the profile, 1 500 000 rows in one Native block become 59 parts
	// at max_insert_block_size=10000, and 9 with max_insert_block_size_bytes. Without it a Native block is never split.
	{"use_strict_insert_block_limits", "0", false, "a block is not split"},
	{"max_insert_block_size", "1000000000", false, "nor by an older or newer reading of this one"},
	{"max_insert_block_size_bytes", "0", false, "nor by bytes"},
	{"input_format_parallel_parsing", "0", false, "a block is read as it is"},
	{"optimize_on_insert", "0", false, "a Replacing or Summing engine does not merge rows of the block away before Present has counted them"},
}

// waitEndOfQuery makes the server answer with the status only when it knows the outcome. It is a parameter of
// the HTTP interface, not a setting.
const waitEndOfQuery = "wait_end_of_query"

// parameters returns the URL parameters of one attempt.
func (s *Sink) parameters(known map[string]bool, a sink.Attempt) insertParameters {
	p := insertParameters{waitEndOfQuery: "1", "query_id": a.QueryID}
	for _, setting := range insertSettings {
		if known[setting.name] {
			p[setting.name] = setting.value
		}
	}
	p["insert_deduplication_token"] = a.Token
	if s.config.Compression != CompressNone {
		p["decompress"] = "1"
	}
	return p
}
