#!/bin/sh
# make-conf.sh RESTANTE HEAD: restante.conf(5) on standard output.
set -e
cat "$2"
"$1" settings --config /dev/null | awk '
	/^# / { doc = substr($0, 3); next }
	/^#?[a-z0-9_]+ =/ {
		line = $0; sub(/^#/, "", line)
		name = line; sub(/ =.*/, "", name)
		value = line; sub(/^[^=]*= ?/, "", value)
		printf ".It Sy %s%s\n%s%s.\n", name, value == "" ? "" : " No = " value, toupper(substr(doc, 1, 1)), substr(doc, 2)
	}'
printf '.El\n.Sh SEE ALSO\n.Xr restante 1 ,\n.Xr restante-serve 8\n'
