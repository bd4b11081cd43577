"""Whole configurations: apply, diff, confirm, revert, validate, from TOML files."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import daemon, lab, process, proxy, rpc, runner, traffic

# What going back may change: the count of changes and the time of the last one.
MOVING = ("generation", "update_time")


def tunnel_text(host, name, number, words="", inner=None):
    """A [[tunnel]] between the outer addresses `number`; `inner` is the number of
    its inner ones (the same)."""
    return ('[[tunnel]]\nname = "%s"\nmode = "gre"\nlocal = "%s"\nremote = "%s"\n'
            'addresses = ["%s/24"]\n%s\n' % (
                name, lab.outer(number, "4", host.end),
                lab.outer(number, "4", 3 - host.end),
                lab.inner(inner or number, "4", host.end), words))


class Apply(lab.PairCase):
    """Tunnels x, y and z (numbers 1 to 3) on both hosts."""

    TUNNELS, QUIET = 8, True

    def setUp(self):
        for host in self.pair.hosts:
            self.apply(host, self.three(host))

    def tearDown(self):
        for host in self.pair.hosts:
            host.daemon.ctl("revert", check=False)
        super().tearDown()

    def three(self, host, numbers=(1, 2, 3)):
        return "".join(tunnel_text(host, name, number, inner=inner)
                       for inner, (name, number) in enumerate(zip("xyz", numbers), 1))

    def path(self, host, text, name="tunnels.toml"):
        path = os.path.join(host.daemon.directory, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def apply(self, host, text, *words, check=True):
        return host.daemon.ctl("apply", "-f", self.path(host, text), *words, check=check)

    def pipe(self, host, text, *words):
        return process.run(host.daemon.ctl_argv(*words), stdin=text, check=False)

    def ping(self, number):
        return traffic.ping(self.a.space, lab.inner(number, "4", 2), 3)

    def links(self, host):
        """All that `ip` knows of links and addresses."""
        return host.space.ip("-d -o link show").out + host.space.ip("-o addr show").out

    def revision(self, host):
        client = rpc.Client(host.daemon.target)
        reply = client.tunnels.ListTunnels(client.messages.ListTunnelsRequest())
        client.close()
        return reply.epoch, reply.revision, reply.etag

    def shown(self, host, without=MOVING):
        return [{k: v for k, v in t.items() if k not in without}
                for t in host.daemon.json("show")]

    def test_second_apply_touches_nothing(self):
        for number in (1, 2, 3):
            self.assertEqual(self.ping(number), 3)
        host = self.a
        before = host.daemon.json("show"), self.links(host), self.revision(host)
        self.assertEqual([t["name"] for t in before[0]], ["x", "y", "z"])
        monitor = host.space.spawn(["ip", "monitor", "link", "address", "route"],
                                   stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        path = self.path(host, self.three(host))
        again = host.daemon.ctl("apply", "-f", path, "--prune")
        self.assertEqual((again.out, again.err), ("", "nothing to change\n"))
        shown = host.daemon.ctl("show -o toml").out
        as_json = host.daemon.ctl("show --json").out
        for text in (shown, as_json, self.three(host)):
            same = self.pipe(host, text, "diff", "-f", "-", "--prune")
            self.assertEqual((same.code, same.out, same.err), (0, "", ""))
            applied = self.pipe(host, text, "apply", "-f", "-", "--prune")
            self.assertEqual((applied.code, applied.err), (0, "nothing to change\n"))
        change = json.loads(self.pipe(host, shown, "apply", "-f", "-", "--json").out)
        self.assertTrue(change["no_op"])
        time.sleep(0.3)
        monitor.terminate()
        self.assertEqual(monitor.communicate()[0], "")
        self.assertEqual((host.daemon.json("show"), self.links(host),
                          self.revision(host)), before)

    def test_every_field_survives_the_way_through_a_file(self):
        host = self.a
        full = tunnel_text(host, "full", 4, """ikey = 0
