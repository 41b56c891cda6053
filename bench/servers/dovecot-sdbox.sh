#!/usr/bin/env bash
# Dovecot with its mail in sdbox.
BENCH_FORMAT=sdbox exec "$(dirname "$0")/dovecot.sh" "$@"
