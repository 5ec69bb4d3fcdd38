"""Merkle trees as sections 2.1 of RFC 6962 and 2.1.3 of RFC 9162 define them, by their text and hashlib alone: a second
reading of both, which shares nothing with the program that is tested.

    rfc6962.py included EVENT PROOF           whether the proof leads from the event to the root in its checkpoint
    rfc6962.py agrees EVENTS CHECKPOINTS      whether the tree over the lines of a file has the root of each checkpoint
"""

import base64
import hashlib
import sys


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf(entry):
    return sha256(b"\x00" + entry)


def node(left, right):
    return sha256(b"\x01" + left + right)


def tree(entries):
    """The Merkle tree hash of a list, by the definition, which is recursive."""
    if not entries:
        return sha256(b"")
    if len(entries) == 1:
        return leaf(entries[0])
    # The largest power of two that is less than their number.
    half = 1 << (len(entries) - 1).bit_length() - 1
    return node(tree(entries[:half]), tree(entries[half:]))


def root_by(path, entry, index, size):
    """Where an inclusion path leads; None where it has another length than such a path has."""
    if index >= size:
        return None
    place, last, found = index, size - 1, leaf(entry)
    for step in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            found = node(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node(found, step)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def checkpoint(lines):
    """The size and the root that a checkpoint names."""
    return int(lines[1]), base64.b64decode(lines[2], validate=True)


def included(event, proof):
    with open(event, "rb") as file:
        entry = file.read()
    with open(proof, encoding="utf-8") as file:
        head, note = file.read().split("\n\n", 1)
    version, index, *hashes = head.splitlines()
    assert version == "c2sp.org/tlog-proof@v1", version
    path = [base64.b64decode(line, validate=True) for line in hashes]
    size, root = checkpoint(note.splitlines())
    return root_by(path, entry, int(index.removeprefix("index ")), size) == root


def agrees(events, checkpoints):
    with open(events, "rb") as file:
        entries = file.read().splitlines()
    with open(checkpoints, encoding="utf-8") as file:
        lines = file.read().splitlines()
    found = [lines[at:at + 3] for at, line in enumerate(lines) if ".keymoot.audit/" in line and line[0] != "\u2014"]
    assert found, "no checkpoint"
    for size, root in map(checkpoint, found):
        if size > len(entries) or tree(entries[:size]) != root:
            return False
    print(len(found), "checkpoints")
    return True


if __name__ == "__main__":
    asked, *files = sys.argv[1:]
    sys.exit(0 if {"included": included, "agrees": agrees}[asked](*files) else 1)
