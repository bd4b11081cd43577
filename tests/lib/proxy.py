"""A socket between tunnelctl and tunneld that loses replies."""

import socket
import threading


class SwallowingProxy:
    """A socket in front of the daemon's. Of the first connection the daemon's
    words after its greeting are swallowed, until cut() breaks it; the later ones
    pass untouched."""

    def __init__(self, path, target):
        self.target, self._path = "unix:" + path, target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(4)
        self._pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._path)
            first = not self._pairs
            self._pairs.append((client, server))
            for source, sink, keep in ((client, server, False), (server, client, first)):
                threading.Thread(target=self._copy, args=(source, sink, keep),
                                 daemon=True).start()

    @staticmethod
    def _copy(source, sink, swallow):
        passed = 0
        while True:
            try:
                data = source.recv(65536)
                if not data:
                    break
                if not (swallow and passed):
                    sink.sendall(data)
                passed += 1
            except OSError:
                break
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for end in self._pairs[0]:
            end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                end.close()
