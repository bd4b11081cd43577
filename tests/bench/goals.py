"""The ratios that the data path is held against: floor, goal, and what they came to."""

from tests.bench.results import ratio

_UDP, _GRE, _RAW = "ours GRE-in-UDP", "ours gre4", "ours gre4 raw"
_BPF = ("ours gre4 bpf", "ours ipip4 bpf")
_UDP_BPF, _TRAINS = "ours GRE-in-UDP bpf", "ours gre4 from bpf"
# The best of the user-space peers where the floors were taken.
_PEER = "OpenVPN"


def _row(name, value, floor, goal, less_is_better=False):
    verdict = None
    if value is not None:
        def reaches(bar):
            return value <= bar if less_is_better else value >= bar
        verdict = "goal" if reaches(goal) else "floor" if reaches(floor) else "missed"
    return {"name": name, "value": value, "floor": floor, "goal": goal,
            "less_is_better": less_is_better, "verdict": verdict}


def _to_peer(results, name):
    return ratio(results.best(name, "off", "tcp1"), results.best(_PEER, "off", "tcp1"))


def rows(results):
    """One row a ratio; `value` is None where it was not measured."""
    found = []
    for peer, goal in zip(_BPF, (1.1, 1.2)):
        for mode in ("off", "gro", "default"):
            found.append(_row("%s / VXLAN, TCP, %s" % (peer, mode),
                              results.to_kernel(peer, mode, "tcp1"), 0.8, goal))
    for peer in (_UDP, _UDP_BPF):
        for mode in ("off", "gro"):
            found.append(_row("%s / VXLAN, TCP, %s" % (peer, mode),
                              results.to_kernel(peer, mode, "tcp1"), 0.70, 1.0))
    for peer in (_GRE, _RAW):
        found.append(_row("%s / VXLAN, TCP, off" % peer,
                          results.to_kernel(peer, "off", "tcp1"), 0.38, 0.6))
        found.append(_row("%s / best user-space peer, TCP, off" % peer,
                          results.to_user(peer, "off", "tcp1"), 2.2, 4))
        found.append(_row("%s / %s, TCP, off" % (peer, _PEER), _to_peer(results, peer),
                          2.2, 4))
        found.append(_row("%s / VXLAN, 64 B under 1 %% loss" % peer,
                          results.to_kernel(peer, "off", "pps64"), 0.85, 1.1))
    found.append(_row("%s / best user-space peer, TCP, off" % _UDP,
                      results.to_user(_UDP, "off", "tcp1"), 4, 6))
    found.append(_row("%s / %s, TCP, off" % (_UDP, _PEER), _to_peer(results, _UDP), 4, 6))
    for peer, floor, goal in ((_GRE, 2.2, 1.5), (_RAW, 2.2, 1.5), (_BPF[0], 1.15, 1.0)):
        found.append(_row("%s / VXLAN, RTT p50" % peer,
                          results.to_kernel(peer, "off", "rtt_p50"), floor, goal, True))
    found.append(_row("%s, gro on / gro off at the receiver, TCP" % _TRAINS,
                      ratio(results.best(_TRAINS, "gro", "tcp1"),
                            results.best(_TRAINS, "off", "tcp1")), 1.0, 2.0))
    rewire = results.rewire
    found.append(_row("goodput while another tunnel is rewired / quiet",
                      rewire["ratio"] if rewire else None, 0.95, 0.99))
    return found
