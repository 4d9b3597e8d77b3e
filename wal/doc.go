// Package wal is a write-ahead log: records that are on disk before anybody is told so, and files for batches beside them.
//
// Records go in as a kind and bytes, get numbers (LSN) in the order in which they are appended, and come back in that order after a
// crash. What they mean is up to the caller, as is what a batch file holds. A checkpoint sums up all records before an LSN, so that
// segments of the log can be deleted.
//
// What always holds:
//   - Sync returns, and Config.Durable is called, only after an fsync that covers the record succeeded. After a failed fsync the
//     records are written again, to another file.
//   - The records that Scan returns are those that were appended, in order. A record is missing only if the disk damaged it, which is
//     counted, or if it was never durable, and then all behind it are missing too.
//   - Create, Note, SaveCheckpoint and PutConfig return once file and folder are on disk.
//   - Nothing is written behind bytes that may be torn, and nothing damaged is deleted: it is set aside in the folder "damaged".
//   - A full or failing disk ends nothing. Producers wait or are refused, and the log goes on when the disk does.
//
// A Log has one goroutine, the syncer, from Start to Close. It takes whatever has been appended, writes it with one write and one fsync,
// and begins again: an idle disk syncs a record at once, and a busy one gathers records by itself.
//
// It is our own because no library does the whole: group commit, a torn tail told from damage, damage in the middle set aside, a bound
// on the disk, and survival of a full disk and of a failed fsync. The nearest, the package wal of github.com/cockroachdb/pebble, has no
// bound, no LSN and no way on after damage or a failed fsync, and brings 55 repositories. Three of its ideas are used here: each record
// carries the offset that was durable when it was written, which tells damage from a torn tail; the number of a segment is part of its
// records' checksums; and all operations on files go through a small interface (FS), so that package crashfs can produce the disk
// after a crash at any of them.
//
// docs/wal.md has the format byte by byte, the recovery step by step, and what is assumed of disks.
package wal
