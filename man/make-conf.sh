#!/bin/sh
# make-conf.sh RESTANTE HEAD: restante.conf(5) on standard output.
set -e
cat "$2"
"$1" settings --config /dev/null | awk '
	# Words in lines of up to 76 columns; none may begin a request.
	function fill(text, n, w, i, line) {
		n = split(text, w, " ")
		line = ""
		for (i = 1; i <= n; i++) {
			if (line != "" && length(line) + length(w[i]) > 75) {
				print line
				line = ""
			}
			line = line (line == "" ? "" : " ") w[i]
		}
		print line
	}
	/^# / { doc = substr($0, 3); next }
	/^#?[a-z0-9_]+ =/ {
		line = $0; sub(/^#/, "", line)
		name = line; sub(/ =.*/, "", name)
		value = line; sub(/^[^=]*= ?/, "", value)
		printf ".It Sy %s%s\n", name, value == "" ? "" : " No = " value
		fill(toupper(substr(doc, 1, 1)) substr(doc, 2) ".")
	}'
printf '.El\n.Sh SEE ALSO\n.Xr restante 1 ,\n.Xr restante-serve 8\n'
