#!/usr/bin/env bash
# The adapter of restante: see bench/servers/README.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
bin=${RESTANTE_BUILD:-$here/build-release}/src/cli/restante
data=$BENCH_DIR/data
p=$BENCH_PORT

running() { [ -f "$BENCH_DIR/pid" ] && kill -0 "$(cat "$BENCH_DIR/pid")" 2>/dev/null; }

start() {
	running && return
	mkdir -p "$data"
	chmod 711 "$BENCH_DIR"
	if [ ! -f "$BENCH_DIR/users" ]; then
		for ((i = 0; i < BENCH_USERS; i++)); do
			if [ "${BENCH_HASH:-plain}" = default ]; then
				echo bench | "$bin" user add u$i --password-stdin \
					--data "$data" >/dev/null
			fi
			echo "u$i:{PLAIN}bench"
		done >"$BENCH_DIR/users"
		[ "${BENCH_HASH:-plain}" = default ] ||
			"$bin" user import "$BENCH_DIR/users" --data "$data" >/dev/null
	fi
	own=()
	if [ "$(id -u)" = 0 ]; then
		# The build folder may not be open to the users of an installation.
		own=(--set user_mail= --set user_front= --set user_auth= --set user_keys=)
	fi
	ulimit -n "$(ulimit -Hn)"
	"$bin" serve --data "$data" --imap 127.0.0.1:$p --imaps 127.0.0.1:$((p + 1)) \
		--pop3 127.0.0.1:$((p + 2)) --pop3s 127.0.0.1:$((p + 3)) \
		--lmtp 127.0.0.1:$((p + 4)) "${own[@]}" \
		--set connections_max=60000 --set connections_per_account=60000 \
		--set connections_per_address=60000 \
		>>"$BENCH_DIR/log" 2>&1 </dev/null &
	echo $! >"$BENCH_DIR/pid"
	for ((i = 0; i < 200; i++)); do
		(exec 3<>/dev/tcp/127.0.0.1/$p && read -r -t 2 <&3) 2>/dev/null && return
		running || break
		sleep 0.05
	done
	tail -5 "$BENCH_DIR/log" >&2
	exit 1
}

stop() {
	running || return 0
	kill "$(cat "$BENCH_DIR/pid")"
	for ((i = 0; i < 600; i++)); do
		running || return 0
		sleep 0.05
	done
	echo "restante does not end" >&2
	exit 1
}

case $1 in
start) start ;;
stop) stop ;;
restart) stop; start ;;
wipe) stop; rm -rf "$BENCH_DIR" ;;
pids) cat "$BENCH_DIR/pid" ;;
ports) echo "--imap $p --imaps $((p + 1)) --pop3 $((p + 2)) --pop3s $((p + 3)) --lmtp $((p + 4))" ;;
version) "$bin" --version | head -1 ;;
store) echo "$data" ;;
*) exit 64 ;;
esac
