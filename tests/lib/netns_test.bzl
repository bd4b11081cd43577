"""Tests in Python that run the real programs."""

def py_system_test(name, main, data = [], tags = [], size = "small", env = {}, **kwargs):
    """A test file run by the system's Python, without network namespaces."""
    native.sh_test(
        name = name,
        size = size,
        srcs = ["//tests/lib:run_python.sh"],
        args = ["%s=%s" % item for item in env.items()] + ["$(location %s)" % main],
        data = [main, "//tests/lib:python"] + data,
        tags = tags,
        **kwargs
    )

def py_netns_test(name, main, data = [], tags = [], size = "medium", alone = True, **kwargs):
    """A test file that runs tunneld and tunnelctl in namespaces of its own.

    It runs as root, outside any sandbox; without root its cases are skipped. With
    alone = False other tests run beside it: it measures no time, loss or load.
    """
    py_system_test(
        name = name,
        main = main,
        size = size,
        data = data + [
            "//ctl:tunneld",
            "//ctl:tunnelctl",
            "//proto:protos",
        ],
        tags = tags + (["exclusive"] if alone else []) + [
            "external",
            "local",
            "netns",
            "no-sandbox",
            "requires-root",
        ],
        **kwargs
    )
