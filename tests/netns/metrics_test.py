"""Metrics for Prometheus: the text, its numbers against `stats`, the web server."""

import http.client
import os
import re
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from prometheus_client import parser

from tests.lib import daemon, lab, packets, process, rpc, runner, traffic

PORT = 9469
TUNNELS = {"keyed": 1, "plain": 2}
DROPS = 3

# What contract and documentation promise: name (without _total) -> type.
FAMILIES = {
    "tunnel_info": "gauge",
    "tunnel_up": "gauge",
    "tunnel_receive_packets": "counter",
    "tunnel_receive_bytes": "counter",
    "tunnel_transmit_packets": "counter",
    "tunnel_transmit_bytes": "counter",
    "tunnel_transmit_passed_packets": "counter",
    "tunnel_dropped_packets": "counter",
    "tunnel_last_receive_timestamp_seconds": "gauge",
    "tunnel_mtu_bytes": "gauge",
    "tunnel_datapath_info": "gauge",
    "tunnel_batch_packets": "histogram",
    "tunnel_queue_packets": "gauge",
    "tunnel_queue_capacity_packets": "gauge",
    "tunnel_queue_high_watermark_packets": "gauge",
    "tunnel_handoff_packets": "counter",
    "tunnel_handoff_dropped_packets": "counter",
    "tunnel_handoff_pushes": "counter",
    "tunnel_handoff_visits": "counter",
    "tunnel_handoff_depth_packets": "histogram",
    "tunnel_handoff_wakeups": "counter",
    "tunnel_worker_busy_seconds": "counter",
    "tunnel_worker_syscalls": "counter",
    "tunnel_worker_wakeups": "counter",
    "tunnel_worker_socket_dropped_packets": "counter",
    "tunnel_config_lock_wait_seconds": "histogram",
    "tunnel_config_lock_hold_seconds": "histogram",
    "tunnel_config_lock_interrupted": "counter",
    "tunnel_rewire_phase_seconds": "histogram",
    "grpc_server_handled": "counter",
}
UNITS = ("_bytes", "_seconds", "_packets")
STAT = {"tunnel_receive_packets": "receive_packets",
        "tunnel_receive_bytes": "receive_bytes",
        "tunnel_transmit_packets": "transmit_packets",
        "tunnel_transmit_bytes": "transmit_bytes"}


def fetch(space, path="/metrics"):
    """(status, content type, text) of a GET in this namespace."""
    with space.entered():
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        connection.connect()
    connection.request("GET", path)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, reply.getheader("Content-Type", ""), text


