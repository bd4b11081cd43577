#!/usr/bin/env python3
# Lists the tunnels of a running tunneld: list_tunnels.py [TARGET]
# Needs python3-grpcio, and stubs, made once from the top of the checkout:
#   protoc -I. --python_out=stubs --grpc_out=stubs \
#     --plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin proto/tunnel/v1/*.proto
#   sudo PYTHONPATH=stubs python3 docs/examples/list_tunnels.py
import sys

import grpc
from proto.tunnel.v1 import tunnel_pb2, tunnel_service_pb2, tunnel_service_pb2_grpc

target = sys.argv[1] if len(sys.argv) > 1 else "unix:/run/tunneld/tunneld.sock"
with grpc.insecure_channel(target) as channel:
    service = tunnel_service_pb2_grpc.TunnelServiceStub(channel)
    try:
        reply = service.ListTunnels(tunnel_service_pb2.ListTunnelsRequest(), timeout=5)
    except grpc.RpcError as error:
        sys.exit("%s: %s" % (error.code().name, error.details()))
for tunnel in reply.tunnels:
    print(tunnel.name, tunnel_pb2.Mode.Name(tunnel.mode), tunnel.local, tunnel.remote,
          tunnel_pb2.OperState.Name(tunnel.oper_state), tunnel.oper_reason)
