"""Bad and unusual requests straight at the gRPC API, past tunnelctl's own checks."""

import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import namespace, rpc, runner
from tests.lib.daemon import Daemon

GOOD = dict(name="x", mode=5, local="198.18.1.1", remote="198.18.1.2")
# what is changed in GOOD, reason, field at fault
INVALID = [
    (dict(name=""), "FIELD_INVALID", "name"),
    (dict(name="x" * 16), "FIELD_INVALID", "name"),
    (dict(name="../x"), "FIELD_INVALID", "name"),
    (dict(name="a\nb"), "FIELD_INVALID", "name"),
    (dict(mode=0), None, "mode"),
    (dict(mode=99), "UNKNOWN_MODE", "mode"),
    (dict(local=""), "FIELD_INVALID", "local"),
    (dict(local="198.18.1.1/24"), "FIELD_INVALID", "local"),
    (dict(local="198.18.1.256"), "FIELD_INVALID", "local"),
    (dict(local="fe80::1%eth0", remote="fe80::2"), "FIELD_INVALID", "local"),
    (dict(remote="0.0.0.0"), "FIELD_INVALID", "remote"),
    (dict(remote="255.255.255.255"), "FIELD_INVALID", "remote"),
    (dict(remote="localhost"), "FIELD_INVALID", "remote"),
    (dict(remote="fd18::1"), "FAMILY_MISMATCH", None),
    (dict(mode=3, local="fd18::1", remote="fd18::2"), "FAMILY_MISMATCH", None),
    (dict(mode=4), "FAMILY_MISMATCH", None),
    (dict(mode=1, key=1), "FIELD_INVALID", "key"),
    (dict(mode=2, input_key=1), "FIELD_INVALID", None),
    (dict(mode=1, checksum=True), "FIELD_INVALID", "checksum"),
    (dict(mode=1, sequence=True), "FIELD_INVALID", "sequence"),
    (dict(ttl=0), "FIELD_INVALID", "ttl"),
    (dict(ttl=256), "FIELD_INVALID", "ttl"),
    (dict(ttl=4294967295), "FIELD_INVALID", "ttl"),
    (dict(tos=1), "FIELD_INVALID", "tos"),
    (dict(tos=256), "FIELD_INVALID", "tos"),
    (dict(df=9), "FIELD_INVALID", "df"),
    (dict(ecn=9), "FIELD_INVALID", "ecn"),
    (dict(mtu=0), "FIELD_INVALID", "mtu"),
    (dict(mtu=67), "FIELD_INVALID", "mtu"),
    (dict(mtu=65536), "FIELD_INVALID", "mtu"),
    (dict(queues=257), "FIELD_INVALID", "queues"),
    (dict(underlay_device="a/b"), "FIELD_INVALID", "underlay_device"),
    (dict(addresses=["10.0.0.1/x"]), "FIELD_INVALID", "addresses"),
    (dict(addresses=["10.0.0.1/24", "x/24"]), "FIELD_INVALID", "addresses"),
    (dict(admin_state=9), "FIELD_INVALID", "admin_state"),
]


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(namespace.Namespace("a"))
        cls.client = rpc.Client(cls.daemon.target)
        cls.tunnels, cls.messages = cls.client.tunnels, cls.client.messages

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.daemon.stop()

    def tearDown(self):
        self.daemon.delete_all()

    def create_request(self, **fields):
        values = dict(GOOD, **fields)
        return self.messages.CreateTunnelRequest(
            tunnel=self.client.types.Tunnel(**values))

    def create(self, **fields):
        return self.tunnels.CreateTunnel(self.create_request(**fields), timeout=60)

    def refuse(self, method, request, code, reason):
        got, info, fields = self.client.failure(method, request)
        self.assertEqual(got, code)
        self.assertIsNotNone(info, "no ErrorInfo")
        self.assertEqual(info.domain, "tunneld")
        if reason:
            self.assertEqual(info.reason, reason)
        return info, fields

    def invalid(self, changes, reason, field):
        _, fields = self.refuse(self.tunnels.CreateTunnel,
                                self.create_request(**changes), "INVALID_ARGUMENT",
                                reason)
        self.assertTrue(fields)
        if field:
            self.assertTrue(any(field in f for f in fields), fields)
        self.assertEqual(self.daemon.json("list"), [])

    def test_all_bad_fields_in_one_answer(self):
        bad = dict(name="a b", local="bogus", remote="", ttl=300, tos=3, mtu=1,
                   queues=999, addresses=["x"])
        _, fields = self.refuse(self.tunnels.CreateTunnel, self.create_request(**bad),
                                "INVALID_ARGUMENT", "FIELD_INVALID")
        for field in bad:
            self.assertTrue(any(field in f for f in fields), (field, fields))

    def test_empty_requests(self):
        messages = self.messages
        for method, request in (
                (self.tunnels.CreateTunnel, messages.CreateTunnelRequest()),
                (self.tunnels.UpdateTunnel, messages.UpdateTunnelRequest())):
            _, fields = self.refuse(method, request, "INVALID_ARGUMENT", None)
            self.assertTrue(fields)
        for method, request in (
                (self.tunnels.GetTunnel, messages.GetTunnelRequest(name="zz")),
                (self.tunnels.DeleteTunnel, messages.DeleteTunnelRequest(name="zz")),
                (self.tunnels.PauseTunnel, messages.PauseTunnelRequest(name="zz"))):
            self.refuse(method, request, "NOT_FOUND", "TUNNEL_NOT_FOUND")

    def test_update_mask(self):
        self.create(key=7, ttl=9, labels={"a": "b"})
        messages, types = self.messages, self.client.types

        def update(paths, **fields):
            request = messages.UpdateTunnelRequest(
                tunnel=types.Tunnel(name="x", **fields))
            request.update_mask.paths.extend(paths)
            return request

        change = self.tunnels.UpdateTunnel(update(["key"]))
        self.assertFalse(change.tunnel.HasField("key"))
        self.assertEqual(change.tunnel.ttl, 9)
        change = self.tunnels.UpdateTunnel(update(["ttl"], ttl=10, key=99))
        self.assertFalse(change.tunnel.HasField("key"))
        self.assertEqual(change.tunnel.ttl, 10)
        for path in ("frobnicate", "tunnel.ttl", "ttl.x", ""):
            self.refuse(self.tunnels.UpdateTunnel, update([path], ttl=3),
                        "INVALID_ARGUMENT", "FIELD_INVALID")
        # Status is the daemon's alone: named in a request, it is passed over.
        self.assertTrue(self.tunnels.UpdateTunnel(update(["oper_state"], ttl=3)).no_op)
        change = self.tunnels.UpdateTunnel(update(
            ["*"], mode=types.GRE, local="198.18.1.1", remote="198.18.1.2"))
        self.assertEqual(dict(change.tunnel.labels), {})
        self.assertIn(change.tunnel.WhichOneof("ttl_policy"), (None, "ttl"))

    def test_etag_guards_a_change(self):
        tunnel = self.create().tunnel
        messages = self.messages
        request = messages.UpdateTunnelRequest(
            tunnel=self.client.types.Tunnel(name="x", ttl=9),
            options=messages.ChangeOptions(if_match=tunnel.etag))
        self.tunnels.UpdateTunnel(request)
        request.tunnel.ttl = 10
        self.refuse(self.tunnels.UpdateTunnel, request, "ABORTED", "ETAG_MISMATCH")
        self.refuse(self.tunnels.DeleteTunnel, messages.DeleteTunnelRequest(
            name="x", options=request.options), "ABORTED", "ETAG_MISMATCH")

    def test_one_wins_when_many_ask_for_the_same_pair(self):
        outcomes = []

        def ask(number):
            try:
                self.create(name="race%d" % number)
                outcomes.append("OK")
            except self.client.grpc.RpcError as error:
                code, info, _ = self.client.decode(error)
                outcomes.append(info.reason)

        for _ in range(5):
            del outcomes[:]
            threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(outcomes), ["ENDPOINT_PAIR_IN_USE"] * 15 + ["OK"])
            self.daemon.delete_all()

    def test_deadline_that_has_passed_changes_nothing(self):
        with self.assertRaises(self.client.grpc.RpcError) as raised:
            self.tunnels.CreateTunnel(self.create_request(), timeout=0.000001)
        self.assertEqual(raised.exception.code().name, "DEADLINE_EXCEEDED")
        time.sleep(0.2)
        self.assertEqual(self.daemon.json("list"), [])

    def test_pages(self):
        for number in range(7):
            self.create(name="p%d" % number, key=number)
        names, token = [], ""
        while True:
            reply = self.tunnels.ListTunnels(self.messages.ListTunnelsRequest(
                page_size=3, page_token=token))
            self.assertLessEqual(len(reply.tunnels), 3)
            names += [t.name for t in reply.tunnels]
            token = reply.next_page_token
            if not token:
                break
        self.assertEqual(names, ["p%d" % n for n in range(7)])
        for bad in (dict(page_size=-1), dict(page_token="bogus")):
            self.refuse(self.tunnels.ListTunnels,
                        self.messages.ListTunnelsRequest(**bad), "INVALID_ARGUMENT",
                        None)

    def test_timing_of_a_change(self):
        timing = self.create().timing
        self.assertTrue(timing.HasField("attach"))
        change = self.tunnels.UpdateTunnel(self.messages.UpdateTunnelRequest(
            tunnel=self.client.types.Tunnel(name="x", remote="198.18.1.3")))
        for step in ("pause", "disestablish", "detach", "attach", "establish"):
            self.assertTrue(change.timing.HasField(step), step)
        self.assertEqual([c.field for c in change.changes], ["remote"])


def _add_cases():
    for number, (changes, reason, field) in enumerate(INVALID):
        name = "_".join("%s_%s" % i for i in changes.items())
        name = "".join(c if c.isalnum() or c in "_.:" else "?" for c in name)
        setattr(Api, "test_invalid_%02d_%s" % (number, name),
                lambda self, c=changes, r=reason, f=field: self.invalid(c, r, f))


_add_cases()

if __name__ == "__main__":
    runner.main()