okey = "0.0.1.0"
csum = true
seq = true
ttl = "inherit"
tos = 40
df = "off"
ecn = "compat"
mtu = 1300
dev = "u0"
fwmark = 5
queues = 1
txqueuelen = 99
transport = "udp"
udp_port = 4000
udp_source_port = 4001
udp_zero_checksum = true
fragment = "outer"
allowed_ips = ["10.0.0.0/8", "2001:db8::/32"]
mss_clamp = "auto"
up = false
labels = { site = "a \\"b\\" \\\\ c", "x/y" = "" }""")
        self.apply(host, full)
        shown = host.daemon.show("full")
        self.assertEqual(shown.get("input_key"), 0)
        self.assertEqual(shown["output_key"], 256)
        self.assertEqual(shown["transport"], "TRANSPORT_UDP")
        self.assertEqual(shown["allowed_ips"], ["10.0.0.0/8", "2001:db8::/32"])
        self.assertEqual(shown["mss_clamp"], 0)
        self.assertEqual(shown["labels"], {"site": 'a "b" \\ c', "x/y": ""})
        text = host.daemon.ctl("show full -o toml").out
        self.assertEqual(self.pipe(host, text, "diff", "-f", "-").code, 0)
        host.daemon.ctl("delete full")
        self.assertEqual(self.pipe(host, text, "apply", "-f", "-").code, 0)
        again = host.daemon.show("full")
        moving = MOVING + ("ifindex", "create_time")
        self.assertEqual({k: v for k, v in again.items() if k not in moving},
                         {k: v for k, v in shown.items() if k not in moving})

    def test_two_tunnels_swap_their_endpoints_and_the_third_loses_nothing(self):
        sink = traffic.UdpSink(self.b.space, lab.inner(3, "4", 2))
        source = traffic.UdpSource(self.a.space, lab.inner(3, "4", 2), sink.port,
                                   rate=500).start()
        before = {t["name"]: t for t in self.a.daemon.json("show")}
        for numbers in ((2, 1, 3), (1, 2, 3)) * 3 + ((2, 1, 3),):
            for host in self.pair.hosts:
                result = self.apply(host, self.three(host, numbers))
                self.assertRegex(result.out, r"^~ x .*\n(    .*\n)+~ y .*\n(    .*\n)+$")
                self.assertRegex(result.err, r"^2 changed in ")
            for number in (1, 2):
                self.assertEqual(self.ping(number), 3)
        sent = source.stop()
        self.assertEqual(sink.wait_for(sent), sent)
        self.assertEqual((sink.bad, sink.numbers), (0, sorted(sink.numbers)))
        sink.close()
        self.assertGreater(sent, 100)
        after = {t["name"]: t for t in self.a.daemon.json("show")}
        for name, number in (("x", 2), ("y", 1)):
            self.assertEqual(after[name]["local"], lab.outer(number, "4", 1))
            self.assertEqual(after[name]["ifindex"], before[name]["ifindex"])
            self.assertEqual(int(after[name]["generation"]),
                             int(before[name]["generation"]) + 7)
        self.assertEqual(after["z"], before["z"])

    def test_an_error_in_one_of_many_changes_nothing(self):
        host = self.a
        host.space.ip("link add taken type veth peer name taken2")
        self.addCleanup(host.space.ip, "link del taken")
        before = host.daemon.json("show"), self.links(host), self.revision(host)
        good = tunnel_text(host, "x", 4, "ttl = 9") + tunnel_text(host, "new", 5)
        cases = (
            (tunnel_text(host, "taken", 6), 4, ":15:1: 'taken': ", "NAME_IN_USE"),
            # Held by z, which the file does not move.
            (tunnel_text(host, "w", 3), 4, ":15:1: 'w': ", "ENDPOINT_PAIR_IN_USE"),
            # What is fixed once the device is made.
            (tunnel_text(host, "z", 3).replace('"gre"', '"gretap"'), 78, ":17:8: 'z' ",
             "CONFIG_FILE_INVALID"),
            (tunnel_text(host, "w", 6, 'dev = "nowhere"'), 1, ":15:1: 'w': ",
             "DEVICE_NOT_FOUND"))
        for bad, code, place, reason in cases:
            with self.subTest(reason):
                for words in ((), ("--dry-run",)):
                    result = self.apply(host, good + bad, *words, check=False)
                    self.assertEqual((result.code, result.out), (code, ""), result)
                    self.assertIn(place, result.err)
                error = json.loads(self.apply(host, good + bad, "--json",
                                              check=False).err)
                self.assertEqual((error["reason"], error["exit_code"]), (reason, code))
                self.assertEqual((host.daemon.json("show"), self.links(host),
                                  self.revision(host)), before)
        for number in (1, 2, 3):
            self.assertEqual(self.ping(number), 3)

    def test_dry_run_and_diff_show_the_same_and_touch_nothing(self):
        host = self.a
        before = host.daemon.json("show"), self.links(host), self.revision(host)
        path = self.path(host, tunnel_text(host, "x", 1, "key = 7\nttl = 9") +
                         tunnel_text(host, "new", 5))
        diff = host.daemon.ctl("diff", "-f", path, "--prune", check=False)
        self.assertEqual(diff.code, 1, diff)
        self.assertEqual([l.split()[:2] for l in diff.out.splitlines() if l[0] != " "],
                         [["+", "new"], ["~", "x"], ["-", "y"], ["-", "z"]])
        self.assertIn("+ new gre 198.18.5.1 -> 198.18.5.2\n", diff.out)
        self.assertIn("~ x\n    key none -> 7\n    ttl 64 -> 9\n", diff.out)
        self.assertIn("- y gre 198.18.2.1 -> 198.18.2.2\n", diff.out)
        self.assertIn("- z gre 198.18.3.1 -> 198.18.3.2\n", diff.out)
        dry = host.daemon.ctl("apply", "-f", path, "--prune", "--dry-run")
        self.assertEqual(dry.out, diff.out)
        self.assertEqual((host.daemon.json("show"), self.links(host),
                          self.revision(host)), before)
        host.daemon.ctl("apply", "-f", path, "--prune")
        self.assertEqual(host.daemon.ctl("list -o name").out.split(), ["new", "x"])
        self.assertIsNone(host.space.ifindex("y"))
        self.assertEqual(host.daemon.ctl("diff", "-f", path, "--prune").out, "")

    def test_an_etag_of_the_whole_guards_an_apply(self):
        host = self.a
        etag = self.revision(host)[2]
        text = tunnel_text(host, "x", 1, "ttl = 9")
        host.daemon.ctl("set y ttl 8")
        refused = self.apply(host, text, "--if-match", etag, check=False)
        self.assertEqual(refused.code, 4, refused)
        self.assertEqual(host.daemon.show("x").get("ttl"), 64)
        self.apply(host, text, "--if-match", self.revision(host)[2])
        self.assertEqual(host.daemon.show("x")["ttl"], 9)

    def pending(self, host):
        return host.daemon.json("lock show").get("pending")

    def everything(self, host):
        """A file that changes x, deletes z and makes a new tunnel."""
        return self.path(host, tunnel_text(host, "x", 4, "key = 7") +
                         tunnel_text(host, "y", 2) + tunnel_text(host, "new", 5))

    def test_without_confirmation_it_goes_back_by_itself(self):
        host = self.a
        before, links = self.shown(host), self.links(host)
        client = host.daemon.spawn_ctl(
            "apply", "-f", self.everything(host), "--prune", "--confirm", "4s",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.wait_until(lambda: self.pending(host), what="awaits confirmation")
        client.send_signal(signal.SIGKILL)
        client.wait()
        self.assertEqual(host.daemon.ctl("list -o name").out.split(), ["new", "x", "y"])
        self.assertEqual(host.daemon.show("x")["local"], lab.outer(4, "4", 1))
        refused = host.daemon.ctl("set y ttl 9", check=False)
        self.assertEqual(refused.code, 1, refused)
        for word in ("confirm", "revert"):
            self.assertIn("tunnelctl " + word, refused.err)
        process.wait_until(lambda: not self.pending(host), what="went back")
        # z has been made again: another interface, all else as it was.
        again = MOVING + ("ifindex",)
        after = self.shown(host)
        self.assertEqual([t["name"] for t in after], ["x", "y", "z"])
        self.assertEqual(after[:2], before[:2])
        self.assertEqual({k: v for k, v in after[2].items() if k not in again},
                         {k: v for k, v in before[2].items() if k not in again})
        kept = lambda text: [l for l in text.splitlines() if " z" not in l]
        self.assertEqual(kept(self.links(host)), kept(links))
        for number in (1, 2, 3):
            self.assertEqual(self.ping(number), 3)
        late = host.daemon.ctl("confirm", check=False)
        self.assertEqual(late.code, 1, late)

    def test_confirmation_keeps_and_revert_goes_back_at_once(self):
        host = self.a
        before = self.shown(host, MOVING + ("ifindex",))
        path = self.everything(host)
        result = host.daemon.ctl("apply", "-f", path, "--prune", "--confirm", "60s")
        self.assertRegex(result.err, r"goes back by itself in [56]\d(\.\d)? s \(new x z\)")
        number = self.pending(host)["id"]
        self.assertIn("tunnelctl confirm " + number, result.err)
        wrong = host.daemon.ctl("revert", "not-" + number, check=False)
        self.assertEqual(wrong.code, 1, wrong)
        planned = host.daemon.ctl("revert", number, "--dry-run")
        self.assertTrue(self.pending(host))
        back = host.daemon.ctl("revert", number)
        first = lambda text: [l.split("(")[0].split() for l in text.splitlines()]
        self.assertEqual(first(back.out), first(planned.out))
        self.assertEqual(self.shown(host, MOVING + ("ifindex",)), before)
        self.assertFalse(self.pending(host))
        host.daemon.ctl("apply", "-f", path, "--prune", "--confirm", "3s")
        self.assertEqual(host.daemon.ctl("confirm").out, "confirmed\n")
        kept = host.daemon.json("show")
        time.sleep(3.2)
        self.assertEqual(host.daemon.json("show"), kept)
        self.assertEqual([t["name"] for t in kept], ["new", "x", "y"])

    def test_bad_files_name_each_line_and_change_nothing(self):
        host = self.a
        before = host.daemon.json("show"), self.links(host), self.revision(host)
        text = (tunnel_text(host, "x", 1, "remot = 3\nttl = 300") +
                tunnel_text(host, "x", 1))
        for verb in ("apply", "diff", "validate"):
            path = self.path(host, text, "bad.toml")
            result = host.daemon.ctl(verb, "-f", path, check=False)
            self.assertEqual((result.code, result.out), (78, ""), result)
            self.assertEqual(result.err.splitlines()[1:5], [
                "  %s:7:1: unknown word 'remot'; did you mean 'remote'?" % path,
                "  %s:8:7: ttl: 300; want 1 to 255, or ttl_inherit" % path,
                "  %s:10:8: the name 'x' is that of the tunnel in line 2" % path,
                "  correct the lines that are named; docs/config_file.md has every "
                "word"])
            result = self.pipe(host, "[[tunnel]\n", verb, "-f", "-")
            self.assertEqual(result.code, 78)
            self.assertRegex(result.err, r"stdin:1:\d+: ")
            result = self.pipe(host, '[{"name": "x" "y"}]', verb, "-f", "-")
            self.assertIn("stdin:1:15: expected ',' or '}', got '\"'", result.err)
        self.assertEqual((host.daemon.json("show"), self.links(host),
                          self.revision(host)), before)

    def test_validate_needs_no_daemon_and_the_example_is_valid(self):
        example = os.path.join(daemon.root(), "docs/examples/tunneld.toml")
        result = process.run([daemon.binary("tunnelctl"), "--target",
                              "unix:/nonexistent/socket", "validate", "-f", example])
        self.assertRegex(result.out, r": valid, \d+ tunnels; the file alone was checked")
        path = self.path(self.a, self.three(self.a))
        result = self.a.daemon.ctl("validate", "-f", path)
        self.assertIn("the daemon agrees (nothing to change)", result.out)

    def test_a_repeated_request_gets_the_first_outcome(self):
        ctl, number = self.a.daemon.ctl, str(uuid.uuid4())
        first = ctl("set", "x", "ttl", "9", "--request-id", number)
        self.assertEqual(first.err, "")
        ctl("set x ttl 10")
        again = ctl("set", "x", "ttl", "9", "--request-id", number)
        self.assertEqual(again.out, first.out)
        self.assertIn("already done by an earlier call", again.err)
        self.assertEqual(self.a.daemon.show("x")["ttl"], 10)
        other = ctl("set", "x", "ttl", "11", "--request-id", number, check=False)
        self.assertEqual(other.code, 2, other)
        self.assertIn("request_id", other.err)

    def test_a_lost_reply_is_asked_for_again_and_the_change_made_once(self):
        host = self.a
        between = proxy.SwallowingProxy(
            os.path.join(host.daemon.directory, "proxy.sock"), host.daemon.socket)
        self.addCleanup(between.close)
        generation = int(host.daemon.show("x")["generation"])
        client = process.spawn(
            [daemon.binary("tunnelctl"), "--target", between.target, "set", "x", "ttl", "9"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.wait_until(lambda: host.daemon.show("x").get("ttl") == 9, what="commit")
        self.assertIsNone(client.poll(), "it waits for the reply")
        between.cut()
        out, err = client.communicate(timeout=60)
        self.assertEqual((client.returncode, out.split(" (")[0].strip()),
                         (0, "x: ttl 64 -> 9"), err)
        self.assertIn("already done by an earlier call", err)
        self.assertEqual(int(host.daemon.show("x")["generation"]), generation + 1)


if __name__ == "__main__":
    runner.main()
