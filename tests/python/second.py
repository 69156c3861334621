#!/usr/bin/env python3
"""A second implementation, written from docs/protocol alone: it issues grants, reads
status lists and logs, proves requests, and checks receipts. Nothing here comes from the
first one but the protos.

    second.py FEDERATION TRIBUTARY   holds it against a running demo's federation.json, and
                                     against the proofs that the program makes

Every person is synthetic.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.parse
import uuid
import zlib
from concurrent import futures
from datetime import date
from pathlib import Path

import grpc
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "python"))
import fetch_profile  # noqa: E402  (the stock client's stubs, made of the protos)


class Refused(Exception):
    """Something is not as the pages say."""


def demand(holds, what):
    if not holds:
        raise Refused(what)


# --- README: words used on every page -----------------------------------------------


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    demand(re.fullmatch(r"[A-Za-z0-9_-]*", text), "not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    demand(encode(data) == text, "base64url with stray bits")
    return data


def sha256(data):
    return hashlib.sha256(data).digest()


def strict_json(data):
    def members(pairs):
        demand(len({name for name, _ in pairs}) == len(pairs), "a key stands twice")
        return dict(pairs)

    def fraction(text):
        raise Refused(f"not a whole number: {text}")

    return json.loads(
        data, object_pairs_hook=members, parse_float=fraction, parse_constant=fraction
    )


def signing_key(jwk):
    """A private or public JWK as what signs or verifies."""
    if jwk["crv"] == "Ed25519":
        if "d" in jwk:
            return ed25519.Ed25519PrivateKey.from_private_bytes(decode(jwk["d"]))
        return ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"]))
    x, y = (int.from_bytes(decode(jwk[part])) for part in "xy")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def verify_jws(token, keys, typ):
    """Checks a compact JWS with the keys that are pinned by name; gives its payload."""
    said = strict_json(decode(token.split(".")[0]))
    demand(said.keys() == {"alg", "typ", "kid"}, "header")
    return verify_with(keys[said["kid"]], token, typ)


def verify_with(key, token, typ):
    """Checks a compact JWS with one key; gives its payload."""
    header, payload, signature = token.split(".")
    said = strict_json(decode(header))
    demand(said.keys() | {"kid"} == {"alg", "typ", "kid"} and said["typ"] == typ, "header")
    message = f"{header}.{payload}".encode()
    if isinstance(key, ed25519.Ed25519PublicKey):
        demand(said["alg"] == "EdDSA", "algorithm")
        key.verify(decode(signature), message)
    else:
        demand(said["alg"] == "ES256" and len(decode(signature)) == 64, "algorithm")
        r, s = (int.from_bytes(part) for part in (decode(signature)[:32], decode(signature)[32:]))
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    return decode(payload)


# --- grant -----------------------------------------------------------------------------

SUITE = "X25519-HKDF-SHA256-AES128GCM"
INFO = b"tributary-grant-subject-v1"


def extract(salt, material):
    mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
    mac.update(material)
    return mac.finalize()


def expand(secret, info, length):
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(info + b"\x01")
    return mac.finalize()[:length]


def labeled_extract(suite, salt, label, material):
    return extract(salt, b"HPKE-v1" + suite + label + material)


def labeled_expand(suite, secret, label, info, length):
    return expand(secret, length.to_bytes(2) + b"HPKE-v1" + suite + label + info, length)


def hpke_seal(recipient, info, aad, plaintext):
    """RFC 9180, mode base, single shot, with the one suite."""
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x01"
    ephemeral = x25519.X25519PrivateKey.generate()
    enc = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(recipient))
    prk = labeled_extract(kem, b"", b"eae_prk", shared)
    secret = labeled_expand(kem, prk, b"shared_secret", enc + recipient, 32)
    context = (
        b"\x00"
        + labeled_extract(suite, b"", b"psk_id_hash", b"")
        + labeled_extract(suite, b"", b"info_hash", info)
    )
    schedule = labeled_extract(suite, secret, b"secret", b"")
    key = labeled_expand(suite, schedule, b"key", context, 16)
    nonce = labeled_expand(suite, schedule, b"base_nonce", context, 12)
    return enc, AESGCM(key).encrypt(nonce, plaintext, aad)


def seal_subject(issuer, jti, agency, kid, recipient, subject):
    texts = [issuer, jti, agency, SUITE, kid]
    aad = b"".join(len(text).to_bytes(8) + text.encode() for text in texts)
    enc, ct = hpke_seal(recipient, INFO, aad, subject.encode().ljust(64, b"\x00"))
    return {"suite": SUITE, "kid": kid, "enc": encode(enc), "ct": encode(ct)}


class Issuer:
    """Makes grants with the demo's issuer's keys."""

    def __init__(self, settings):
        folder = settings.parent
        config = tomllib.loads(settings.read_text())
        self.id, self.status_uri = config["id"], config["status_uri"]
        jwk = json.loads((folder / config["signing_key"]).read_text())
        self.kid, self.key = jwk["kid"], signing_key(jwk)
        self.sealing = {
            entry["agency"]: (
                entry["kid"],
                decode(json.loads((folder / entry["file"]).read_text())["x"]),
            )
            for entry in config["sealing"]
        }

    def grant(self, subject, gateway, consumer, items, index, header=None, seal_for=None):
        """Items by agency. `seal_for` is another number than the grant's, to spoil it."""
        jti, tag, now = encode(os.urandom(16)), os.urandom(32), int(time.time())
        disclosures = [self.disclosure("_gateway", {"subject_tag": encode(tag)})]
        for agency, ids in items.items():
            kid, recipient = self.sealing[agency]
            sealed = seal_subject(self.id, seal_for or jti, agency, kid, recipient, subject)
            value = {
                "agency": agency,
                "items": ids,
                "range": {"from": "1900-01-01", "to": date.today().isoformat()},
                "subject": sealed,
            }
            disclosures.append(self.disclosure(agency, value))
        digests = [sha256(text.encode()) for text in disclosures]
        while len(digests) < 16 or len(digests).bit_count() != 1:
            digests.append(sha256(os.urandom(32)))
        self.proof_key = ed25519.Ed25519PrivateKey.generate()
        proof = self.proof_key.public_key().public_bytes_raw()
        claims = {
            "iss": self.id,
            "aud": gateway,
            "client_id": consumer,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "jti": jti,
            "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encode(proof)}},
            "purpose": {"code": "credit_profile", "text": "A loan that I have asked for"},
            "legal_basis": {"kind": "written_consent", "ref": "form 7"},
            "mode": "VIEW",
            "data_life": 3600,
            "frequency": {"count": 2, "per": "day"},
            "status": {"status_list": {"idx": index, "uri": self.status_uri}},
            "_sd_alg": "sha-256",
            "_sd": sorted(map(encode, digests)),
        }
        head = {"alg": "EdDSA", "typ": "tributary-grant+sd-jwt", "kid": self.kid} | (header or {})
        signed = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
        jwt = f"{signed}.{encode(self.key.sign(signed.encode()))}"
        return "~".join([jwt, *disclosures, ""]).encode(), jti, tag

    @staticmethod
    def disclosure(name, value):
        return encode(json.dumps([encode(os.urandom(16)), name, value]).encode())


