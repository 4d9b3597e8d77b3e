package batch

// writeHeader writes the header of a Native block.
func (l *Layout) writeHeader(w *blockWriter, rows int) {
	w.buffer.PutInt(len(l.projections))
	w.buffer.PutInt(rows)
}

// writeColumnHeader writes the header of a column.
func (p *projection) writeColumnHeader(w *blockWriter) {
	w.buffer.PutString(p.Name)
	w.buffer.PutString(p.typeText)
}

// write encodes the rows as one Native block, column by column.
func (b *Batch) write(w *blockWriter) {
	b.layout.writeHeader(w, b.rows)
	for i, column := range b.columns.list {
		b.layout.projections[i].writeColumnHeader(w)
		if b.rows > 0 {
			column.write(w)
		}
	}
}
