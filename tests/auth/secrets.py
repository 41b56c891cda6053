#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""R34, the rule of code: where auth handles what must stay secret, bytes are
compared by CRYPTO_memcmp or str_eq_secret alone. Each other comparison there
is listed with what it compares."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "src" / "auth"
FILES = ["schemes.c", "scram.c", "cache.c", "sasl.c"]
CALLS = re.compile(r"(?<![A-Za-z0-9_])(memcmp|strcmp|strncmp|bcmp|str_eq|str_cmp|timingsafe_bcmp)\s*\(")
# What is compared openly, and may be: names, forms, flags.
OPEN = {
    "schemes.c": ["str_eq(id, S(", "str_eq(buf_str(&nfc), password)"],
    "scram.c": [],
    "cache.c": [],
    "sasl.c": ["str_eq(buf_str(&b), buf_str(&x->prep))", "str_eq(buf_str(&b), acct_name(&x->u))",
               "str_eq(flag, S(", "str_eq(authzid, name)", "str_eq(buf_str(&a), buf_str(&b))"],
}

bad = []
for name in FILES:
    text = " ".join((ROOT / name).read_text().split())
    for m in CALLS.finditer(text):
        if not any(text.startswith(o, m.start()) for o in OPEN[name]):
            bad.append(f"{name}: {text[m.start():m.start() + 70]}")
    if name != "sasl.c" and "CRYPTO_memcmp" not in text:
        bad.append(f"{name}: no CRYPTO_memcmp at all")
print("\n".join(bad))
sys.exit(1 if bad else 0)
