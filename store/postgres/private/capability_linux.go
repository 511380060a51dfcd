package private

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// keepPassThrough lets a child that is no longer root pass through closed folders,
// such as /root or a temporary folder of root's, on the way to its own: it
// keeps the one capability of root's that allows that. It reports whether
// there is one to keep; containers often have only the second.
func keepPassThrough(attr *syscall.SysProcAttr) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	for _, capability := range []uintptr{unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE} {
		if data[0].Effective&(1<<capability) != 0 {
			attr.AmbientCaps = []uintptr{capability}
			return true
		}
	}
	return false
}
