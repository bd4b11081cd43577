"""Test cases on one pair of hosts that use the API beside the command line."""

from tests.lib import lab, rpc


class ClientCase(lab.PairCase):
    """lab.PairCase with `clients`: one of the API for each host."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clients = [rpc.Client(host.daemon.target) for host in cls.hosts]

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        super().tearDownClass()
