# SPDX-License-Identifier: ISC
# Copyright (c) 2026 The restante authors
"""Is there an order of operations that explains what was seen?

Wing and Gong's search, just in time (Lowe): events are walked through in the
order of their times, and what is kept is the set of configurations (which of
the pending operations have taken effect, and the state). When an operation
ends it must have taken effect; one whose answer is not known may take effect
at any time before its end, or never. A history is linearizable while there is
a configuration.
"""
NONE = frozenset()
LIMIT = 20000  # configurations; beyond, nothing is said of a key


class Op:
    """begin..end; may: it may also never happen. what is for apply()."""
    __slots__ = ("begin", "end", "what", "may", "ref")

    def __init__(self, begin, end, what, may=False, ref=None):
        self.begin, self.end, self.what, self.may, self.ref = begin, end, what, may, ref


def closure(configs, pending, apply, target):
    """Configurations in which target has taken effect."""
    out, seen, todo = set(), set(configs), list(configs)
    while todo:
        done, state = todo.pop()
        if target in done:
            out.add((done - {target}, state))
            continue
        for k, op in pending.items():
            if k in done:
                continue
            for nxt in apply(state, op.what):
                c = (done | {k}, nxt)
                if c not in seen:
                    seen.add(c)
                    todo.append(c)
        if len(seen) > LIMIT:
            return None
    return out


def check(ops, init, apply):
    """None: explained; an Op: what cannot be explained; "limit": too many
    possibilities. apply(state, what) gives the possible next states."""
    events = []
    for k, op in enumerate(ops):
        events.append((op.begin, 0, k))
        events.append((op.end, 1, k))
    events.sort()
    configs = {(NONE, init)}
    pending = {}
    for _, kind, k in events:
        op = ops[k]
        if kind == 0:
            pending[k] = op
            continue
        if len(pending) == 1 and not op.may:
            # Most are alone: no order to look for.
            configs = {(NONE, nxt) for done, state in configs
                       for nxt in ((state,) if done else apply(state, op.what))}
        elif op.may:
            # From now on it no longer may: those that chose it keep its effect.
            more = closure(configs, pending, apply, k)
            if more is None:
                return "limit"
            configs = {c for c in configs if k not in c[0]} | more
        else:
            configs = closure(configs, pending, apply, k)
            if configs is None:
                return "limit"
        if not configs:
            return op
        if len(configs) > LIMIT:
            return "limit"
        del pending[k]
    return None
