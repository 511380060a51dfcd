package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// nobody is the user as whom nginx and HAProxy run if the harness is root.
const nobody = 65534

// startInstalled starts nginx or HAProxy, in the foreground and without
// privileges. The error wraps exec.ErrNotFound if it is not installed.
func (b *bench) startInstalled(ctx context.Context, name string, u *upstream) (*contender, error) {
	binary, err := findProgram(name)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return nil, fmt.Errorf("make the directory of %s: %w", name, err)
	}
	file := filepath.Join(dir, name+".conf")
	text, args := nginxConfig(dir, addr, u), []string{"-c", file, "-p", dir, "-e", "stderr"}
	if name == nameHAProxy {
		text, args = haproxyConfig(addr, u), []string{"-f", file, "-db", "-q"}
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write the configuration of %s: %w", name, err)
	}
	cmd := exec.Command(binary, args...)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			return nil, fmt.Errorf("give its directory to %s: %w", name, err)
		}
	}
	p, err := startProcess(b.dir, name, cmd)
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, func(ctx context.Context) error { return warmUp(ctx, addr, 1) }); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return &contender{process: p, name: name, addr: addr}, nil
}

// findProgram looks where Debian puts daemons as well.
func findProgram(name string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// nginxConfig forwards as a streaming proxy must: without buffering answers. It
// is one process, and a prompt of 100 kB fits its buffer. It does not speak
// HTTP/2 upstream.
func nginxConfig(dir, addr string, u *upstream) string {
	scheme, host, _ := strings.Cut(u.url, "://")
	return fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr warn;
worker_rlimit_nofile 8192;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	client_body_buffer_size 256k;
	client_max_body_size 0;
	keepalive_requests 1000000;
	upstream openrouter {
		server %[3]s;
		keepalive 1024;
		keepalive_requests 1000000;
	}
	server {
		listen %[2]s backlog=2048;
		location / {
			proxy_pass %[4]s://openrouter;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host openrouter.ai;
			proxy_buffering off;
			proxy_read_timeout 600s;
		}
	}
}
`, dir, addr, host, scheme)
}

// haproxyConfig reuses connections, as all the others do.
func haproxyConfig(addr string, u *upstream) string {
	server := "server openrouter " + u.host() + " maxconn 4096"
	if u.caFile != "" {
		server += " ssl alpn h2 verify required ca-file " + u.caFile
	}
	return fmt.Sprintf(`global
	maxconn 8192
defaults
	mode http
	timeout connect 10s
	timeout client 600s
	timeout server 600s
	option http-no-delay
	http-reuse always
frontend clients
	bind %s backlog 2048
	default_backend openrouter
backend openrouter
	%s
`, addr, server)
}
