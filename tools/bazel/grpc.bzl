"""C++ code for .proto files, by the protoc and the gRPC plugin of the system."""

def grpc_cc_library(name, protos, services):
    """One cc_library with the messages of `protos` and the stubs of `services`.

    Imports are written from the workspace root ("proto/tunnel/v1/tunnel.proto").
    """
    stems = [p[:-len(".proto")] for p in protos]
    headers = [s + ".pb.h" for s in stems]
    sources = [s + ".pb.cc" for s in stems]
    service_stems = [p[:-len(".proto")] for p in services]
    headers += [s + ".grpc.pb.h" for s in service_stems]
    sources += [s + ".grpc.pb.cc" for s in service_stems]
    package = native.package_name()
    native.genrule(
        name = name + "_gen",
        srcs = protos,
        outs = headers + sources,
        cmd = " && ".join([
            "protoc --proto_path=. --cpp_out=$(GENDIR) $(SRCS)",
            "protoc --proto_path=. --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin)" +
            " --grpc_out=$(GENDIR) " + " ".join([package + "/" + s for s in services]),
        ]),
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        copts = ["-w"],
        deps = ["@system//:grpc++"],
    )
