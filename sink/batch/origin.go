package batch

// Origin is a run of consecutive rows of a batch that came from one request.
type Origin struct {
	// Producer, Epoch and Sequence name the request.
	Producer string `json:"producer"`
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// ShardID is the shard id of the rows.
	ShardID string `json:"shard_id"`
	// Rows is the number of rows.
	Rows int `json:"rows"`
}
