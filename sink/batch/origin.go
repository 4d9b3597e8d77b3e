package batch

// Origin is a run of consecutive rows of a batch that came from one request.
type Origin struct {
	// Producer, Epoch and Sequence name the request.
	Producer        string
	Epoch, Sequence uint64
	// ShardID is the shard id of the rows.
	ShardID string
	// Rows is how many.
	Rows int
}
