"""fuzz_target: one fuzz target, built in two ways."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")

def fuzz_target(name, deps):
    """Defines NAME and NAME_corpus_test from NAME.cc.

    NAME.cc defines LLVMFuzzerTestOneInput(). Its corpus is corpus/NAME.

    Args:
      name: ends in _fuzzer.
      deps: libraries of the target.
    """

    # Replays the corpus once, in every configuration and with every compiler.
    cc_test(
        name = name + "_corpus_test",
        size = "small",
        srcs = [
            name + ".cc",
            "replay_main.cc",
        ],
        args = ["tests/fuzz/corpus/" + name],
        data = native.glob(["corpus/" + name + "/*"]),
        deps = deps,
    )

    # The libFuzzer binary: --config=fuzz, run by tools/fuzz.
    cc_binary(
        name = name,
        testonly = True,
        srcs = [name + ".cc"],
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = deps,
    )
