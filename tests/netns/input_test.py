"""Bad input by tunnelctl: exit code and reason of the contract, nothing changed."""

import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import daemon, namespace, process, runner
from tests.lib.daemon import Daemon

GRE = "create x mode gre local 198.18.1.1 remote 198.18.1.2 "
GIF = "create x mode gif local 198.18.1.1 remote 198.18.1.2 "
# command, reason, words of which one must stand in the message
INVALID = [
    (GRE + "ttl 0", "FIELD_INVALID", "ttl"),
    (GRE + "ttl 256", "FIELD_INVALID", "ttl"),
    (GRE + "ttl -1", "FIELD_INVALID", "ttl"),
    (GRE + "ttl many", "FIELD_INVALID", "ttl"),
    (GRE + "tos 256", "FIELD_INVALID", "tos"),
    (GRE + "tos 3", "FIELD_INVALID", "tos"),
    (GRE + "key -1", "FIELD_INVALID", "key"),
    (GRE + "key 4294967296", "FIELD_INVALID", "key"),
    (GRE + "key 1x", "FIELD_INVALID", "key"),
    (GRE + "ikey 99999999999", "FIELD_INVALID", "key"),
    (GRE + "mtu 67", "FIELD_INVALID", "mtu"),
    (GRE + "mtu 65536", "FIELD_INVALID", "mtu"),
    (GRE + "df maybe", "FIELD_INVALID", "df"),
    (GRE + "ecn maybe", "FIELD_INVALID", "ecn"),
    (GRE + "fwmark 4294967296", "FIELD_INVALID", "fwmark"),
    (GRE + "queues 257", "FIELD_INVALID", "queues"),
    (GRE + "txqueuelen -1", "FIELD_INVALID", "txqueuelen"),
    (GRE + "address 10.0.0.1/33", "FIELD_INVALID", "address"),
    (GRE + "address 10.0.0/24", "FIELD_INVALID", "address"),
    (GRE + "address fd00::1/129", "FIELD_INVALID", "address"),
    (GRE + "dev interface-name-too-long", "FIELD_INVALID", "device"),
    (GIF + "key 1", "FIELD_INVALID", "key"),
    (GIF + "csum", "FIELD_INVALID", "checksum"),
    (GIF + "seq", "FIELD_INVALID", "sequence"),
    ("create x mode gre remote 198.18.1.2", "FIELD_INVALID", "local"),
    ("create x mode gre local 198.18.1.1", "FIELD_INVALID", "remote"),
    ("create x local 198.18.1.1 remote 198.18.1.2", None, "mode"),
    ("create x mode gre local bogus remote 198.18.1.2", "FIELD_INVALID", "local"),
    ("create x mode gre local 198.18.1.1 remote 198.18.1.2.3", "FIELD_INVALID",
     "remote"),
    ("create x mode gre local 198.18.1.1 remote 0.0.0.0", "FIELD_INVALID", "remote"),
    ("create x mode gre local 224.0.0.1 remote 198.18.1.2", "FIELD_INVALID", "local"),
    ("create x mode gre local fd18:1::1 remote ::", "FIELD_INVALID", "remote"),
    ("create x mode gre local 198.18.1.1 remote fd18:1::2", "FAMILY_MISMATCH", ""),
    ("create x mode gif local fd18:1::1 remote 198.18.1.2", "FAMILY_MISMATCH", ""),
    ("create x mode sit local fd18:1::1 remote fd18:1::2", "FAMILY_MISMATCH", ""),
    ("create x mode ip6ip6 local 198.18.1.1 remote 198.18.1.2", "FAMILY_MISMATCH", ""),
    ("create x mode vxlan local 198.18.1.1 remote 198.18.1.2", "UNKNOWN_MODE", "vxlan"),
    (GRE + "frobnicate 3", None, "frobnicate"),
    (GRE + "ttl", None, "ttl"),
    ("frobnicate x", None, "frobnicate"),
    ("create", None, ""),
    (["create", "", "mode", "gre"], None, "empty"),
    ("set t", None, ""),
    ("set t ttl 300", "FIELD_INVALID", "ttl"),
    ("set t mode gif", "FIELD_INVALID", "key"),
    ("set t remote fd18:1::2", "FAMILY_MISMATCH", ""),
    ("pause", None, ""),
    ("pause t --max fast", None, "max"),
]
BAD_NAMES = [".", "..", "a/b", "a:b", "a b", "x" * 16, "na\u00efve", "tab\t", "a%d"]


def error_of(result):
    return json.loads(result.err)


