#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""
What mime makes of the mail corpus, against what independent parsers agree on
(facts) and what another server says (fetch; informative).

usage: corpus.py MIME_DUMP [-v] [--fetch] [--big|--small] [--only TEXT]

Exit 0: every fact of every record on which the parsers do not disagree
holds; 77: there is no corpus; 1: something differs.
"""
import io
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def corpus_folder():
    env = os.environ.get('RESTANTE_CORPUS')
    folder = Path(env) if env else ROOT.parent / 'shared' / 'corpus'
    return folder if (folder / 'facts.jsonl').is_file() else None


def unzstd(path):
    return subprocess.run(['zstd', '-dcq', str(path)], check=True,
                          stdout=subprocess.PIPE).stdout


def as_received(data, from_line):
    """The message as the store gets it: CR LF, no mbox line."""
    if from_line:
        data = data[data.find(b'\n') + 1:]
    return data.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')


def records(folder, big):
    if big:
        lines = unzstd(folder / 'facts-big.jsonl.zst').splitlines()
    else:
        lines = (folder / 'facts.jsonl').read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def messages(folder, facts):
    """(fact, message) of each; members of archives in their order."""
    by_archive = {}
    for f in facts:
        if '.tar.zst!' in f['file']:
            archive, member = f['file'].split('.tar.zst!', 1)
            by_archive.setdefault(archive + '.tar.zst', {})[member] = f
        else:
            path = folder / f['file']
            data = unzstd(path) if path.name.endswith('.eml.zst') \
                else path.read_bytes()
            yield f, as_received(data, f['from_line'])
    for archive, members in by_archive.items():
        with tarfile.open(fileobj=io.BytesIO(unzstd(folder / archive))) as t:
            for m in t:
                name = m.name
                if name not in members and name.startswith('./'):
                    name = name[2:]
                if name in members:
                    f = members.pop(name)
                    yield f, as_received(t.extractfile(m).read(),
                                         f['from_line'])
        for name in members:
            print('not in archive:', archive, name)


# Facts that are wrong, and why.
WRONG = {
    # "EDT(-0400)": both parsers miss the zone for want of a space before the
    # comment, which RFC 5322 does not ask for.
    ('usenet/mini_newsgroups.tar.zst!mini_newsgroups/sci.crypt/15385',
     'date'): 735154523,
}


class Dump:
    """The program, kept running: a thread writes while we read."""

    def __init__(self, program):
        self.p = subprocess.Popen([program], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def ask(self, name, message):
        # The answer comes only after the whole message was read.
        self.p.stdin.write(struct.pack('<I', len(message)))
        self.p.stdin.write(message)
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            sys.exit('mime_dump died at ' + name)
        return json.loads(line)

    def end(self):
        self.p.stdin.close()
        return self.p.wait()


def tree_of(parts):
    """As the facts write it; what was invented is not there."""
    nodes = []
    for parent, type_, sub, kind, invented, octets, sha in parts:
        name = (type_ + '/' + sub).lower()
        node = [name] if kind in (2, 3) else name
        nodes.append(node)
        if parent >= 0 and not invented:
            nodes[parent].append(node)
    return nodes[0]


def whole_tree(parts):
    """The same with what was invented; beyond a bound is a plain leaf."""
    nodes = []
    for i, (parent, type_, sub, kind, *_) in enumerate(parts):
        name = (type_ + '/' + sub).lower()
        if kind == 0 and (name.startswith('multipart/') or
                          name in ('message/rfc822', 'message/global')):
            name = 'application/octet-stream'
        node = [name] if kind in (2, 3) else name
        nodes.append(node)
        if parent >= 0:
            nodes[parent].append(node)
    return nodes[0]


def body_tree(root):
    """A BODYSTRUCTURE as such a tree, without recursion."""
    top = []
    todo = [(root, top)]
    while todo:
        body, into = todo.pop()
        if isinstance(body[0], list):
            n = next(i for i, x in enumerate(body) if isinstance(x, str))
            node = ['multipart/' + body[n]]
            into.append(node)
            todo.extend((b, node) for b in reversed(body[:n]))
            continue
        name = body[0] + '/' + body[1]
        if name in ('message/rfc822', 'message/global'):
            node = [name]
            into.append(node)
            todo.append((body[8], node))
        else:
            into.append(name)
    return top[0]


def leaves_of(parts):
    return [[(p[1] + '/' + p[2]).lower(), p[5], p[6]]
            for p in parts if p[3] in (0, 1) and not p[4]]


def utf8(s):
    return s.encode('latin-1').decode('utf-8', 'replace')


def collapse(s):
    return ' '.join(s.split())


def compare(fact, got, message):
    """What differs, as a list of (what, expected, seen)."""
    diff = []

    def check(what, want, have):
        if want != have:
            diff.append((what, want, have))

    check('size', fact['rfc822_size'], got['size'])
    # What a client reads out of BODYSTRUCTURE is the tree (R58).
    envelope = parse(got['envelope'])[0]
    check('envelope items', 10, len(envelope))
    check('BODYSTRUCTURE', whole_tree(got['parts']),
          body_tree(parse(got['bodystructure'])[0]))
    if 'tree' in fact:
        tree = tree_of(got['parts'])
        check('tree', fact['tree'], tree)
        if tree == fact['tree'] and 'leaves' in fact:
            leaves = leaves_of(got['parts'])
            for i, want in enumerate(fact['leaves']):
                if want is not None and i < len(leaves):
                    check('leaf%d' % i, want, leaves[i])
    elif 'parts' in fact:
        check('parts', fact['parts'], len(leaves_of(got['parts'])))
    if fact.get('subject') is not None:
        check('subject', fact['subject'],
              collapse(utf8(got.get('subject', ''))))
    if fact.get('from') is not None:
        check('from', sorted(fact['from']),
              sorted(utf8(a).lower() for a in got.get('from', [])))
    if fact.get('message_id') is not None:
        check('message_id', fact['message_id'],
              utf8(got.get('message_id', '')))
    if fact.get('date') is not None:
        check('date', WRONG.get((fact['file'], 'date'), fact['date']),
              got.get('date'))
    return diff


# ---- what IMAP would send ----

def parse(text, at=0):
    """An IMAP list out of latin-1 text: nested lists, None for NIL."""
    stack, cur = [], None
    n = len(text)
    while True:
        c = text[at]
        if c == '(':
            new = []
            if cur is not None:
                cur.append(new)
            stack.append(new)
            cur = new
            at += 1
        elif c == ')':
            done = stack.pop()
            at += 1
            if not stack:
                return done, at
            cur = stack[-1]
        elif c == '"':
            s = []
            at += 1
            while text[at] != '"':
                if text[at] == '\\':
                    at += 1
                s.append(text[at])
                at += 1
            at += 1
            cur.append(''.join(s))
        elif c == '{':
            close = text.index('}', at)
            size = int(text[at + 1:close])
            start = close + 3
            cur.append(text[start:start + size])
            at = start + size
        elif c == ' ':
            at += 1
        else:
            m = re.compile(r'[^ ()"{]+').match(text, at)
            word = m.group()
            cur.append(None if word == 'NIL' else
                       int(word) if word.isdigit() else word)
            at = m.end()
        if at >= n and stack:
            raise ValueError('unfinished')


def lower(x):
    return x.lower() if isinstance(x, str) else x


def walk(path, want, have, out):
    if isinstance(want, list) and isinstance(have, list):
        if len(want) != len(have):
            out.append((path, want, have))
            return
        for i, (a, b) in enumerate(zip(want, have)):
            walk(path + (i,), a, b, out)
    elif lower(want) != lower(have):
        out.append((path, want, have))


def fetch_differences(fetch, got):
    out = []
    text = fetch['fetch']
    env = text.index('ENVELOPE ') + 9
    e, at = parse(text, env)
    b, _ = parse(text, text.index('BODYSTRUCTURE ', at) + 14)
    walk(('envelope',), e, parse(got['envelope'])[0], out)
    walk(('body',), b, parse(got['bodystructure'])[0], out)
    return out


def main():
    args = [a for a in sys.argv[1:] if not a.startswith('-')]
    flags = {a for a in sys.argv[1:] if a.startswith('-')}
    folder = corpus_folder()
    if folder is None:
        print('skipped: no mail corpus (RESTANTE_CORPUS)')
        return 77
    only = args[1] if len(args) > 1 else None
    dump = Dump(args[0])
    failed = hints = total = strict = fetched = fetch_diff = 0
    for big in (False, True):
        if big and '--small' in flags or not big and '--big' in flags:
            continue
        facts = records(folder, big)
        if only:
            facts = [f for f in facts if only in f['file']]
        fetch = {}
        if '--fetch' in flags:
            name = 'dovecot-fetch-big.jsonl.zst' if big \
                else 'dovecot-fetch.jsonl'
            raw = unzstd(folder / name) if big \
                else (folder / name).read_bytes()
            for line in raw.splitlines():
                r = json.loads(line)
                fetch[r['file']] = r
        for fact, message in messages(folder, facts):
            total += 1
            got = dump.ask(fact['file'], message)
            diff = compare(fact, got, message)
            if 'disagree' not in fact:
                strict += 1
                failed += bool(diff)
                for what, want, have in diff:
                    print('FAIL', fact['file'], what, '\n   want',
                          str(want)[:300], '\n   have', str(have)[:300])
            elif diff:
                hints += 1
                if '-v' in flags:
                    for what, want, have in diff:
                        print('hint', fact['file'], fact['disagree'], what,
                              '\n   want', str(want)[:300], '\n   have',
                              str(have)[:300])
            f = fetch.get(fact['file'])
            if f and isinstance(f['fetch'], str):
                fetched += 1
                out = fetch_differences(f, got)
                fetch_diff += bool(out)
                for path, want, have in out:
                    print('FETCH', fact['file'], path, '\n   want',
                          str(want)[:300], '\n   have', str(have)[:300])
    if dump.end() != 0:
        return 1
    print('%d messages, %d without disagreement: %d differ; '
          'of the others %d differ' % (total, strict, failed, hints))
    if fetched:
        print('%d compared with the other server: %d differ' %
              (fetched, fetch_diff))
    return 1 if failed or (not only and strict < 900) else 0


if __name__ == '__main__':
    sys.exit(main())
