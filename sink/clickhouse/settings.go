package clickhouse

import (
	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// setting is sent with every statement, whatever the user's profile or a release's defaults say.
type setting struct {
	name, value string
	// required is true if promises can't be kept on a server that does not know the setting.
	required bool
	reason   string
}

// tokenSetting is set to the batch's token for each attempt.
const tokenSetting = "insert_deduplication_token"

// conversionSetting is on only if the table's columns are wider than the batch's; see insertFitting.
const conversionSetting = "input_format_native_allow_types_conversion"

// insertSettings make an insert one part or nothing, store the values that were sent, and make its token count. Those that a
// server does not know are left out, since it would refuse the insert. docs/clickhouse.md lists them.
var insertSettings = []setting{
	{"async_insert", "0", false, "an asynchronous insert is merged with others and split again, and may be acknowledged before it is stored"},
	{"wait_for_async_insert", "1", false, "no early acknowledgement where a server makes the insert asynchronous anyway"},
	{"insert_deduplicate", "1", false, "deduplication tokens count"},
	{"deduplicate_insert", "enable", false, "deduplication tokens count; replaces insert_deduplicate since 26.2"},
	{tokenSetting, "", true, "the block's deduplication token"},
	{"max_partitions_per_insert_block", "1", true, "a block that would become several parts is refused"},
	{"throw_on_max_partitions_per_insert_block", "1", true, "refused, not just logged"},
	// Measured on 26.7: with use_strict_insert_block_limits=1 in the profile, 1 500 000 rows in one Native block become 59 parts
	// at max_insert_block_size=10000, and 9 with max_insert_block_size_bytes. Without it a Native block is never split.
	{"use_strict_insert_block_limits", "0", false, "a block is not split"},
	{"max_insert_block_size", "1000000000", false, "not even by an older or newer reading of this setting"},
	{"max_insert_block_size_bytes", "0", false, "nor by its bytes"},
	{"input_format_max_block_size_bytes", "0", false, "nor while it is read"},
	{"input_format_max_block_wait_ms", "0", false, "nor because the rest of it arrives late"},
	{"input_format_parallel_parsing", "0", false, "a block is read as one piece"},
	{"optimize_on_insert", "0", false, "a Replacing or Summing engine must not merge rows of the block before they are counted"},
	{conversionSetting, "0", true, "a block whose column has another type than the table's is refused; the default converts it, 300 to 44 for a UInt8"},
	{"input_format_native_decode_types_in_binary_format", "0", false, "types are sent as text"},
	{"low_cardinality_allow_in_native_format", "1", false, "LowCardinality is sent as it is"},
	{"input_format_null_as_default", "0", false, "NULL for a column that is not Nullable is refused; the default stores the column's default value"},
	{"input_format_force_null_for_omitted_fields", "0", false, "columns that the route lacks get their own default"},
	{"input_format_defaults_for_omitted_fields", "1", false, "and its expression, not the type's zero"},
	{"input_format_skip_unknown_fields", "0", false, "a column that the table lacks is an error; its values are not dropped"},
	{"insert_allow_materialized_columns", "0", false, "a column that the table computes is an error; ours does not replace it"},
	{"input_format_allow_errors_num", "0", false, "no row is skipped because it can't be read"},
	{"input_format_allow_errors_ratio", "0", false, "nor a share of the rows"},
	{"input_format_connection_handling", "0", false, "what arrived before the connection broke is not stored as if it were everything"},
	{"http_native_compression_disable_checksumming_on_decompress", "0", false, "a compressed block that was damaged on the way is refused"},
	{"timeout_overflow_mode", "throw", false, "an insert that exceeds the profile's max_execution_time is an error; with break, the rest of it is dropped and acknowledged"},
	{"read_overflow_mode", "throw", false, "the same for max_rows_to_read and max_bytes_to_read"},
	{"materialized_views_ignore_errors", "0", false, "a failing view is an error, so that it is reported"},
	{"send_progress_in_http_headers", "0", false, "the status is sent once the outcome is known"},
}

// querySettings keep the answer to a query complete. A missing row would have a batch sent twice, or a table altered needlessly.
var querySettings = []setting{
	{"use_query_cache", "0", false, "a cached answer may be a minute old"},
	{"use_query_condition_cache", "0", false, "what an earlier query ruled out may have changed"},
	{"timeout_overflow_mode", "throw", false, "a query that exceeds the profile's limit is an error, not a partial answer"},
	{"timeout_overflow_mode_leaf", "throw", false, "the same on the servers of a cluster"},
	{"read_overflow_mode", "throw", false, "the same for max_rows_to_read and max_bytes_to_read"},
	{"read_overflow_mode_leaf", "throw", false, "the same on the servers of a cluster"},
	{"result_overflow_mode", "throw", false, "the same for max_result_rows and max_result_bytes"},
	{"group_by_overflow_mode", "throw", false, "the same for max_rows_to_group_by"},
	{"distinct_overflow_mode", "throw", false, "the same for max_rows_in_distinct"},
	{"set_overflow_mode", "throw", false, "the same for max_rows_in_set"},
	{"limit", "0", false, "all rows are returned"},
	{"offset", "0", false, "from the first"},
	{"extremes", "0", false, "and no others"},
}

// waitEndOfQuery makes the server send the status only once it knows the outcome. It is a parameter of the HTTP interface, not a
// setting.
const waitEndOfQuery = "wait_end_of_query"

// parameters returns the URL parameters of one attempt.
func parameters(known map[string]bool, b *batch.Block, a sink.Attempt, convert bool) insertParameters {
	p := insertParameters{waitEndOfQuery: "1", "query_id": a.QueryID}
	for _, setting := range insertSettings {
		if known[setting.name] {
			p[setting.name] = setting.value
		}
	}
	p[tokenSetting] = a.Token
	if convert {
		p[conversionSetting] = "1"
	}
	if b.Compression() != batch.Uncompressed {
		p["decompress"] = "1"
	}
	return p
}

// querySettingsFor returns the settings of a query to a server that knows these.
func querySettingsFor(known map[string]bool) clickhouse.Settings {
	settings := clickhouse.Settings{waitEndOfQuery: 1}
	for _, setting := range querySettings {
		if known[setting.name] {
			settings[setting.name] = setting.value
		}
	}
	return settings
}