class Input(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(namespace.Namespace("a"))
        cls.daemon.ctl("create t mode gre local 198.18.9.1 remote 198.18.9.2 key 1")
        cls.daemon.ctl("create u mode gre local 198.18.9.1 remote 198.18.9.2")
        cls.before = cls.daemon.json("list")
        cls.links = cls.daemon.space.links()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def tearDown(self):
        self.assertEqual(self.daemon.json("list"), self.before)
        self.assertEqual(self.daemon.space.links(), self.links)

    def refuse(self, words, code, reason=None, part=""):
        """The command ends with this exit code, reason and part of the message,
        in plain text as in JSON."""
        words = words.split() if isinstance(words, str) else words
        plain = self.daemon.ctl(*words, check=False)
        self.assertEqual(plain.code, code, plain)
        self.assertEqual(plain.out, "")
        self.assertIn(part.lower(), plain.err.lower())
        if reason:
            error = error_of(self.daemon.ctl(*words, "--json", check=False))
            self.assertEqual(error["reason"], reason, error)
            return error
        return None

    def test_name_in_use(self):
        error = self.refuse("create t mode gif local 198.18.1.1 remote 198.18.1.2", 4,
                            "NAME_IN_USE", "t")
        self.assertEqual(error["code"], "ALREADY_EXISTS")

    def test_name_of_a_foreign_interface(self):
        self.refuse("create lo mode gif local 198.18.1.1 remote 198.18.1.2", 4,
                    "NAME_IN_USE", "lo")

    def test_pair_in_use(self):
        error = self.refuse("create x mode gre local 198.18.9.1 remote 198.18.9.2 "
                            "key 1", 4, "ENDPOINT_PAIR_IN_USE", "t")
        self.assertEqual(error["metadata"]["tunnel"], "t")
        self.assertEqual(error["metadata"]["key"], "1")
        self.refuse("set u key 1", 4, "ENDPOINT_PAIR_IN_USE", "t")
        self.refuse("set t nokey", 4, "ENDPOINT_PAIR_IN_USE", "u")

    def test_not_found(self):
        for words in ("show tt", "set tt ttl 9", "delete tt", "pause tt", "resume tt",
                      "detach tt", "attach tt", "up tt", "down tt", "stats tt"):
            error = self.refuse(words, 3, "TUNNEL_NOT_FOUND", "tt")
            self.assertIn(error["metadata"]["closest"], "tu")
        self.assertEqual(self.daemon.ctl("delete tt --if-exists").code, 0)

    def test_etag_differs(self):
        self.refuse(["set", "t", "ttl", "9", "--if-match", '"stale"'], 4,
                    "ETAG_MISMATCH")
        self.refuse(["delete", "t", "--if-match", '"stale"'], 4, "ETAG_MISMATCH")

    def test_bad_names(self):
        for name in BAD_NAMES:
            self.refuse(["create", name, "mode", "gre", "local", "198.18.1.1",
                         "remote", "198.18.1.2"], 2, "FIELD_INVALID", "name")

    def test_all_bad_fields_in_one_answer(self):
        result = self.refuse("create x mode gre local bogus remote 224.0.0.1 ttl 0 "
                             "tos 3 mtu 1 queues 999", 2, "FIELD_INVALID")
        text = json.dumps(result)
        for field in ("local", "remote", "ttl", "tos", "mtu", "queues"):
            self.assertIn(field, text)

    def test_underlay_device_that_does_not_exist(self):
        result = self.daemon.ctl(GRE + "dev nosuch0", check=False)
        self.assertIn(result.code, (1, 2), result)
        self.assertIn("nosuch0", result.err)

    def test_unreachable_daemon(self):
        tunnelctl = daemon.binary("tunnelctl")
        for target in ("unix:/nonexistent/sock", "unix:" + process.temp_dir(),
                       "127.0.0.1:1"):
            result = process.run([tunnelctl, "--target", target, "list"], check=False)
            self.assertEqual(result.code, 69, result)
            self.assertTrue(result.err.strip())

    def test_target_from_the_environment(self):
        env = dict(os.environ, TUNNELCTL_TARGET=self.daemon.target)
        out = process.run([daemon.binary("tunnelctl"), "list", "-o", "name"],
                          env=env).out
        self.assertEqual(out.split(), ["t", "u"])

    def test_not_permitted(self):
        program = os.path.join(self.daemon.directory, "tunnelctl")
        shutil.copy(daemon.binary("tunnelctl"), program)
        os.chmod(program, 0o755)
        os.chmod(self.daemon.directory, 0o755)
        for verb in (["list"], GRE.split()):
            result = process.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 program, "--target", self.daemon.target, *verb], check=False)
            self.assertEqual(result.code, 77, result)
            self.assertEqual(result.out, "")


def _add_cases():
    for number, (words, reason, part) in enumerate(INVALID):
        name = words if isinstance(words, str) else " ".join(words)
        name = name.replace(GRE, "gre ").replace(GIF, "gif ").replace(" ", "_")
        setattr(Input, "test_invalid_%02d_%s" % (number, name),
                lambda self, w=words, r=reason, p=part: self.refuse(w, 2, r, p))


_add_cases()


class Machine(unittest.TestCase):
    """What the machine lacks is said by name."""

    def test_no_tun_device(self):
        # A mount namespace of its own, in which /dev/net is empty.
        masked = Daemon(namespace.Namespace("m"), prefix=[
            "unshare", "--mount", "sh", "-c",
            'mount -t tmpfs none /dev/net && exec "$@"', "sh"])
        result = masked.ctl(*(GRE + "--json").split(), check=False)
        self.assertEqual(result.code, 1, result)
        error = error_of(result)
        self.assertEqual((error["code"], error["reason"]),
                         ("FAILED_PRECONDITION", "TUN_UNAVAILABLE"))
        self.assertIn("/dev/net/tun", error["message"])
        self.assertEqual(masked.json("list"), [])
        self.assertEqual(masked.stop(), 0)

    def test_missing_capability(self):
        for name in ("net_admin", "net_raw"):
            weak = Daemon(namespace.Namespace(name), start=False, prefix=[
                "setpriv", "--bounding-set=-" + name, "--inh-caps=-" + name])
            result = process.run(weak.command(), check=False, timeout=60)
            self.assertNotEqual(result.code, 0)
            self.assertIn("CAP_" + name.upper(), result.err)

    def test_no_other_capability_is_kept(self):
        normal = Daemon(namespace.Namespace("c"))
        with open("/proc/%d/status" % normal.child.pid) as f:
            status = dict(l.split(":\t", 1) for l in f if ":\t" in l)
        allowed = 1 << 12 | 1 << 13 | 1 << 39  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF
        for kind in ("CapEff", "CapPrm", "CapInh"):
            self.assertEqual(int(status[kind], 16) & ~allowed, 0, kind)
        self.assertEqual(normal.stop(), 0)


if __name__ == "__main__":
    runner.main()
