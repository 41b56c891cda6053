#!/usr/bin/env bash
# Dovecot with its mail in maildir.
BENCH_FORMAT=maildir exec "$(dirname "$0")/dovecot.sh" "$@"
