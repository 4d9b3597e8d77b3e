package batch

// Origin is a run of consecutive rows of a batch that came from one request. Its JSON is part of dead letters.
type Origin struct {
	// Request is the request's index among those that the batch has rows of. It means nothing outside of the process.
	Request int `json:"-"`
	// Tenant, Producer, Epoch and Sequence name the request.
	Tenant   string `json:"tenant,omitempty"`
	Producer string `json:"producer"`
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// ShardID is the shard id of the rows.
	ShardID string `json:"shard_id"`
	// Rows is the number of rows.
	Rows int `json:"rows"`
}

// OriginsOf returns the origins of some of the rows, in order.
func OriginsOf(origins []Origin, rows RowSet) []Origin {
	var theirs []Origin
	start := 0
	for _, o := range origins {
		end, size := start+o.Rows, 0
		for len(rows) > 0 && rows[0].From < end {
			size += max(0, min(rows[0].To, end)-max(rows[0].From, start))
			if rows[0].To > end {
				break
			}
			rows = rows[1:]
		}
		if size > 0 {
			o.Rows = size
			theirs = append(theirs, o)
		}
		start = end
	}
	return theirs
}