class Scrape:
    """One text, parsed by the client library of Prometheus."""

    def __init__(self, text):
        self.text = text
        self.families = {f.name: f for f in parser.text_string_to_metric_families(text)}

    def value(self, sample, **labels):
        """The one sample with this name and these labels, 0 when there is none."""
        family = self.families[re.sub(r"_(total|count|sum|bucket)$", "", sample)]
        found = [s.value for s in family.samples
                 if s.name == sample and labels.items() <= s.labels.items()]
        assert len(found) <= 1, found
        return found[0] if found else 0

    def total(self, sample, **labels):
        family = self.families[re.sub(r"_total$", "", sample)]
        return sum(s.value for s in family.samples
                   if s.name == sample and labels.items() <= s.labels.items())


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS), start=False)
        cls.a, cls.b = cls.pair.hosts
        for host in cls.pair.hosts:
            host.space.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
            host.daemon = daemon.Daemon(host.space, [  # figures of the workers
                "--metrics_listen=127.0.0.1:%d" % PORT, "--workers=2", "--datapath=user"])
        cls.pair.create("keyed", TUNNELS["keyed"], "gre", options="key 42", carries="4")
        cls.pair.create("plain", TUNNELS["plain"], "gre", carries="4")
        cls.client = rpc.Client(cls.a.daemon.target)
        cls.begin = time.time()
        for name, count in (("keyed", 20), ("plain", 7)):
            assert traffic.ping(cls.a.space, lab.inner(TUNNELS[name], "4", 2),
                                count, 100) == count
        cls.send_drops()

    @classmethod
    def send_drops(cls):
        """Packets for no tunnel, and some that "plain" refuses."""
        sender = packets.RawSender(cls.b.space)
        for number, martian in ((TUNNELS["keyed"], False), (TUNNELS["plain"], True)):
            source = "127.0.0.1" if martian else lab.inner(number, "4", 2)
            inner = packets.ipv4(source, lab.inner(number, "4", 1), 17,
                                 packets.udp(source, lab.inner(number, "4", 1), 9, 9,
                                             b"x" * 20))
            for _ in range(DROPS):
                sender.send(packets.ipv4(
                    lab.outer(number, "4", 2), lab.outer(number, "4", 1), 47,
                    packets.gre(0x0800, inner)))
        sender.close()
        process.wait_until(lambda: cls.all_drops() >= 2 * DROPS, what="drops are counted")

    @classmethod
    def all_drops(cls):
        stats = cls.client.telemetry.GetStats(cls.client.messages.GetStatsRequest())
        total = sum(stats.unmatched_drops.values())
        for tunnel in stats.tunnels:
            total += sum(tunnel.receive_drops.values())
            total += sum(tunnel.transmit_drops.values())
        return total

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.pair.close()

    def scrape(self):
        status, kind, text = fetch(self.a.space)
        self.assertEqual(status, 200)
        self.assertIn("text/plain", kind)
        return Scrape(text)

    def test_every_family_has_its_type_help_and_unit(self):
        scrape = self.scrape()
        ours = {name: family.type for name, family in scrape.families.items()
                if not name.startswith("exposer_")}
        self.assertEqual(ours, FAMILIES)
        for name, family in scrape.families.items():
            if name.startswith("exposer_"):
                continue
            self.assertRegex(family.documentation, r"^[A-Z0-9].*\.$", name)
            line = name + ("_total" if family.type == "counter" else "")
            self.assertIn("# HELP %s " % line, scrape.text)
            self.assertIn("# TYPE %s %s" % (line, family.type), scrape.text)
            if family.type == "histogram":
                self.assertTrue(name.endswith(UNITS), name)
            for sample in family.samples:
                for label in sample.labels:
                    self.assertRegex(label, r"^[a-z][a-z_]*$")

    def test_counters_are_those_of_stats(self):
        for host in self.pair.hosts:
            scrape = Scrape(fetch(host.space)[2])
            for name in TUNNELS:
                stats = host.daemon.stats(name)
                for family, field in STAT.items():
                    self.assertEqual(scrape.value(family + "_total", tunnel=name),
                                     stats[field], (name, family))
                self.assertEqual(
                    scrape.total("tunnel_dropped_packets_total", tunnel=name),
                    sum(stats["drops"].values()))
        self.assertEqual(scrape.value("tunnel_receive_packets_total", tunnel="keyed"), 20)
        self.assertEqual(scrape.value("tunnel_receive_bytes_total", tunnel="plain"),
                         7 * 128)

    def test_drops_add_up_to_every_drop(self):
        scrape = self.scrape()
        self.assertEqual(scrape.total("tunnel_dropped_packets_total"), self.all_drops())
        self.assertEqual(scrape.value("tunnel_dropped_packets_total", tunnel="plain",
                                      direction="receive", reason="martian_source"),
                         DROPS)
        # A packet without key on a pair that has a tunnel with one.
        self.assertEqual(scrape.total("tunnel_dropped_packets_total",
                                      reason="key_missing"), DROPS)

    def test_state_of_the_tunnels(self):
        scrape = self.scrape()
        info = [s for s in scrape.families["tunnel_info"].samples
                if s.labels["tunnel"] == "keyed"][0]
        self.assertEqual(info.value, 1)
        self.assertEqual(
            {k: info.labels[k] for k in ("mode", "local", "remote", "input_key",
                                         "output_key", "underlay_device")},
            dict(mode="gre", local=lab.outer(1, "4", 1), remote=lab.outer(1, "4", 2),
                 input_key="42", output_key="42", underlay_device=""))
        self.assertEqual(scrape.value("tunnel_up", tunnel="plain"), 1)
        self.assertEqual(scrape.value("tunnel_mtu_bytes", tunnel="plain"), 1500 - 24)
        last = scrape.value("tunnel_last_receive_timestamp_seconds", tunnel="plain")
        self.assertGreaterEqual(last, self.begin)
        self.assertLessEqual(last, time.time())
        self.a.daemon.ctl("down plain")
        self.assertEqual(self.scrape().value("tunnel_up", tunnel="plain"), 0)
        self.a.daemon.ctl("up plain")
        self.assertEqual(self.scrape().value("tunnel_up", tunnel="plain"), 1)

    def test_changes_calls_and_the_lock_are_counted(self):
        before = self.scrape()
        self.a.daemon.ctl("set plain key 5")
        self.a.daemon.ctl("set plain nokey")
        self.a.daemon.ctl("set plain ttl 300", check=False)
        self.a.daemon.ctl("set nope ttl 9", check=False)
        after = self.scrape()

        def more(sample, **labels):
            return after.value(sample, **labels) - before.value(sample, **labels)

        for phase in ("prepare", "pause", "detach", "attach", "establish", "resume"):
            self.assertEqual(more("tunnel_rewire_phase_seconds_count", phase=phase), 2)
        handled = "grpc_server_handled_total"
        self.assertEqual(more(handled, grpc_method="UpdateTunnel", grpc_code="OK"), 2)
        self.assertEqual(more(handled, grpc_method="UpdateTunnel",
                              grpc_code="InvalidArgument"), 1)
        self.assertEqual(more(handled, grpc_method="UpdateTunnel",
                              grpc_code="NotFound"), 1)
        for word in ("wait", "hold"):
            name = "tunnel_config_lock_%s_seconds" % word
            self.assertGreaterEqual(more(name + "_count"), 3)
            self.assertGreater(after.value(name + "_sum"), 0)
            buckets = [s.value for s in after.families[name].samples
                       if s.name.endswith("_bucket")]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(len(buckets), 23)
            self.assertEqual(buckets[-1], after.value(name + "_count"))

    def test_batches_hold_every_packet(self):
        scrape = self.scrape()
        stats = self.client.telemetry.GetStats(self.client.messages.GetStatsRequest())
        for worker in stats.workers:
            for direction in ("receive", "transmit"):
                labels = dict(worker=str(worker.worker), direction=direction)
                self.assertEqual(
                    scrape.value("tunnel_batch_packets_sum", **labels),
                    getattr(worker, direction + "_packets"))
                self.assertEqual(
                    scrape.value("tunnel_batch_packets_count", **labels),
                    sum(getattr(worker, direction + "_batch_histogram")))

    def test_system_calls_by_what_they_are_for(self):
        kinds = ("poll", "receive", "send", "read", "write", "wake", "other")

        def seen():
            stats = self.client.telemetry.GetStats(self.client.messages.GetStatsRequest())
            for worker in stats.workers:
                self.assertEqual(worker.syscalls.keys(), set(kinds))
            scrape = self.scrape()
            calls = {kind: scrape.total("tunnel_worker_syscalls_total", kind=kind)
                     for kind in kinds}
            calls["send batches"] = sum(w.transmit_batches for w in stats.workers)
            calls["receive batches"] = sum(w.receive_batches for w in stats.workers)
            return calls

        before = seen()
        for _ in range(20):
            self.assertEqual(traffic.ping(self.a.space, lab.inner(1, "4", 2), 1), 1)
        more = {what: count - before[what] for what, count in seen().items()}
        # Each answer is waited for, so that there is one packet at a time.
        self.assertEqual([more[k] for k in ("send", "send batches", "write")], [20] * 3)
        # The read behind the last packet says that there is none.
        self.assertEqual(more["read"], 2 * 20)
        self.assertEqual(more["receive batches"], 20)
        self.assertGreaterEqual(more["receive"], 20)
        self.assertGreaterEqual(more["poll"], 20)
        self.assertEqual(more["wake"], 0)

    def test_the_api_gives_the_same_text(self):
        reply = self.client.telemetry.GetMetrics(self.client.messages.GetMetricsRequest())
        from_api = Scrape(reply.text)
        self.assertEqual({n: f.type for n, f in from_api.families.items()}, FAMILIES)
        for name in TUNNELS:
            self.assertEqual(
                from_api.value("tunnel_receive_packets_total", tunnel=name),
                self.a.daemon.stats(name)["receive_packets"])
        self.assertEqual(self.a.daemon.ctl("metrics").code, 0)

    def test_other_paths_and_half_requests_do_no_harm(self):
        self.assertEqual(fetch(self.a.space, "/")[0], 404)
        self.assertEqual(fetch(self.a.space, "/../../etc/passwd")[0], 404)
        with self.a.space.entered():
            stuck = socket.create_connection(("127.0.0.1", PORT))
        stuck.sendall(b"GET /metr")
        self.scrape()
        stuck.close()


