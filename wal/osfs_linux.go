package wal

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// remote are the file systems that other machines may write to, by the magic numbers of statfs(2). Locks do not hold there, or not
// always, and an fsync may be answered before the disk has the data.
var remote = map[uint32]string{
	0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x00c36400: "Ceph", 0x5346414f: "AFS", 0x6b414653: "AFS",
	0x73757245: "Coda", 0x0bd00bd0: "Lustre", 0x01161970: "GFS2", 0x7461636f: "OCFS2", 0x564c: "NCP", 0xaad7aaea: "PanFS", 0x19830326: "BeeGFS",
}

func local(dir string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("statfs %s: %w", dir, err)
	}
	if name, found := remote[uint32(stat.Type)]; found {
		return fmt.Errorf("%s is on a network file system (%s): a log needs a local disk, where locks hold and an fsync means what it says", dir, name)
	}
	return nil
}

// datasync leaves out times, which nobody needs, and so often a second write.
func datasync(file *os.File) error {
	for {
		if err := unix.Fdatasync(int(file.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// allocate takes blocks. Where the file system can't, the file is sparse.
func allocate(file *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	for {
		switch err := unix.Fallocate(int(file.Fd()), 0, 0, size); {
		case err == unix.EINTR:
		case errors.Is(err, errors.ErrUnsupported):
			return nil
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}
