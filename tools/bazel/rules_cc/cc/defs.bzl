"""The native C++ rules under the names that rules_cc gives them.

Debian's own bazel-rules-cc does not load in its Bazel 4.2.3, and without any
rules_cc Bazel would try to download one.
"""

cc_library = native.cc_library
cc_binary = native.cc_binary
cc_test = native.cc_test
cc_import = native.cc_import
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
cc_proto_library = native.cc_proto_library
objc_library = native.objc_library
