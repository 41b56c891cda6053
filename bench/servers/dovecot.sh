#!/usr/bin/env bash
# The adapter of Debian's Dovecot 2.3; BENCH_FORMAT is maildir or sdbox. See
# bench/servers/README. Configured for many users: several clients a process,
# hibernation, limits that are never met, one process each of auth and of the
# login services beside a core; mail_fsync as it comes, which does not flush
# flags, or as BENCH_FSYNC says.
set -euo pipefail
p=$BENCH_PORT
mail=$BENCH_DIR/mail
conf=$BENCH_DIR/dovecot.conf
dovecot=/usr/sbin/dovecot
inotify=/proc/sys/fs/inotify/max_user_instances

configure() {
	mkdir -p "$BENCH_DIR/run" "$mail"
	local me=dovemail group=dovemail login=dovenull internal=dovecot
	if [ "$(id -u)" != 0 ]; then
		me=$(id -un) group=$(id -gn) login=$me internal=$me
	else
		id -u $me >/dev/null 2>&1 || useradd --system --no-create-home \
			--shell /usr/sbin/nologin $me
	fi
	chmod 711 "$BENCH_DIR"
	chown $me:$group "$mail"
	local hash={PLAIN}bench
	[ "${BENCH_HASH:-plain}" = plain ] || hash=$(doveadm -O pw -p bench)
	for ((i = 0; i < BENCH_USERS; i++)); do
		echo "u$i:$hash::::::"
	done >"$BENCH_DIR/users"
	[ -f "$BENCH_DIR/cert.pem" ] || openssl req -x509 -newkey ec \
		-pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
		-keyout "$BENCH_DIR/key.pem" -out "$BENCH_DIR/cert.pem" 2>/dev/null
	local at="$mail/%u"
	case $BENCH_FORMAT in
	maildir) at="maildir:$at" ;;
	sdbox) at="sdbox:$at" ;;
	esac
	cat >"$conf" <<CONF
protocols = imap pop3 lmtp
listen = 127.0.0.1
base_dir = $BENCH_DIR/run
state_dir = $BENCH_DIR/run
log_path = $BENCH_DIR/log
instance_name = bench-$BENCH_FORMAT-$p
default_internal_user = $internal
default_internal_group = $group
default_login_user = $login
default_process_limit = 2000
default_client_limit = 70000
default_vsz_limit = 2G
first_valid_uid = 1
mail_uid = $me
mail_gid = $group
mail_location = $at
mail_home = $mail/%u
mail_max_userip_connections = 0
mail_always_cache_fields =
mail_fsync = ${BENCH_FSYNC:-optimized}
imap_hibernate_timeout = 5s
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 10M
passdb {
  driver = passwd-file
  args = $BENCH_DIR/users
}
userdb {
  driver = static
  args = uid=$me gid=$group home=$mail/%u
}
ssl = yes
ssl_cert = <$BENCH_DIR/cert.pem
ssl_key = <$BENCH_DIR/key.pem
service anvil {
  client_limit = 70000
}
service auth {
  client_limit = 70000
  unix_listener auth-userdb {
    user = $me
  }
}
service imap-login {
  inet_listener imap {
    port = $p
  }
  inet_listener imaps {
    port = $((p + 1))
  }
  chroot =
  service_count = 0
  process_min_avail = $(nproc)
  process_limit = $(nproc)
}
service pop3-login {
  inet_listener pop3 {
    port = $((p + 2))
  }
  inet_listener pop3s {
    port = $((p + 3))
  }
  chroot =
  service_count = 0
  process_min_avail = $(nproc)
  process_limit = $(nproc)
}
service imap {
  client_limit = 10
  service_count = 0
  # Those whose clients hibernate go soon.
  idle_kill = 2s
  process_min_avail = $(nproc)
  unix_listener imap-master {
    user = $internal
  }
  extra_groups = $group
}
service imap-hibernate {
  client_limit = 70000
  unix_listener imap-hibernate {
    mode = 0660
    group = $group
  }
}
service pop3 {
  client_limit = 10
  service_count = 0
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = $((p + 4))
  }
  client_limit = 1
  service_count = 0
  process_min_avail = $(nproc)
}
protocol lmtp {
  postmaster_address = postmaster@example.org
}
CONF
	if [ "$(id -u)" != 0 ]; then
		# Nobody else's processes can be started: no chroot, no other user.
		sed -i 's/^  extra_groups.*//' "$conf"
	fi
}

running() { [ -f "$BENCH_DIR/run/master.pid" ] && kill -0 "$(cat "$BENCH_DIR/run/master.pid")" 2>/dev/null; }

start() {
	running && return
	[ -x $dovecot ] || { echo "no Dovecot: script/setup bench" >&2; exit 69; }
	configure
	ulimit -n "$(ulimit -Hn)"
	# Each watched mailbox takes an inotify instance, and without one there
	# is no hibernation: raised as an administrator would, and put back.
	if [ -w $inotify ] && [ "$(cat $inotify)" -lt 65536 ]; then
		cat $inotify >"$BENCH_DIR/inotify"
		echo 65536 >$inotify
	fi
	$dovecot -c "$conf" >>"$BENCH_DIR/out" 2>&1 </dev/null
	for ((i = 0; i < 200; i++)); do
		(exec 3<>/dev/tcp/127.0.0.1/$p && read -r -t 2 <&3) 2>/dev/null && return
		sleep 0.05
	done
	tail -5 "$BENCH_DIR/out" "$BENCH_DIR/log" >&2
	exit 1
}

stop() {
	if [ -f "$BENCH_DIR/inotify" ]; then
		cat "$BENCH_DIR/inotify" >$inotify
		rm "$BENCH_DIR/inotify"
	fi
	running || return 0
	kill "$(cat "$BENCH_DIR/run/master.pid")"
	for ((i = 0; i < 600; i++)); do
		running || return 0
		sleep 0.05
	done
	echo "Dovecot does not end" >&2
	exit 1
}

case $1 in
start) start ;;
stop) stop ;;
restart) stop; start ;;
wipe) stop; rm -rf "$BENCH_DIR" ;;
pids) cat "$BENCH_DIR/run/master.pid" ;;
ports) echo "--imap $p --imaps $((p + 1)) --pop3 $((p + 2)) --pop3s $((p + 3)) --lmtp $((p + 4))" ;;
version) echo "Dovecot $($dovecot --version), $BENCH_FORMAT" ;;
store) echo "$mail" ;;
*) exit 64 ;;
esac
