"""The gRPC API from Python; stubs are made by protoc for each run."""

import glob
import os
import sys

from tests.lib import daemon, process

_stubs = None


def stub_directory():
    """Generates the Python stubs once; the directory to import them from."""
    global _stubs
    if _stubs is None:
        _stubs = os.path.join(process.temp_dir(), "stubs")
        os.makedirs(_stubs)
        protos = [os.path.relpath(p, daemon.root()) for p in glob.glob(
            os.path.join(daemon.root(), "proto/**/*.proto"), recursive=True)]
        process.run(["sh", "-c", "cd %s && exec protoc --proto_path=. --python_out=%s "
                     "--plugin=protoc-gen-grpc=$(command -v grpc_python_plugin) "
                     "--grpc_out=%s %s" % (daemon.root(), _stubs, _stubs,
                                           " ".join(protos))])
    return _stubs


class Client:
    """The three services of one daemon, and its error details decoded."""

    def __init__(self, target):
        if stub_directory() not in sys.path:
            sys.path.insert(0, stub_directory())
        import grpc
        from proto.google.rpc import error_details_pb2, status_pb2
        from proto.tunnel.v1 import tunnel_pb2, tunnel_service_pb2
        from proto.tunnel.v1 import tunnel_service_pb2_grpc as services
        self.grpc, self._details, self._status = grpc, error_details_pb2, status_pb2
        self.types, self.messages = tunnel_pb2, tunnel_service_pb2
        self.channel = grpc.insecure_channel(target)
        self.tunnels = services.TunnelServiceStub(self.channel)
        self.config = services.ConfigServiceStub(self.channel)
        self.telemetry = services.TelemetryServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def failure(self, method, request, timeout=60):
        """Calls and expects an error: (code name, ErrorInfo, fields at fault)."""
        try:
            reply = method(request, timeout=timeout)
        except self.grpc.RpcError as error:
            return self.decode(error)
        raise AssertionError("the call succeeded: %s" % reply)

    def decode(self, error):
        """(code name, ErrorInfo or None, names of fields of the BadRequest)."""
        infos, fields = [], []
        for key, value in error.trailing_metadata() or ():
            if key != "grpc-status-details-bin":
                continue
            status = self._status.Status.FromString(value)
            for detail in status.details:
                if detail.type_url.endswith("google.rpc.ErrorInfo"):
                    infos.append(self._details.ErrorInfo.FromString(detail.value))
                elif detail.type_url.endswith("google.rpc.BadRequest"):
                    bad = self._details.BadRequest.FromString(detail.value)
                    fields += [v.field for v in bad.field_violations]
        if len(infos) > 1:
            raise AssertionError("more than one ErrorInfo: %s" % infos)
        return error.code().name, infos[0] if infos else None, fields
