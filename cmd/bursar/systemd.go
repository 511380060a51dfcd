package main

import (
	"net"
	"os"
	"strconv"
)

// notifySystemd tells systemd how this process stands, if it has asked to be
// told (Type=notify): see sd_notify(3).
func (p *program) notifySystemd(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		defer conn.Close()
		_, err = conn.Write([]byte(state))
	}
	if err != nil {
		p.log.Warn().Err(err).Str("state", state).Msg("systemd could not be told")
	}
}

// notifyMainPID tells systemd that another process is the service now.
func (p *program) notifyMainPID(pid int) { p.notifySystemd("MAINPID=" + strconv.Itoa(pid)) }