# --- status list -----------------------------------------------------------------------


class StatusList:
    """Fetched and checked."""

    def __init__(self, uri, anchors, keys):
        at = urllib.parse.urlsplit(uri)
        context = ssl.create_default_context(cafile=anchors)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = http.client.HTTPSConnection(at.hostname, at.port, context=context, timeout=4)
        connection.request("GET", at.path, headers={"accept": "application/statuslist+jwt"})
        answer = connection.getresponse()
        kind = answer.headers.get_content_type()
        demand(answer.status == 200 and kind == "application/statuslist+jwt", "answer")
        demand(answer.headers.get("content-encoding", "identity") == "identity", "encoding")
        token = answer.read(1_048_577)
        demand(len(token) <= 1_048_576, "size")
        claims = strict_json(verify_jws(token.decode().strip(), keys, "statuslist+jwt"))
        demand(claims["sub"] == uri and claims["iat"] <= time.time() + 5, "claims")
        self.bits = claims["status_list"]["bits"]
        demand(self.bits in (1, 2, 4, 8), "bits")
        inflate = zlib.decompressobj()
        self.bytes = inflate.decompress(decode(claims["status_list"]["lst"]), 1_048_576)
        demand(inflate.eof and not inflate.unused_data, "zlib")

    def __len__(self):
        return len(self.bytes) * 8 // self.bits

    def __getitem__(self, index):
        at = index * self.bits
        return self.bytes[at // 8] >> at % 8 & (1 << self.bits) - 1


# --- audit log -------------------------------------------------------------------------


def leaf_hash(entry):
    return sha256(b"\x00" + entry)


def node(left, right):
    return sha256(b"\x01" + left + right)


def root_of(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root_of(leaves[:left]), root_of(leaves[left:]))


class LogKey:
    """A log's public key: `ORIGIN+ID+BASE64`."""

    def __init__(self, text):
        self.origin, name, key = text.strip().split("+", 2)
        typed = base64.b64decode(key, validate=True)
        demand(typed[0] == 1 and len(typed) == 33, "kind of key")
        self.id = sha256(self.origin.encode() + b"\n" + typed)[:4]
        demand(self.id.hex() == name, "key id")
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(typed[1:])

    def checkpoint(self, note):
        """Checks a signed checkpoint; gives size and root."""
        text, signatures = note.split("\n\n")
        origin, size, root = (text + "\n").splitlines()
        demand(origin == self.origin and size == str(int(size)), "checkpoint")
        for line in signatures.splitlines():
            dash, name, signature = line.split(" ")
            signature = base64.b64decode(signature, validate=True)
            if dash == "—" and name == self.origin and signature[:4] == self.id:
                self.key.verify(signature[4:], (text + "\n").encode())
                return int(size), base64.b64decode(root, validate=True)
        raise Refused("the checkpoint is not signed with this key")


class Reader:
    """The primitives of an entry."""

    def __init__(self, data):
        self.rest = data

    def bytes(self, count):
        demand(len(self.rest) >= count, "the entry ends within a field")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def u8(self):
        return self.bytes(1)[0]

    def time(self):
        return int.from_bytes(self.bytes(8))

    def number(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                demand((byte or not shift) and value < 1 << 64, "number not in its one form")
                return value
            shift += 7

    def short(self):
        return self.bytes(self.u8())

    def set(self, most):
        data = self.short()
        demand(len(data) <= most and not data.endswith(b"\x00"), "set not in its one form")
        return {8 * at + bit for at, byte in enumerate(data) for bit in range(8) if byte >> bit & 1}


NAMES = {1: "peer", 2: "agency", 3: "purpose", 4: "basis", 5: "catalogue", 7: "reason", 8: "policy"}
DECISIONS = ["OK", "DENIED", "NO_RECORD", "TIMEOUT", "UNAVAILABLE", "INVALID"]


class Entries:
    """Decodes a log's entries in order: references are followed. Those of a receipt come
    without the policy's names."""

    def __init__(self, of_receipt=False):
        self.names = {}
        self.of_receipt = of_receipt

    def decode(self, index, entry):
        demand(len(entry) <= 512, "entry too long")
        reader = Reader(entry)
        demand(reader.u8() == 1, "version")
        kind = reader.u8()
        record = {1: self.name, 2: self.section, 3: self.refusals, 4: self.started}.get(kind)
        record = record or {5: self.stopped, 6: self.search, 7: self.succeeds}[kind]
        record = record(index, reader) | {"kind": kind}
        demand(not reader.rest, "bytes after the last field")
        return record

    def to(self, reader, kind):
        at = reader.number()
        demand(self.names[at][0] == kind, f"reference to no {kind}")
        return self.names[at][1]

    def name(self, index, reader):
        kind = reader.u8()
        if kind == 9:
            policy = self.to(reader, "policy")
            name = ("rule", (policy, reader.number(), reader.short()))
        else:
            name = (NAMES[kind], reader.bytes(32) if kind in (5, 8) else reader.short().decode())
        demand(name not in self.names.values(), "the name stands twice")
        self.names[index] = name
        return {}

    def section(self, _, reader):
        record = {"time": reader.time()}
        flags = reader.u8()
        demand(flags < 128, "flags")
        record["request"] = reader.short().decode()
        record["consumer"] = self.to(reader, "peer")
        record["items"] = reader.set(64)
        record["catalogue"] = self.to(reader, "catalogue")
        decision = reader.u8()
        if decision in (0x80, 0x81):
            word = "REFUSED" if decision == 0x80 else "WITHHELD"
            record["decision"], record["reason"] = word, self.to(reader, "reason")
        else:
            record["decision"] = DECISIONS[decision]
        for flag, kind in ((1, "agency"), (2, "purpose"), (4, "basis")):
            if flags & flag:
                record[kind] = self.to(reader, kind)
        if flags & 8:
            record["grant"] = reader.short().decode()
        if flags & 16:
            policy = reader.number() if self.of_receipt else self.to(reader, "policy")
            numbers = reader.set(128)
            known = {name[1][:2] for name in self.names.values() if name[0] == "rule"}
            named = self.of_receipt or all((policy, number) in known for number in numbers)
            demand(named, "a rule without a name")
            record["rules"] = numbers
        if flags & 32:
            record["subject"] = reader.bytes(32)
        if flags & 64:
            record["issuer"] = self.to(reader, "peer")
            record["window"], record["expires"] = reader.number(), reader.number()
            record["counted"] = ("use", "repeat")[reader.u8()], reader.number()
        record["blind"] = reader.bytes(16)
        return record

    def refusals(self, _, reader):
        record = {"time": reader.time(), "since": reader.time()}
        record |= {"peer": self.to(reader, "peer"), "reason": self.to(reader, "reason")}
        return record | {"count": reader.number()}

    @staticmethod
    def started(_, reader):
        return {"time": reader.time(), "clean": (False, True)[reader.u8()]}

    @staticmethod
    def stopped(_, reader):
        return {"time": reader.time()}

    @staticmethod
    def succeeds(index, reader):
        demand(index == 0, "an entry that names the log before, and is not the first")
        record = {"time": reader.time(), "log": reader.short().decode()}
        return record | {"size": reader.number(), "root": reader.bytes(32)}

    def search(self, _, reader):
        record = {"time": reader.time(), "reviewer": self.to(reader, "peer")}
        return record | {"kind": reader.u8(), "by": reader.u8(), "hits": reader.number()}


def tile_path(shelf, number, width):
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    path = f"tile/{shelf}/" + "/".join(parts)
    return path if width == 256 else f"{path}.p/{width}"


def tile(folder, shelf, number, size):
    """A tile's file, or the full one that has replaced it."""
    width = min(256, size - 256 * number)
    for path in (tile_path(shelf, number, width), tile_path(shelf, number, 256)):
        if (folder / path).is_file():
            return (folder / path).read_bytes()
    raise Refused(f"{tile_path(shelf, number, width)} is missing")


def read_log(folder, key):
    """Checks a log whole; gives its size, entries and records."""
    size, root = key.checkpoint((folder / "checkpoint").read_text())
    entries, records, decoder, last = [], [], Entries(), 0
    for number in range((size + 255) // 256):
        bundle = Reader(tile(folder, "entries", number, size))
        while bundle.rest and len(entries) < size:
            entry = bundle.bytes(int.from_bytes(bundle.bytes(2)))
            record = decoder.decode(len(entries), entry)
            demand(record.get("time", last) >= last, "time goes down")
            last = record.get("time", last)
            entries.append(entry)
            records.append(record)
    leaves = [leaf_hash(entry) for entry in entries]
    demand(len(leaves) == size and root_of(leaves) == root, "root")
    level, hashes_of, shelf = leaves, size, 0
    while hashes_of:
        for number in range((hashes_of + 255) // 256):
            width = min(256, hashes_of - 256 * number)
            wanted = b"".join(level[256 * number : 256 * number + width])
            found = tile(folder, shelf, number, hashes_of)[: len(wanted)]
            demand(found == wanted, f"tile {shelf}/{number}")
        level = [root_of(level[at : at + 256]) for at in range(0, hashes_of // 256 * 256, 256)]
        hashes_of, shelf = len(level), shelf + 1
    return size, entries, records


# --- receipt ---------------------------------------------------------------------------


def root_from(index, size, leaf, path):
    """The root to which a path leads (RFC 9162, section 2.1.3.2)."""
    last, value = size - 1, leaf
    for sibling in path:
        demand(last > 0, "the path is too long")
        if index & 1 or index == last:
            value = node(sibling, value)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            value = node(value, sibling)
        index, last = index >> 1, last >> 1
    demand(last == 0, "the path is too short")
    return value


def check_receipt(receipt, key):
    """Checks a receipt with its proofs; gives the indexes of its records."""
    size, root = key.checkpoint(receipt.checkpoint)
    demand(len(receipt.proofs) == len(receipt.leaf_hashes) > 0, "proofs")
    for place, (leaf, proof) in enumerate(zip(receipt.leaf_hashes, receipt.proofs)):
        index = receipt.first_index + place
        demand(index < size, "the checkpoint does not reach to the record")
        demand(root_from(index, size, leaf, proof.hashes) == root, "the proof leads elsewhere")
    entries, names = (list(getattr(receipt, part, ())) for part in ("entries", "names"))
    demand(not entries or list(map(leaf_hash, entries)) == list(receipt.leaf_hashes), "entries")
    for name in names:
        led = root_from(name.index, size, leaf_hash(name.entry), name.proof.hashes)
        demand(name.index < size and led == root, "a name is not in the log")
    return range(receipt.first_index, receipt.first_index + len(receipt.leaf_hashes))


# --- against a running demo --------------------------------------------------------------


# --- proof of the request --------------------------------------------------------------


def lp(*texts):
    return b"".join(len(text.encode()).to_bytes(8) + text.encode() for text in texts)


def path_of(leaves, index):
    """From the leaf's sibling upward."""
    if len(leaves) < 2:
        return []
    left = 1 << (len(leaves) - 1).bit_length() - 1
    if index < left:
        return path_of(leaves[:left], index) + [root_of(leaves[left:])]
    return path_of(leaves[left:], index - left) + [root_of(leaves[:left])]


def keyed(seed, *texts):
    made = hmac.HMAC(seed, hashes.SHA256())
    made.update(lp(*texts))
    return made.finalize()


def request_leaf(request, grant, items, nonce, seed):
    """`items` by agency, those that are wanted alone."""
    entries = []
    for agency, ids in items.items():
        salt = keyed(seed, "salt", agency)
        said = lp("tributary-request-entry-v1") + salt + lp(agency, *sorted(ids))
        entries.append(leaf_hash(said))
    size = next(size for size in (16, 32, 64) if size >= len(entries))
    decoys = [keyed(seed, "decoy", str(n)) for n in range(len(entries), size)]
    root = root_of(sorted(entries + decoys))
    said = lp("tributary-request-leaf-v1", request) + sha256(grant.split(b"~")[0]) + nonce
    return leaf_hash(said + size.to_bytes(8) + root)


def prove(key, gateway, requests, **claims):
    """Proofs of (request id, grant, items by agency), all under one signature."""
    chosen = [(os.urandom(16), os.urandom(32)) for _ in requests]
    leaves = [request_leaf(*one, *chance) for one, chance in zip(requests, chosen)]
    now = int(time.time())
    head = {"alg": "EdDSA", "typ": "tributary-request+jwt"}
    root = encode(root_of(leaves))
    said = {"aud": gateway, "iat": now, "exp": now + 60, "root": root, "size": len(leaves)}
    signed = ".".join(encode(json.dumps(part).encode()) for part in (head, said | claims))
    jws = f"{signed}.{encode(key.sign(signed.encode()))}"
    return [
        dict(jws=jws, index=at, path=path_of(leaves, at), nonce=nonce, seed=seed)
        for at, (nonce, seed) in enumerate(chosen)
    ]


def disclosed(grant):
    """What each agency of a presentation may be asked."""
    items = {}
    for disclosure in grant.decode().rstrip("~").split("~")[1:]:
        _, name, value = strict_json(decode(disclosure))
        if name != "_gateway":
            items[value["agency"]] = value["items"]
    return items


def check_proof(proof, gateway, request, grant, wanted):
    """A consumer's proof as a gateway checks it; gives the token."""
    demand(1 <= len(proof.jws) <= 1024 and len(proof.path) <= 12, "sizes")
    demand(len(proof.nonce) == 16 and len(proof.seed) == 32, "nonce and seed")
    demand(request and not proof.HasField("entry"), "a proof is of a request with an id")
    signed = strict_json(decode(grant.decode().split(".")[1]))
    said = verify_with(signing_key(signed["cnf"]["jwk"]), proof.jws, "tributary-request+jwt")
    said = strict_json(said)
    demand(said.keys() == {"aud", "iat", "exp", "root", "size"}, f"claims: {said.keys()}")
    demand(said["aud"] == gateway == signed["aud"], "aud")
    demand(1 <= said["exp"] - said["iat"] <= 60, "life")
    demand(said["iat"] - 5 <= time.time() < said["exp"], "time")
    demand(1 <= said["size"] <= 4096 and proof.index < said["size"], "size")
    items = {name: [id for id in ids if id in wanted] for name, ids in disclosed(grant).items()}
    items = {name: ids for name, ids in items.items() if ids}
    leaf = request_leaf(request, grant, items, proof.nonce, proof.seed)
    root = root_from(proof.index, said["size"], leaf, list(proof.path))
    demand(root == decode(said["root"]), "the path leads elsewhere")
    return proof.jws


class Overhears:
    """Stands in the gateway's place, with its certificate, and refuses all that it hears."""

    def __init__(self, demo):
        self.protocol, self.heard = demo.protocol, []
        link, folder = demo.gateway["link"], Path(demo.federation["gateway"]["config"]).parent
        own = [(folder / link[part]).read_bytes() for part in ("key", "certificate")]
        anchors = b"".join((folder / one["anchors"]).read_bytes() for one in link["trust"])
        credentials = grpc.ssl_server_credentials([tuple(own)], anchors, True)
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        demo.protocol.profile_grpc.add_ProfileServiceServicer_to_server(self, self.server)
        self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def GetProfile(self, request, context):
        self.heard.append(request)
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "overheard")

    def StreamProfiles(self, requests, context):
        context.send_initial_metadata(())
        for message in requests:
            request = self.protocol.profile.GetProfileRequest.FromString(message.request)
            self.heard.append(request)
            failure = self.protocol.profile.ProfileFailure(code=7, reason="NOTHING_PERMITTED")
            yield self.protocol.profile.StreamProfilesResponse(
                request_id=request.request_id, failure=failure
            )


def check_ours(demo, program):
    """The proofs that the program makes, of one request and of a stream of them."""
    listening = Overhears(demo)
    grants = [Path(one["file"]).read_bytes().strip() for one in demo.federation["grants"][:30]]
    run = [program, "profile"]
    to = ["--federation", str(demo.home / "federation.json")]
    to += ["--gateway", f"127.0.0.1:{listening.port}"]
    file = demo.federation["grants"][0]["file"]
    subprocess.run([*run, "get", *to, "--grant", file], capture_output=True, timeout=60)
    lines = "".join(json.dumps({"grant": grant.decode()}) + "\n" for grant in grants)
    subprocess.run(
        [*run, "stream", *to], input=lines, text=True, capture_output=True, timeout=60
    )
    listening.server.stop(None)
    demand(len(listening.heard) == 1 + len(grants), f"{len(listening.heard)} requests")
    gateway, nonces, tokens = demo.federation["gateway"]["id"], set(), set()
    for request in listening.heard:
        grant = request.grant.sd_jwt
        demand(grant in grants, "a grant that was sent whole")
        said = (gateway, request.request_id, grant, set(request.items))
        tokens.add(check_proof(request.proof, *said))
        nonces.add(request.proof.nonce)
        for field, wrong in (
            ("nonce", os.urandom(16)),
            ("seed", os.urandom(32)),
            ("index", request.proof.index + 1),
        ):
            changed = type(request.proof).FromString(request.proof.SerializeToString())
            setattr(changed, field, wrong)
            try:
                check_proof(changed, *said)
            except Refused:
                continue
            raise Refused(f"a proof with another {field} holds")
    demand(len(nonces) == len(listening.heard), "a nonce twice")
    return len(listening.heard), len(tokens)


class Demo:
    def __init__(self, file):
        self.federation = json.loads(Path(file).read_text())
        self.home = Path(file).parent
        self.protocol = fetch_profile.Protocol()
        self.consumer = self.federation["grants"][0]["consumer"]
        self.channel = fetch_profile.connect(self.federation, self.consumer)
        self.stub = self.protocol.profile_grpc.ProfileServiceStub(self.channel)
        self.gateway = tomllib.loads(Path(self.federation["gateway"]["config"]).read_text())

    def ask(self, grant, items, request_id=None, proof=None):
        """The answer, or the reason of the refusal."""
        request = self.protocol.profile.GetProfileRequest(
            request_id=request_id or str(uuid.uuid4()), items=items, prove=True
        )
        request.grant.sd_jwt = grant
        for field, value in (proof or {}).items():
            if field == "path":
                request.proof.path.extend(value)
            else:
                setattr(request.proof, field, value)
        try:
            return self.stub.GetProfile(request, timeout=20)
        except grpc.RpcError as error:
            for key, value in error.trailing_metadata() or ():
                if key == "grpc-status-details-bin":
                    status = self.protocol.status.Status.FromString(value)
                    for detail in status.details:
                        info = self.protocol.details.ErrorInfo()
                        if detail.Unpack(info):
                            return info.reason
            return str(error)

    def log(self, name, origin_key):
        key = LogKey((self.home / "certs/dev" / origin_key / "audit.vkey").read_text())
        return read_log(self.home / "audit" / name, key), key

    def releases(self, name, origin_key, request, number):
        """The records of a request's releases, once the log has published so many."""
        for _ in range(300):
            (_, _, records), _ = self.log(name, origin_key)
            of_request = [one for one in records if one.get("request") == request]
            found = [one for one in of_request if one["decision"] == "OK"]
            if len(found) >= number:
                return found
            time.sleep(0.2)
        raise Refused(f"the log of {name} has {len(found)} releases of {request}, not {number}")


def main(file, program):
    demo = Demo(file)
    federation = demo.federation
    settings = Path(federation["issuer"]["settings"])
    issuer = Issuer(settings)
    folder = Path(federation["gateway"]["config"]).parent
    pinned = demo.gateway["grants"]["issuer"][0]

    keys = {
        entry["kid"]: signing_key(json.loads((folder / entry["file"]).read_text()))
        for entry in pinned["status_keys"]
    }
    status = StatusList(issuer.status_uri, folder / pinned["status_anchors"], keys)
    index = next(at for at in reversed(range(len(status))) if status[at] == 0)
    print(f"ok: the status list has {len(status)} entries")

    subject, gateway = federation["subjects"][0], federation["gateway"]["id"]
    items = {
        "education": ["education.attainment.study_mode"],
        "lending": ["lending.debt.lender_count"],
    }
    wanted = sorted(sum(items.values(), []))
    grant, jti, tag = issuer.grant(subject, gateway, demo.consumer, items, index)
    request = str(uuid.uuid4())
    answer = demo.ask(grant, wanted, request)
    demand(not isinstance(answer, str), f"the grant is refused: {answer}")
    demand([s.status for s in answer.sections] == [1, 1], f"sections: {answer.sections}")
    theirs = demo.ask(Path(federation["grants"][0]["file"]).read_bytes().strip(), wanted)
    value = lambda said: [(i.id, i.agency, i.value.SerializeToString()) for i in said.profile.items]
    demand(value(answer) == value(theirs) and value(answer), "the profiles differ")
    print("ok: a grant that was made from the pages is accepted and opens the same person")

    other = encode(os.urandom(16))
    wrong, _, _ = issuer.grant(subject, gateway, demo.consumer, items, index, seal_for=other)
    reasons = {section.reason for section in demo.ask(wrong, wanted).sections}
    demand(reasons == {"GRANT_SUBJECT"}, f"sealed for another grant: {reasons}")
    others = ({"x": 1}, {"crit": ["x"]}, {"alg": "ES256"}, {"typ": "jwt"}, {"kid": "other"})
    for header in others:
        wrong, _, _ = issuer.grant(subject, gateway, demo.consumer, items, index, header=header)
        refusal = demo.ask(wrong, wanted)
        demand(isinstance(refusal, str) and refusal.startswith("GRANT_"), f"{header}: {refusal}")
    print("ok: what the pages refuse is refused")

    proved, _, _ = issuer.grant(subject, gateway, demo.consumer, items, index)
    key, ids = issuer.proof_key, [str(uuid.uuid4()) for _ in range(5)]
    proofs = prove(key, gateway, [(one, proved, items) for one in ids])
    for at in (4, 0):
        said = demo.ask(proved, wanted, ids[at], proofs[at])
        demand(not isinstance(said, str), f"the proof is refused: {said}")
        demand([s.status for s in said.sections] == [1, 1], f"sections: {said.sections}")
    less = {agency: ids for agency, ids in items.items() if agency == "lending"}
    stranger = ed25519.Ed25519PrivateKey.generate()
    one = [(ids[1], proved, items)]
    past = int(time.time()) - 61
    for reason, wrong in (
        ("PROOF_INVALID", proofs[2]),
        ("PROOF_INVALID", proofs[1] | {"seed": bytes(32)}),
        ("PROOF_INVALID", proofs[1] | {"index": 2}),
        ("PROOF_INVALID", prove(stranger, gateway, one)[0]),
        ("PROOF_INVALID", prove(key, gateway + "x", one)[0]),
        ("PROOF_INVALID", prove(key, gateway, [(ids[1], grant, items)])[0]),
        ("PROOF_INVALID", prove(key, gateway, [(ids[1], proved, less)])[0]),
        ("PROOF_INVALID", prove(key, gateway, one, exp=past + 200)[0]),
        ("PROOF_INVALID", prove(key, gateway, one, more=1)[0]),
        ("PROOF_EXPIRED", prove(key, gateway, one, iat=past, exp=past + 60)[0]),
        ("BAD_REQUEST", proofs[1] | {"nonce": bytes(15)}),
        ("BAD_REQUEST", proofs[1] | {"path": [bytes(32)] * 13}),
    ):
        refusal = demo.ask(proved, wanted, ids[1], wrong)
        demand(refusal == reason, f"{reason} expected: {refusal}")
    print("ok: proofs that were made from the page are accepted, and others are refused")
    requests, tokens = check_ours(demo, program)
    print(f"ok: {requests} proofs that the program made under {tokens} signatures hold")

    for times in (2, 3):
        again = demo.ask(grant, wanted, request)
        demand(not isinstance(again, str) and len(again.profile.items) == 2, f"repeat {times}")
    for asked in (wanted, wanted[:1]):
        refusal = demo.ask(grant, asked, request)
        reasons = (
            refusal
            if isinstance(refusal, str)
            else {section.reason for section in refusal.sections}
        )
        demand(reasons in ("REQUEST_ID_REUSED", {"REQUEST_ID_REUSED"}), f"{asked}: {reasons}")
    print("ok: a request id is for one request, and for three releases")

    found = demo.releases("lending", "lending.city.example", request, 3)
    counted = [one["counted"] for one in found]
    demand(counted == [("use", 1), ("repeat", 2), ("repeat", 3)], f"counted: {counted}")
    # Two agencies, asked three times.
    first = demo.releases("gateway", "gateway.city.example", request, 6)[:2]
    for one in first:
        demand(one["consumer"] == demo.consumer and one["grant"] == jti, "the record's names")
        demand(one["subject"] == tag and one["purpose"] == "credit_profile", "the record's tag")
    demand({one["agency"] for one in first} == items.keys(), "a record for each agency")
    print("ok: both logs are sound and say what was disclosed")

    (size, entries, records), key = demo.log("gateway", "gateway.city.example")
    indexes = check_receipt(answer.receipt, key)
    demand(indexes.stop <= size, "the log reaches to the receipt")
    for place, index in enumerate(indexes):
        demand(leaf_hash(entries[index]) == answer.receipt.leaf_hashes[place], "leaf")
        demand(records[index]["request"] == request, "the receipt's record")
    named = Entries(of_receipt=True)
    for name in answer.receipt.names:
        named.decode(name.index, name.entry)
    demand(len(answer.receipt.entries) == len(indexes), "an entry for each record")
    for index, entry in zip(indexes, answer.receipt.entries):
        said = {k: v for k, v in named.decode(index, entry).items() if k != "rules"}
        demand(said.items() <= records[index].items(), "the entry says something else")
        demand(said["request"] == request and said["consumer"] == demo.consumer, "another's")
    answer.receipt.leaf_hashes[0] = bytes(32)
    try:
        check_receipt(answer.receipt, key)
        raise AssertionError("a receipt that was changed holds")
    except (Refused, InvalidSignature):
        pass
    print("ok: the receipt is of this disclosure, and a changed one does not hold")


if __name__ == "__main__":
    main(*sys.argv[1:])
