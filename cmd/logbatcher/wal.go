package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/journal"
)

func newWALCommand() *cobra.Command {
	command := &cobra.Command{Use: "wal", Short: "Look at the write-ahead log, check and repair it"}
	inspect := &cobra.Command{Use: "inspect [FOLDER]", Short: "Print what is in the log",
		Long: "Print what is in the write-ahead log: segments with their records by kind, the checkpoint, and the files of sealed batches.\n" +
			"Nothing is changed, and the service may be running. Without FOLDER it is that of the configuration."}
	records := inspect.Flags().Bool("records", false, "print each record, and what the checkpoint and the files say")
	verify := &cobra.Command{Use: "verify [FOLDER]", Short: "Read all of the log, and name what is damaged",
		Long: "Read all of the write-ahead log and check all checksums. It exits with status 1 and names what is damaged, if anything is.\n" +
			"Nothing is changed, and the service may be running. Without FOLDER it is that of the configuration."}
	repair := &cobra.Command{Use: "repair [FOLDER]", Short: "Set aside what is damaged, so that the service starts",
		Long: "Set aside what is damaged or does not belong to the write-ahead log, and print what is lost. The service must be stopped.\n" +
			"It does the same by itself when it starts, but for segments of another log and a lost id, which an operator should have a look at.\n" +
			"Nothing is deleted: what is set aside is in the folder 'damaged' of the log. Without FOLDER it is that of the configuration."}
	for below, run := range map[*cobra.Command]func(out io.Writer, config wal.Config) error{
		inspect: func(out io.Writer, config wal.Config) error { return inspectLog(out, config, *records) }, verify: verifyLog, repair: repairLog,
	} {
		load := addConfigFlags(below)
		below.Args = cobra.MaximumNArgs(1)
		below.RunE = func(command *cobra.Command, arguments []string) error {
			loaded, err := load(command.Context())
			if err != nil {
				return err
			}
			config := loaded.WAL.Config.Config
			if len(arguments) > 0 {
				config.Dir = arguments[0]
			}
			return run(command.OutOrStdout(), config)
		}
		command.AddCommand(below)
	}
	return command
}

// kinds counts records by kind.
type kinds map[uint8]int

// String returns the numbers, as in "480 request, 3 settled".
func (k kinds) String() string {
	var parts []string
	for kind, n := range k {
		parts = append(parts, fmt.Sprintf("%d %s", n, journal.KindName(kind)))
	}
	slices.SortFunc(parts, func(a, b string) int {
		return strings.Compare(a[strings.IndexByte(a, ' '):], b[strings.IndexByte(b, ' '):])
	})
	return strings.Join(parts, ", ")
}

// readLog opens a log, only to be read, and reads all of it.
func readLog(config wal.Config) (l *wal.Log, bySegment map[uint64]kinds, report wal.Report, files []*wal.File, err error) {
	config.ReadOnly = true
	if l, err = wal.Open(config); err != nil {
		return nil, nil, report, nil, err
	}
	bySegment = map[uint64]kinds{}
	report, err = l.Scan(func(r wal.Record) error {
		if bySegment[r.Segment] == nil {
			bySegment[r.Segment] = kinds{}
		}
		bySegment[r.Segment][r.Kind]++
		return nil
	})
	if err == nil {
		files, err = l.Files()
	}
	if err != nil {
		l.Close()
	}
	return l, bySegment, report, files, err
}

// size prints bytes for people.
func size(bytes int64) string { return humanize.IBytes(uint64(bytes)) }

func inspectLog(out io.Writer, config wal.Config, records bool) error {
	l, bySegment, report, files, err := readLog(config)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintf(out, "log %s in %s\n", l.ID(), config.Dir)
	if payload, at := l.Checkpoint(); at > 0 {
		fmt.Fprintf(out, "checkpoint of the records before %d, %s; records from %d on are still needed\n", at, size(int64(len(payload))), l.Keep())
		if records {
			fmt.Fprintf(out, "  %s\n", journal.DescribeCheckpoint(payload))
		}
	} else {
		fmt.Fprintln(out, "no checkpoint")
	}
	fmt.Fprintf(out, "%d records that are needed, %s; the next one is %d\n", report.Records, size(report.Bytes), report.Next)
	for _, s := range l.Segments() {
		switch counts := bySegment[s.Number]; {
		case s.Bytes == 0:
			fmt.Fprintf(out, "  %s  never counted\n", s.Name)
		case counts == nil:
			fmt.Fprintf(out, "  %s  %8s  from record %d on; none is needed\n", s.Name, size(s.Bytes), s.First)
		default:
			fmt.Fprintf(out, "  %s  %8s  from record %d on: %s\n", s.Name, size(s.Bytes), s.First, counts)
		}
	}
	if records {
		err := l.Read(l.Keep(), func(r wal.Record) error {
			_, err := fmt.Fprintf(out, "  record %d, %s: %s\n", r.LSN, journal.KindName(r.Kind), journal.Describe(r.Kind, r.Payload))
			return err
		})
		if err != nil {
			return err
		}
	}
	if report.Torn > 0 {
		fmt.Fprintf(out, "  the last one ends with %s of records that are being written, or were when the process or the machine stopped\n", size(report.Torn))
	}
	var bytes int64
	for _, f := range files {
		bytes += f.Size()
	}
	fmt.Fprintf(out, "%d files of batches and dead letters, %s\n", len(files), size(bytes))
	for _, f := range files {
		fmt.Fprintf(out, "  %s  %8s  %d notes\n", f.ID(), size(f.Size()), len(f.Notes()))
		if records {
			fmt.Fprintf(out, "    %s\n", journal.DescribeFile(f.Head()))
		}
	}
	configs, err := l.Configs()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d configurations of routing\n", len(configs))
	for _, hash := range configs {
		fmt.Fprintf(out, "  %s\n", hash)
	}
	printDamage(out, l.Damage(), report.Lost)
	return nil
}

// printDamage prints what is damaged and lost, and returns an error if anything is.
func printDamage(out io.Writer, damage []wal.Damage, lost uint64) error {
	for _, d := range damage {
		fmt.Fprintf(out, "damaged: %v\n", d)
	}
	if lost > 0 {
		fmt.Fprintf(out, "lost: %d records that were durable\n", lost)
	}
	if len(damage) > 0 || lost > 0 {
		return fmt.Errorf("the write-ahead log is damaged in %d places; %d records are lost", len(damage), lost)
	}
	return nil
}

func verifyLog(out io.Writer, config wal.Config) error {
	l, _, report, files, err := readLog(config)
	if err != nil {
		return err
	}
	defer l.Close()
	damage := l.Damage()
	configs, err := l.Configs()
	if err != nil {
		return err
	}
	for _, hash := range configs {
		if _, err := l.Config(hash); err != nil {
			damage = append(damage, wal.Damage{File: "config/" + hash, What: err.Error()})
		}
	}
	fmt.Fprintf(out, "read %d records and %d files of log %s\n", report.Records, len(files), l.ID())
	return printDamage(out, damage, report.Lost)
}

func repairLog(out io.Writer, config wal.Config) error {
	config.Repair = true
	l, err := wal.Open(config)
	if err != nil {
		return err
	}
	defer l.Close()
	report, err := l.Scan(func(wal.Record) error { return nil })
	if err != nil {
		return err
	}
	files, err := l.Files()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d records and %d files of log %s are good\n", report.Records, len(files), l.ID())
	if printDamage(out, l.Damage(), report.Lost) == nil {
		fmt.Fprintln(out, "nothing is damaged")
	}
	return nil
}
