"""What people and scripts see: show, watch, stats, lock, help, the API examples."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import daemon, lab, process, rpc, runner, traffic


class Observe(lab.PairCase):
    QUIET = True

    def test_empty_list(self):
        self.assertEqual(self.a.daemon.json("show"), [])
        self.assertEqual(self.a.daemon.json("list"), [])
        self.assertEqual(self.a.daemon.json("stats"), [])
        self.assertEqual(self.a.daemon.ctl("list -o name").out, "")

    def test_every_field_is_shown_as_it_was_set(self):
        self.a.daemon.ctl(
            "create full mode gre local 198.18.1.1 remote 198.18.1.2 ikey 1 okey 2 "
            "csum seq ttl 9 tos 40 df off ecn compat mtu 1300 dev u0 fwmark 5 "
            "address 10.77.1.1/24 address 10.77.2.1/24 queues 1 txqueuelen 99 "
            "label site=ams label role=edge up")
        shown = self.a.daemon.show("full")
        expected = dict(
            name="full", mode="GRE", local="198.18.1.1", remote="198.18.1.2",
            input_key=1, output_key=2, checksum=True, sequence=True, ttl=9, tos=40,
            df="DF_OFF", ecn="ECN_COMPAT", mtu=1300, underlay_device="u0", fwmark=5,
            addresses=["10.77.1.1/24", "10.77.2.1/24"], queues=1, txqueuelen=99,
            labels={"site": "ams", "role": "edge"}, admin_state="ADMIN_UP",
            oper_state="OPER_UP", effective_mtu=1300, overhead=36)
        self.assertEqual({k: shown.get(k) for k in expected}, expected)
        self.assertEqual(shown["ifindex"], self.a.space.ifindex("full"))
        self.assertTrue(shown["etag"])
        text = self.a.daemon.ctl("show full").out
        for word in ("full", "198.18.1.1", "198.18.1.2", "gre"):
            self.assertIn(word, text)

    def test_flags_and_words_are_the_same(self):
        self.a.daemon.ctl("create --mode gre w --local 198.18.1.1 --remote 198.18.1.2 "
                          "--key 42", check=False)
        self.a.daemon.ctl("add v --key=43 --mode=gre remote 198.18.1.2 "
                          "--local 198.18.1.1")
        self.assertEqual(self.a.daemon.show("v")["key"], 43)

    def test_stats_count_each_packet_once(self):
        self.pair.create("t", 1, "gre", carries="4")
        self.assertEqual(traffic.ping(self.a.space, lab.inner(1, "4", 2), 25, 100), 25)
        for host in self.pair.hosts:
            stats = host.daemon.stats("t")
            self.assertEqual(stats, {
                "receive_packets": 25, "transmit_packets": 25, "drops": {},
                "receive_bytes": 25 * 128, "transmit_bytes": 25 * 128})

    def test_stats_survive_changes_and_count_drops(self):
        self.pair.create("t", 1, "gre", carries="4")
        target = lab.inner(1, "4", 2)
        self.assertEqual(traffic.ping(self.a.space, target, 5), 5)
        self.a.daemon.ctl("set t key 9")
        self.assertEqual(traffic.ping(self.a.space, target, 4, wait=0.2), 0)
        stats = self.a.daemon.stats("t")
        self.assertEqual((stats["receive_packets"], stats["transmit_packets"]), (5, 9))
        client = rpc.Client(self.b.daemon.target)
        reply = client.telemetry.GetStats(client.messages.GetStatsRequest())
        drops = dict(reply.unmatched_drops)
        for reason, count in reply.tunnels[0].receive_drops.items():
            drops[reason] = drops.get(reason, 0) + count
        self.assertEqual(drops, {"key_unexpected": 4})
        client.close()
        row = self.a.daemon.json("stats t")[0]
        self.assertEqual(row["name"], "t")

    def test_watch_shows_the_snapshot_then_each_change(self):
        self.a.daemon.ctl("create old mode gre local 198.18.1.1 remote 198.18.1.2")
        watch = self.a.daemon.spawn_ctl("watch", "--json", stdout=subprocess.PIPE,
                                        text=True)
        self.addCleanup(process.stop, watch)
        self.addCleanup(watch.stdout.close)
        event = lambda: json.loads(watch.stdout.readline())
        self.assertEqual(event()["added"]["name"], "old")
        self.assertIn("synced", event())
        ctl = self.a.daemon.ctl
        ctl("create new mode gre local 198.18.2.1 remote 198.18.2.2")
        first = event()
        self.assertEqual(first["added"]["name"], "new")
        ctl("set new ttl 9")
        second = event()
        self.assertEqual(second["modified"]["ttl"], 9)
        ctl("pause new")
        self.assertEqual(event()["modified"]["oper_state"], "OPER_PAUSED")
        ctl("delete old")
        last = event()
        self.assertEqual(last["deleted"], "old")
        self.assertEqual(first["epoch"], last["epoch"])
        self.assertLess(int(first["revision"]), int(second["revision"]))
        self.assertLess(int(second["revision"]), int(last["revision"]))

    def test_watch_of_one_name(self):
        watch = self.a.daemon.spawn_ctl("watch", "mine", "--json", text=True,
                                        stdout=subprocess.PIPE)
        self.addCleanup(process.stop, watch)
        self.addCleanup(watch.stdout.close)
        self.assertIn("synced", json.loads(watch.stdout.readline()))
        for name, key in (("other", 1), ("mine", 2)):
            self.a.daemon.ctl("create %s mode gre local 198.18.1.1 remote 198.18.1.2 "
                              "key %d" % (name, key))
        event = json.loads(watch.stdout.readline())
        self.assertEqual(event["added"]["name"], "mine")

    def free_lock(self):
        """The state of the lock; None while somebody holds it."""
        state = json.loads(self.a.daemon.ctl("lock", "show", "--json").out)
        return None if "holder" in state else state

    def test_lock_show(self):
        # The monitor holds it for a moment when links have changed.
        state = process.wait_until(self.free_lock, what="nobody holds the lock")
        before = int(state.get("acquired_total", 0))
        self.a.daemon.ctl("create t mode gre local 198.18.1.1 remote 198.18.1.2")
        state = json.loads(self.a.daemon.ctl("lock", "show", "--json").out)
        self.assertGreater(int(state["acquired_total"]), before)
        self.assertTrue(self.a.daemon.ctl("lock show").out.strip())
        result = self.a.daemon.ctl("lock interrupt 12345", check=False)
        self.assertNotEqual(result.code, 0)

    def test_version_and_help(self):
        self.assertRegex(self.a.daemon.ctl("version").out, r"\d")
        text = self.a.daemon.ctl("help").out
        for verb in ("create", "show", "set", "delete", "up", "down", "pause", "resume",
                     "detach", "attach", "watch", "stats", "lock", "version"):
            self.assertIn(verb, text)
        for verb in ("create", "set", "pause", "watch"):
            self.assertIn(verb, self.a.daemon.ctl("help", verb).out)
        # Help and version need no daemon.
        nowhere = ["--target", "unix:/nonexistent/sock"]
        process.run([daemon.binary("tunnelctl"), *nowhere, "help"])
        process.run([daemon.binary("tunnelctl"), *nowhere, "version"])

    def test_data_and_messages_go_to_different_streams(self):
        result = self.a.daemon.ctl("show nothing --json", check=False)
        self.assertEqual(json.loads(result.out), [])  # what was found
        error = json.loads(result.err)
        self.assertEqual(error["reason"], "TUNNEL_NOT_FOUND")
        self.assertLessEqual({"code", "message", "metadata", "reason"}, set(error))
        # No colour codes in a pipe.
        self.a.daemon.ctl("create t mode gre local 198.18.1.1 remote 198.18.1.2")
        self.assertNotIn("\x1b", self.a.daemon.ctl("show t").out)

    def test_python_example(self):
        self.a.daemon.ctl("create py0 mode gre local 198.18.1.1 remote 198.18.1.2 key 7")
        script = os.path.join(daemon.root(), "docs/examples/list_tunnels.py")
        env = dict(os.environ, PYTHONPATH=rpc.stub_directory())
        out = process.run(["/usr/bin/python3", script, self.a.daemon.target],
                          env=env).out
        self.assertRegex(out, r"py0\s+GRE\s+198\.18\.1\.1\s+198\.18\.1\.2\s+OPER_UP")
        with open(script) as f:
            code = [l for l in f if l.strip() and not l.startswith("#")]
        self.assertLessEqual(len(code), 24)
        self.assertTrue(re.search("import grpc", "".join(code)))

    def test_health_and_reflection(self):
        client = rpc.Client(self.a.daemon.target)
        raw = lambda b: b
        check = client.channel.unary_unary("/grpc.health.v1.Health/Check", raw, raw)
        self.assertEqual(check(b"", timeout=60), b"\x08\x01")  # SERVING
        reflect = client.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", raw, raw)
        reply = next(reflect(iter([b"\x3a\x00"]), timeout=60))  # list_services: ""
        for service in (b"tunnel.v1.TunnelService", b"tunnel.v1.ConfigService",
                        b"tunnel.v1.TelemetryService", b"grpc.health.v1.Health"):
            self.assertIn(service, reply)
        client.close()


if __name__ == "__main__":
    runner.main()
