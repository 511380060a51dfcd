package journal

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// lockHolder is the process that holds the lock on path, 0 if that cannot be
// told: /proc/locks shows only processes of one's own PID namespace.
//
// A lock is recognised by its inode alone, since some file systems (btrfs,
// overlayfs) show another device there than stat does. Of two with the same
// number neither is named.
func lockHolder(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	table, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer table.Close()
	inode, holder := strconv.FormatUint(stat.Ino, 10), 0
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// 4: FLOCK  ADVISORY  WRITE 4711 fe:00:10012483 0 EOF
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5][strings.LastIndexByte(fields[5], ':')+1:] != inode {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		if err != nil || holder != 0 && holder != pid {
			return 0
		}
		holder = pid
	}
	return max(holder, 0)
}
