//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/logbatcher/logbatcher/bench/internal/rig"
)

// outage measures what the write-ahead log is for, and prints it. Rows are sent while ClickHouse is away, until all are logged; then the
// gateway is killed, ClickHouse comes back, and another gateway takes up the log.
func outage(ctx context.Context, s *rig.Rig, v *variant, database string) (err error) {
	templates := rig.Templates(rig.Shape{Batch: v.batch, Entries: v.entries, Routes: v.routes, Colos: v.colos})
	settings := configuration(s, v, database)
	gateway, err := s.StartGateway(ctx, v.binary, database, settings)
	if err != nil {
		return err
	}
	// The first tenth is committed, so that the memory before the outage is that of a gateway at work.
	first := v.rows / 10
	load := rig.Load{Rows: first, Streams: v.streams, Entries: v.entries, RowsPerSecond: v.rowsPerSecond, Templates: templates}
	streams, err := rig.NewStreams(gateway, load)
	if err != nil {
		return err
	}
	if err := errors.Join(streams.Write(ctx), streams.Disconnect()); err != nil {
		return errors.Join(err, gateway.Close())
	}
	before, err := gateway.Memory()
	if err != nil {
		return errors.Join(err, gateway.Close())
	}

	if err := s.Away(ctx); err != nil {
		return errors.Join(err, gateway.Close())
	}
	load.First, load.Rows, load.Logged = first, v.rows, true
	began := time.Now()
	if streams, err = rig.NewStreams(gateway, load); err == nil {
		err = errors.Join(streams.Write(ctx), streams.Disconnect())
	}
	took := time.Since(began)
	peak, memoryErr := gateway.PeakMemory()
	log, logErr := sizeOf(filepath.Join(s.Folder, database+".wal"))
	if err := errors.Join(err, memoryErr, logErr, gateway.Kill()); err != nil {
		return err
	}
	rows := v.rows - first
	fmt.Printf("%s: ClickHouse was away for %s: %d rows logged, %.0f rows/s, log %d MiB (%.0f bytes a row), memory %d MiB before, %d MiB at most\n",
		v.name, took.Round(time.Second), rows, float64(rows)/took.Seconds(), log>>20, float64(log)/float64(rows), before>>20, peak>>20)

	if err := s.Back(ctx); err != nil {
		return err
	}
	began = time.Now()
	if gateway, err = s.StartGateway(ctx, v.binary, database, settings); err != nil {
		return err
	}
	serving := time.Since(began)
	stored, err := s.Await(ctx, database, v.rows)
	if err = errors.Join(err, gateway.Close()); err != nil {
		return err
	}
	fmt.Printf("%s: killed and started again: serving after %s, all rows in the table after %s; lost 0, doubled 0\n",
		v.name, serving.Round(10*time.Millisecond), stored.Sub(began).Round(10*time.Millisecond))
	return nil
}

// sizeOf returns the bytes in the files of a folder.
func sizeOf(folder string) (bytes int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) || err == nil && entry.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes, err
}