class Start(unittest.TestCase):
    """What --metrics_listen does before and after the daemon serves."""

    def setUp(self):
        self.pair = lab.Pair(1, start=False)
        self.space = self.pair.a.space

    def tearDown(self):
        self.pair.close()

    def test_is_off_by_default(self):
        self.pair.a.daemon = daemon.Daemon(self.space)
        with self.assertRaises(ConnectionRefusedError):
            fetch(self.space)

    def test_ends_with_hanging_readers_and_has_few_threads(self):
        host = self.pair.a
        host.daemon = daemon.Daemon(self.space)
        tasks = len(os.listdir("/proc/%d/task" % host.daemon.child.pid))
        host.daemon.stop()
        host.daemon = daemon.Daemon(self.space,
                                    ["--metrics_listen=127.0.0.1:%d" % PORT])
        self.assertEqual(fetch(self.space)[0], 200)
        with self.space.entered():
            hanging = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(3)]
        more = len(os.listdir("/proc/%d/task" % host.daemon.child.pid)) - tasks
        self.assertLess(more, 8)
        self.assertEqual(host.daemon.stop(), 0)  # else it is killed
        for connection in hanging:
            connection.close()

    def test_a_bad_address_is_a_clear_error(self):
        for text in ("9469", "localhost:9469", "127.0.0.1", "127.0.0.1:0", "[::1]:9469",
                     "127.0.0.1:65536", "127.0.0.1:9469,0.0.0.0:80", "127.0.0.1:80s"):
            child = daemon.Daemon(self.space, ["--metrics_listen=" + text], start=False)
            child.launch().child.wait(60)
            self.assertEqual(child.child.returncode, 2, text)
            self.assertIn("--metrics_listen: \"%s\" is not" % text, child.log_text())

    def test_an_address_that_is_not_to_be_had_ends_the_start(self):
        with self.space.entered():
            taken = socket.create_server(("127.0.0.1", PORT))
        for address, words in (("127.0.0.1:%d" % PORT, "Address already in use"),
                               ("192.0.2.99:9469", "Cannot assign requested address"),
                               ("127.0.0.1:80", "Permission denied")):
            child = daemon.Daemon(self.space, ["--metrics_listen=" + address],
                                  start=False)
            child.launch().child.wait(60)
            self.assertEqual(child.child.returncode, 1, address)
            self.assertIn("--metrics_listen=%s: can not listen: %s" % (address, words),
                          child.log_text())
        taken.close()


if __name__ == "__main__":
    runner.main()
